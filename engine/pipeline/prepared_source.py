"""Prepared sources: what a swapper needs of a person, made once and kept by an engine."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.errors import ParameterError
from engine.pipeline.remarks import Note, warn_of_faults, warn_of_other_people
from engine.pipeline.report import SourcePicture
from engine.pipeline.source_views import SourceView
from engine.swappers.swapper import Swapper
from engine.values import BriefRepr, DistanceScale

_MOST_SOURCES: Final = 32
_MOST_BYTES: Final = 128 * 2**20  # ten sources of mesh


@dataclass(frozen=True, slots=True)
class SourceFile:
    """File of a source by its content.

    Attributes:
        field: parameter that named the file.
        stem: the file's name without suffix, which names the portrait.
        sha256: sha256 of the content.
    """

    field: str
    stem: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class OwnSwapper:
    """Setting that is a swapper of the caller: equal for the same object, which need not hash."""

    swapper: Swapper[Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnSwapper) and self.swapper is other.swapper

    def __hash__(self) -> int:
        return id(self.swapper)

    def __str__(self) -> str:
        return f"an object of the class {type(self.swapper).__name__}"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Settings that the preparation of a source depends on, besides its files.

    Attributes:
        values: values in effect of the public parameters that matter, by name.
        weights: sha256 of the networks that read the source, by name.
    """

    values: tuple[tuple[str, Any], ...]
    weights: tuple[tuple[str, str], ...]

    def differing(self, other: SourceSettings) -> str | None:
        """Say in words how other settings differ from these, None if they are equal."""
        mine, others = dict(self.values), dict(other.values)
        for name in dict.fromkeys((*mine, *others)):
            if mine.get(name) != others.get(name):
                return (
                    f"{name} is {_shown(mine.get(name))} in it and {_shown(others.get(name))} here"
                )
        if self.weights != other.weights:
            names = dict(set(self.weights) ^ set(other.weights))
            return f"the weight file of {min(names)} was replaced since"
        return None


@dataclass(frozen=True, slots=True)
class SourceKey:
    """Identity of a prepared source: equal keys give equal prepared sources."""

    files: tuple[SourceFile, ...]
    settings: SourceSettings


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PreparedSource(BriefRepr):
    """The source person of any number of swaps, made by `Engine.prepare`.

    It holds no picture but what the swapper keeps of it. Engines and threads may share it.

    Attributes:
        paths: the files that it was read from, the source first.
        parameters: parameters that it was prepared with. They are those of the swap, too, unless
            it names them itself.
        from_clip: True if the source is a clip.
        pictures: pictures of the person that are used.
    """

    paths: tuple[Path, ...]
    parameters: Mapping[str, Any]
    from_clip: bool
    pictures: tuple[SourcePicture, ...]
    settings: SourceSettings = field(repr=False)
    encoded: Any = field(repr=False)  # what `Swapper.prepare` returned
    views: tuple[SourceView, ...] = field(repr=False)  # the best view of each file, without pixels
    scale: DistanceScale = field(repr=False)  # of the views' embeddings
    score: float | None = field(repr=False)  # the content check's highest; None if it is off
    file_notes: tuple[Note, ...] = field(repr=False)
    damage: tuple[Note, ...] = field(repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was taken of the files."""
        return tuple(map(str, self.file_notes))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on faults of the files."""
        return (
            *map(str, self.damage),
            *warn_of_other_people(self.views, self.scale),
            *warn_of_faults(self.views),
        )

    def at(self, paths: Sequence[Path]) -> PreparedSource:
        """Return the source as read from other paths of the same content, in the same order."""
        moved = dict(zip(self.paths, paths, strict=True))
        return replace(
            self,
            paths=tuple(paths),
            pictures=tuple(replace(one, path=moved[one.path]) for one in self.pictures),
            views=tuple(replace(one, path=moved[one.path]) for one in self.views),
            file_notes=tuple(replace(one, path=moved[one.path]) for one in self.file_notes),
            damage=tuple(replace(one, path=moved[one.path]) for one in self.damage),
        )

    def require_fit(self, settings: SourceSettings, extra: Sequence[Path]) -> None:
        """Check that the source serves a swap of these settings and further source files.

        Raises:
            ParameterError: It was prepared in another way.
        """
        if self.paths[1:] == tuple(extra):
            fault = self.settings.differing(settings)
        else:
            mine, others = (
                ", ".join(map(str, paths)) or "none" for paths in (self.paths[1:], extra)
            )
            fault = f"extra_source_image is {mine} in it and {others} here"
        if fault is not None:
            raise ParameterError(
                f"source_image is a prepared source that does not fit this swap: {fault}; prepare "
                "it with the parameters of the swap, or leave them out here."
            )


class SourceCache:
    """Prepared sources by key, those used last; threads may share it.

    Args:
        most: greatest number of sources.
        most_bytes: greatest size of them all, in bytes.
    """

    def __init__(self, most: int = _MOST_SOURCES, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[SourceKey, tuple[PreparedSource, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: SourceKey) -> PreparedSource | None:
        """Return the source with a key, None if there is none."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: SourceKey, source: PreparedSource) -> None:
        """Keep a source, and drop those that were not used for longest beyond the bounds."""
        size = size_of(source.encoded) + size_of(source.views)
        with self._lock:
            self._kept[key] = source, size
            self._kept.move_to_end(key)
            while self._kept and (
                len(self._kept) > self._most
                or sum(size for _, size in self._kept.values()) > self._most_bytes
            ):
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Drop all sources."""
        with self._lock:
            self._kept.clear()


def size_of(value: object) -> int:
    """Return the bytes of a value with all that its fields and items hold."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    return sys.getsizeof(value) + sum(map(size_of, _parts(value)))


def _parts(value: object) -> Iterable[object]:
    if is_dataclass(value):
        return [getattr(value, each.name) for each in fields(value)]
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    return value if isinstance(value, list | tuple | set | frozenset) else ()


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(str, value))
    return "none" if value is None else str(value)
