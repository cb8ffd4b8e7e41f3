"""Keep the finished segments of a swap, so that the same swap goes on after an interruption."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from engine.errors import MediaError
from engine.faces.analyser import ALGORITHM
from engine.media.packet_file import EncodedPacket, PacketWriter, read_facts, read_packets
from engine.media.pyav import library_versions
from engine.pipeline.prepared_source import PreparedSource
from engine.pipeline.records import FrameRecord
from engine.pipeline.tools import Request, Source, Tools
from engine.trust.content import ContentCheck
from engine.version import VERSION as ENGINE_VERSION
from engine.weights.atomic_files import sha256_of
from engine.work.work_store import WorkFile, WorkFolder

VERSION: Final = 1  # of the files; raise it when they change
_PREFIX: Final = "segment-"
# Parameters that change no pixel of the output, or name files, whose content counts.
_WITHOUT_EFFECT: Final = frozenset({"overwrite", "reference_image", "extra_source_image"})
_FILES_OF_ROLES: Final = {"role": {"__all__": {"source", "reference"}}}


@dataclass(frozen=True, slots=True)
class Restart:
    """Point at which a swap resumes: the last cut before its first unfinished frame.

    Attributes:
        index: index of the frame at the cut; 0 is the first of the output.
        pts: pts of that frame.
        tracks: number of tracks before it.
        finished: pts of the frames from there on that are finished.
    """

    index: int
    pts: int
    tracks: int
    finished: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts of a segment: records of its frames, results of the content check, and warnings."""

    records: tuple[FrameRecord, ...]
    highest: float | None
    checked: int
    warnings: tuple[str, ...] = ()


_FACTS: Final = TypeAdapter(_Facts)


class KeptSegments:
    """Keeps the segments of one swap in its work folder; satisfies `media.segments.Segments`.

    Args:
        folder: the work folder; segments that are there go on from an interrupted run.
        length: number of frames of each segment.
        check: content check of the target, whose results are kept, too; None if it is off.
        begin: number of the first segment to make, where the ones before are of no interest; None
            goes on after those that are there.

    Attributes:
        records: records of the frames that are finished.
        warnings: those that were kept with the segments, and a sentence if the work could not be
            kept.
        to_keep: warnings to keep with the next segment.
    """

    def __init__(
        self,
        folder: WorkFolder,
        length: int,
        check: ContentCheck | None = None,
        *,
        begin: int | None = None,
    ) -> None:
        self._folder = folder
        self._length = length
        self._files: list[Path] = []
        self._new: list[FrameRecord] = []
        self._keeps = True
        self._check = check
        self.records: list[FrameRecord] = []
        self.warnings: list[str] = []
        self.to_keep: list[str] = []
        for number, file in enumerate(folder.files(_PREFIX) if begin is None else ()):
            if file.name != _name(number):
                break
            try:
                facts = _FACTS.validate_python(read_facts(file))
            except (OSError, ValueError):
                break  # a disk that lost power may leave a file damaged
            self._files.append(file)
            self.records += facts.records
            self.warnings += facts.warnings
            if check is not None:
                check.add_earlier(facts.highest, facts.checked)
            if len(facts.records) != length:
                break
        self._next = len(self._files) if begin is None else begin

    @property
    def length(self) -> int:
        """Number of frames of each segment."""
        return self._length

    @property
    def restart(self) -> Restart | None:
        """Return the point at which the swap resumes; None if no segment is finished."""
        if not self.records:
            return None
        index = max(n for n, record in enumerate(self.records) if record.cut or not n)
        earlier = (face.track for record in self.records[:index] for face in record.faces)
        tracks = [track + 1 for track in earlier if track is not None]
        finished = tuple(record.pts for record in self.records[index:])
        return Restart(index, finished[0], max(tracks, default=0), finished)

    def record(self, record: FrameRecord) -> None:
        """Take in the record of a frame of the next segment."""
        self._new.append(record)

    def finished(self) -> Iterator[Iterator[EncodedPacket]]:
        """Yield the packets of each finished segment."""
        return map(read_packets, self._files)

    def keep(self, packets: Iterator[EncodedPacket]) -> Iterator[EncodedPacket]:
        """Yield the packets of the next segment, and keep them with the records of its frames."""
        number, self._next = self._next, self._next + 1
        file = self._create(number)
        checked = 0 if self._check is None else self._check.checked
        try:
            writer = None if file is None else PacketWriter(file.file)
            for packet in packets:
                yield packet
                if writer is not None and not self._try(number, partial(writer.add, packet)):
                    writer = None
            records, self._new = self._new, []
            if file is not None and writer is not None:
                facts = asdict(self._facts(records, checked))
                if self._try(number, partial(writer.finish, facts)):
                    self._try(number, file.commit)
        finally:
            if file is not None:
                file.discard()

    def _facts(self, records: list[FrameRecord], checked: int) -> _Facts:
        told, self.to_keep = tuple(self.to_keep), []
        if self._check is None:
            return _Facts(tuple(records), None, 0, told)
        return _Facts(tuple(records), self._check.highest, self._check.checked - checked, told)

    def _create(self, number: int) -> WorkFile | None:
        if not self._keeps:
            return None
        if not self._folder.has_room():
            self._stop(number, "The work files have reached their limit.")
            return None
        try:
            return self._folder.create(_name(number))
        except OSError as error:
            self._stop(number, _words(error))
            return None

    def _try(self, number: int, write: Callable[[], object]) -> bool:
        """Write; return False if that fails, after which no segment is kept."""
        try:
            write()
        except OSError as error:
            self._stop(number, _words(error))
            return False
        return True

    def _stop(self, number: int, why: str) -> None:
        self._keeps = False
        self.warnings.append(
            f"{why} An interruption would lose the frames from {number * self._length + 1} on."
        )


