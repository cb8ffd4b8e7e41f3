"""Keep the finished segments of a swap, so that the same swap goes on after an interruption."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from engine.analysis.film_analysis import file_sha256
from engine.faces.analyser import ALGORITHM
from engine.media.packet_file import EncodedPacket, PacketWriter, read_facts, read_packets
from engine.media.pyav import library_versions
from engine.pipeline.prepared_source import PreparedSource
from engine.pipeline.records import FrameRecord
from engine.pipeline.tools import Request, Source, Tools
from engine.trust.content import ContentCheck
from engine.version import VERSION as ENGINE_VERSION
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


@dataclass(slots=True)
class _Shot:
    """What is known of the shot of the last finished frame.

    Attributes:
        count: number of frames of all shots so far.
        first: pts of the first of them.
        finished: pts of the frames of the shot.
        before: number of tracks before the shot.
        tracks: number of tracks so far.
    """

    count: int = 0
    first: int = 0
    finished: list[int] = field(default_factory=list)
    before: int = 0
    tracks: int = 0

    def add(self, record: FrameRecord) -> None:
        """Take in the record of the next frame."""
        if not self.count:
            self.first = record.pts
        if record.cut or not self.count:
            self.finished, self.before = [], self.tracks
        self.count += 1
        self.finished.append(record.pts)
        numbers = (face.track for face in record.faces if face.track is not None)
        self.tracks = max([self.tracks, *(number + 1 for number in numbers)])


class KeptSegments:
    """Keeps the segments of one swap in its work folder; satisfies `media.segments.Segments`.

    Args:
        folder: the work folder; segments that are there go on from an interrupted run.
        length: number of frames of each segment.
        check: content check of the target, whose results are kept, too; None if it is off.
        told: warnings of the run so far, which grow; each is kept with a segment.
        begin: number of the first segment to make.

    Attributes:
        frames: number of frames that are finished.
        restart: point at which the swap resumes; None if no segment is finished.
        warnings: those that were kept with the segments, and a sentence if the work could not be
            kept.
    """

    def __init__(
        self,
        folder: WorkFolder,
        length: int,
        check: ContentCheck | None = None,
        told: Sequence[str] = (),
        *,
        begin: int = 0,
    ) -> None:
        self._folder = folder
        self._length = length
        self._files: list[Path] = []
        self._new: list[FrameRecord] = []
        self._keeps = True
        self._check = check
        self._told, self._told_before = told, 0
        self.frames = 0
        self.restart: Restart | None = None
        self.warnings: list[str] = []
        self._next = begin

    def restore(self, take: Callable[[FrameRecord, int], None]) -> None:
        """Go on after the segments that are there.

        `take` is called with the record of each of their frames, and the pts of the first frame.
        """
        shot = _Shot()
        for number, file in enumerate(self._folder.files(_PREFIX)):
            if file.name != _name(number):
                break
            try:
                facts = _FACTS.validate_python(read_facts(file))
            except (OSError, ValueError):
                break  # a disk that lost power may leave a file damaged
            self._files.append(file)
            for record in facts.records:
                shot.add(record)
                take(record, shot.first)
            self.warnings += facts.warnings
            if self._check is not None:
                self._check.add_earlier(facts.highest, facts.checked)
            if len(facts.records) != self._length:
                break
        self._next, self.frames = len(self._files), shot.count
        if shot.count:
            begin = shot.count - len(shot.finished)
            self.restart = Restart(begin, shot.finished[0], shot.before, tuple(shot.finished))

    @property
    def length(self) -> int:
        """Number of frames of each segment."""
        return self._length

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
        told = tuple(self._told[self._told_before :])
        self._told_before += len(told)
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
        [file_sha256(path) for path in paths]
        for paths in (
            request.options.selection.reference_images,
            *(map(Path, role.reference) for role in roles),
        )
    ]
    facts: dict[str, Any] = {
        "version": [VERSION, ALGORITHM, ENGINE_VERSION],
        "target": file_sha256(request.target) if known is None else known.key.target,
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
    return [file_sha256(path) for path in source.paths]


def _add_content(add: Callable[[bytes], None], value: Any) -> None:
    """Add the arrays and plain values of a value and of all that it holds."""
    if isinstance(value, np.ndarray):
        add(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif is_dataclass(value):
        for one in fields(value):
            _add_content(add, getattr(value, one.name))
    elif isinstance(value, Mapping):
        _add_content(add, list(value.items()))
    elif isinstance(value, list | tuple):
        for one in value:
            _add_content(add, one)
    else:
        add(pickle.dumps(value))


def _name(number: int) -> str:
    return f"{_PREFIX}{number:06}"