def _words(error: OSError) -> str:
    return f"A finished part could not be kept: {error.strerror or error}."


def note_finished(frames: int) -> str:
    """Return a sentence about frames that an interrupted run finished."""
    return (
        f"{frames} frames were finished by an earlier run that was interrupted; they were not "
        "swapped again."
    )


def is_finished(folder: WorkFolder, number: int) -> bool:
    """Tell whether a segment is there, whole."""
    try:
        read_facts(folder.path / _name(number))
    except (OSError, ValueError):
        return False
    return True


def work_key(request: Request, tools: Tools) -> str:
    """Return a digest of all that the pixels of an output depend on.

    Raises:
        MediaError: A file cannot be read.
    """
    cast, known = request.cast, tools.analysis
    roles = () if cast is None else cast.role
    references = [
        [_sha256(path) for path in paths]
        for paths in (
            request.options.selection.reference_images,
            *(map(Path, role.reference) for role in roles),
        )
    ]
    facts: dict[str, Any] = {
        "version": [VERSION, ALGORITHM, ENGINE_VERSION],
        "target": _sha256(request.target) if known is None else known.key.target,
        "sources": {role: _source(source) for role, source in sorted(request.sources.items())},
        "references": references,
        "cast": None
        if cast is None
        else cast.model_dump(mode="json", exclude=_FILES_OF_ROLES, warnings="none"),
        "parameters": _parameters(request.parameters),
        "device": tools.setup.device,
        "weights": sorted(tools.setup.weights.items()),
        "calibration": tools.calibration,
        "libraries": _libraries(),
        "container": request.output.suffix.lower(),
        "analysis": None if known is None else asdict(known.key),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _libraries() -> dict[str, str]:
    """Return the versions of the libraries that draw and encode."""
    drawing = ("numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "opencv-python")
    found = dict(library_versions())
    for name in drawing:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in _WITHOUT_EFFECT}


def _source(source: Source) -> list[str]:
    """Return what a source depends on: the content of its files, or of what was prepared."""
    if isinstance(source.first, PreparedSource):
        digest = hashlib.sha256()
        _add_content(digest.update, source.first.encoded)
        return [digest.hexdigest()]
    return [_sha256(path) for path in source.paths]


def _add_content(add: Callable[[bytes], None], value: Any) -> None:
    """Add the arrays and plain values of a value and of all that it holds."""
    if isinstance(value, np.ndarray):
        add(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif is_dataclass(value):
        for field in fields(value):
            _add_content(add, getattr(value, field.name))
    elif isinstance(value, Mapping):
        _add_content(add, list(value.items()))
    elif isinstance(value, list | tuple):
        for one in value:
            _add_content(add, one)
    else:
        add(pickle.dumps(value))


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from error


def _name(number: int) -> str:
    return f"{_PREFIX}{number:06}"
