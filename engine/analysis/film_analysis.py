"""Keep the faces of a film in a file, and read them back.

The file is a ZIP archive: `analysis.json` says of which film it is, by which networks and options;
`NUMBER.npz` members hold some frames each, and `identities.npz` the embeddings and attributes of
their faces. Embeddings are biometric data: only the file's owner may read it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, Field

from engine.analysis.archive import ArchiveWriter, read_columns, read_member, reading
from engine.analysis.columns import (
    FrameFaces,
    Identities,
    pack,
    round_face,
    round_hand,
    unpack,
)
from engine.errors import MediaError
from engine.faces.landmarks import frontalness
from engine.media.decode import exact_seconds
from engine.media.output_file import partial_output
from engine.values import Analysed, Attributes, Box, Embedding, Face, Frame
from engine.weights.atomic_files import sha256_of

VERSION: Final = 2
_HEADER, _IDENTITIES = "analysis.json", "identities.npz"
_CHUNK = 250  # frames in a member of the archive: about ten seconds
_CHUNK_FACES = 4000  # faces from which a member is full; one takes about 6.6 KB in memory
_CHUNK_LIMIT: Final = 2**26  # bytes of a member with frames, unpacked
_LIMIT: Final = 2**28  # bytes of any other member, unpacked
_SIGHTINGS = 3  # best sightings that are kept of a track
_APART = 12  # frames between two of them


@dataclass(frozen=True, slots=True)
class AnalysisKey:
    """Everything that an analysis depends on.

    `target` is the sha256 of the film's file, `algorithm` the version of the algorithm. `networks`
    holds for each role, as "detector" or "age", the sha256 of its networks by name, `options` the
    analysing parameters by name.
    """

    target: str
    algorithm: int
    networks: Mapping[str, Mapping[str, str]]
    options: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Name of an analysis in a store: equal for equal keys alone."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    def lack(self, wanted: AnalysisKey) -> str | None:
        """Return what an analysis of this key lacks for a request, in words; None if nothing."""
        if self.target != wanted.target:
            return "it is of another film"
        if self.algorithm != wanted.algorithm:
            return "it was made by another version of the engine's analysis"
        for role, networks in wanted.networks.items():
            if role not in self.networks:
                return f"it was made without a network for {role}"
            if self.networks[role] != networks:
                made, now = " and ".join(self.networks[role]), " and ".join(networks)
                other = "another file of the same name" if made == now else f"not {now}"
                return f"its networks for {role} are {made}, {other}"
        for name, value in wanted.options.items():
            if self.options.get(name) != value:
                return f"it was made with {name} {self.options.get(name)!r}, not {value!r}"
        return None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, which is read to its end.

    Raises:
        MediaError: The file cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from error


@dataclass(frozen=True, slots=True)
class BestFace:
    """A face of a track in one frame; `index` counts frames from 0."""

    index: int
    pts: int
    box: Box
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A face followed through the frames of a shot.

    `first` and `last` are pts. `embedding` and `attributes` are gathered over all of the track.
    `best` holds its largest, clearest, most frontal faces, the best first.
    """

    number: int
    first: int
    last: int
    frames: int
    best: tuple[BestFace, ...]
    embedding: Embedding | None = None
    attributes: Attributes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FilmAnalysis:
    """The faces of a film: who is where, without the pictures.

    `size` is (width, height) as displayed; `start` is the first frame's pts. `together` holds the
    pairs of tracks, the lower number first, that are seen in one frame.
    """

    path: Path
    key: AnalysisKey
    time_base: Fraction
    size: tuple[int, int]
    start: int
    frame_count: int
    tracks: tuple[Track, ...]
    together: frozenset[tuple[int, int]]

    def seconds(self, pts: int) -> float:
        """Return the time of a frame, in seconds after the first."""
        return float((pts - self.start) * self.time_base)

    def frames(self, begin: int | None = None) -> Iterator[FrameFaces]:
        """Yield the faces and hands of each frame, in the film's order.

        `begin` is a pts: frames before it may be left out, which saves unpacking them.

        Raises:
            MediaError: The file cannot be read any more, or is damaged.
        """
        with reading(self.path) as archive:
            identities = Identities.unpack(read_columns(archive, _IDENTITIES, _LIMIT))
            count = 0
            chunks = _chunks(archive)
            first = 0 if begin is None else _chunk_with(archive, chunks, begin)
            for name in chunks[first:]:
                for frame in unpack(read_columns(archive, name, _CHUNK_LIMIT), identities):
                    count += 1
                    yield frame
            if not first and count != self.frame_count:
                raise ValueError(f"There are {count} frames, not {self.frame_count}.")

    def times(self, start: float | None, end: float | None) -> Iterator[tuple[int, bool]]:
        """Yield the pts of each frame of a part, and whether a shot begins with it.

        The part is given as in `Trim`, in seconds after the first frame; `end` is exclusive.
        """
        first, last = exact_seconds(start) or Fraction(0), exact_seconds(end)
        for frame in self.frames():
            since = (frame.pts - self.start) * self.time_base
            if since >= first and (last is None or since < last):
                yield frame.pts, frame.cut

    def replay(self, frames: Iterable[Frame]) -> Iterator[Analysed]:
        """Yield the film's frames with their faces and hands, in place of finding them again.

        `frames` may begin and end anywhere in the film.

        Raises:
            MediaError: A frame is not of this film.
        """
        known: Iterator[FrameFaces] | None = None
        for frame in frames:
            known = self.frames(frame.pts) if known is None else known
            here = next((one for one in known if one.pts >= frame.pts), None)
            if here is None or here.pts != frame.pts:
                raise MediaError(
                    f"{self.path} has no frame at pts {frame.pts}; analyse the film again."
                )
            yield Analysed(frame, here.faces, here.hands, here.cut)


def write_analysis(
    path: Path,
    key: AnalysisKey,
    stream: Iterable[Analysed],
    size: tuple[int, int],
    *,
    overwrite: bool = False,
) -> FilmAnalysis:
    """Write the faces of a film's frames to a file, as they are found; return the analysis.

    The frames' pictures are not kept. The file appears when all is written.

    Raises:
        MediaError: The file cannot be written.
        OutputExists: It exists, and `overwrite` is False.
    """
    with partial_output(path, overwrite=overwrite, private=True) as scratch:
        archive = ArchiveWriter(scratch, path)
        gathered, identities = _Gathered(), Identities()
        chunk: list[FrameFaces] = []
        number = faces = 0
        for shot in stream:
            chunk.append(gathered.add(shot))
            faces += len(shot.faces)
            if len(chunk) == _CHUNK or faces >= _CHUNK_FACES:
                archive.write_columns(_member(number), pack(chunk, identities), _CHUNK_LIMIT)
                chunk, number, faces = [], number + 1, 0
        if chunk:
            archive.write_columns(_member(number), pack(chunk, identities), _CHUNK_LIMIT)
        archive.write_columns(_IDENTITIES, identities.pack(), _LIMIT)
        made = FilmAnalysis(
            path,
            key,
            gathered.time_base,
            size,
            gathered.start,
            gathered.count,
            gathered.tracks(),
            frozenset(gathered.together),
        )
        archive.write(_HEADER, _header(made, identities).model_dump_json())
    return made


def read_analysis(path: Path) -> FilmAnalysis:
    """Read what a file holds, but for its frames, which are read when they are asked for.

    Raises:
        MediaError: The file cannot be read, is damaged, or is of another version.
    """
    with reading(path) as archive:
        header = read_member(archive, _HEADER, _LIMIT)
        version = _Version.model_validate_json(header).version
        if version != VERSION:
            raise MediaError(
                f"{path} is an analysis of version {version}, and this engine reads version "
                f"{VERSION}; analyse the film again."
            )
        _chunks(archive)
        identities = Identities.unpack(read_columns(archive, _IDENTITIES, _LIMIT))
        return _analysis(path, _Header.model_validate_json(header), identities)


@dataclass(slots=True)
class _Gathered:
    """Facts of a whole film, gathered from its frames."""

    count: int = 0
    start: int = 0
    time_base: Fraction = Fraction(1)
    together: set[tuple[int, int]] = field(default_factory=set)
    known: dict[int, Track] = field(default_factory=dict)

    def add(self, shot: Analysed) -> FrameFaces:
        """Return a frame's faces as they are stored, and count them."""
        faces = tuple(map(round_face, shot.faces))
        frame = FrameFaces(shot.frame.pts, faces, tuple(map(round_hand, shot.hands)), cut=shot.cut)
        if not self.count:
            self.start, self.time_base = frame.pts, shot.frame.time_base
        for face in faces:
            self._add_face(face, frame.pts)
        numbers = sorted(face.track for face in faces if face.track is not None)
        self.together |= {
            (one, other) for at, one in enumerate(numbers) for other in numbers[at + 1 :]
        }
        self.count += 1
        return frame

    def tracks(self) -> tuple[Track, ...]:
        return tuple(self.known[number] for number in sorted(self.known))

    def _add_face(self, face: Face, pts: int) -> None:
        if face.track is None:
            return
        seen = BestFace(self.count, pts, face.box, _weight(face))
        track = self.known.get(face.track) or Track(face.track, pts, pts, 0, ())
        self.known[face.track] = replace(
            track,
            last=pts,
            frames=track.frames + 1,
            best=_best(track.best, seen),
            embedding=face.embedding,
            attributes=face.attributes,
        )


def _weight(face: Face) -> float:
    """Return how well a face is seen: its side in pixels, less where it is turned or unsure."""
    side = float(np.sqrt(face.box.area))
    return side * frontalness(face.mesh) * face.mesh.score * face.score


def _best(known: tuple[BestFace, ...], new: BestFace) -> tuple[BestFace, ...]:
    """Return the best sightings with a new one, of those near in time the better one alone."""
    near = [one for one in known if new.index - one.index < _APART]
    if any(one.weight >= new.weight for one in near):
        return known
    others = [one for one in known if one not in near]
    return tuple(sorted((*others, new), key=lambda one: -one.weight)[:_SIGHTINGS])


_Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Count = Annotated[int, Field(ge=1, lt=2**63)]
_Number = Annotated[int, Field(ge=0, lt=2**31)]
_Pixels = Annotated[float, Field(ge=-(2**24), le=2**24, allow_inf_nan=False)]


class _BestRow(BaseModel):
    index: Annotated[int, Field(ge=0, lt=2**63)]
    pts: _Int64
    box: tuple[_Pixels, _Pixels, _Pixels, _Pixels]
    weight: Annotated[float, Field(allow_inf_nan=False)]


class _TrackRow(BaseModel):
    number: _Number
    first: _Int64
    last: _Int64
    frames: _Count
    best: tuple[_BestRow, ...]
    identity: _Number


class _Version(BaseModel):
    version: int = VERSION


class _Header(_Version):
    """Header of the file: facts of the film as a whole."""

    key: AnalysisKey
    time_base: tuple[_Count, _Count]
    size: tuple[_Count, _Count]
    start: _Int64
    frame_count: _Count
    tracks: tuple[_TrackRow, ...]
    together: tuple[tuple[_Number, _Number], ...]


def _header(made: FilmAnalysis, identities: Identities) -> _Header:
    rows = [
        _TrackRow(
            number=track.number,
            first=track.first,
            last=track.last,
            frames=track.frames,
            best=tuple(
                _BestRow(
                    index=one.index, pts=one.pts, box=astuple(one.box), weight=float(one.weight)
                )
                for one in track.best
            ),
            identity=identities.find(track.embedding, track.attributes),
        )
        for track in made.tracks
    ]
    return _Header(
        key=made.key,
        time_base=made.time_base.as_integer_ratio(),
        size=made.size,
        start=made.start,
        frame_count=made.frame_count,
        tracks=tuple(rows),
        together=tuple(sorted(made.together)),
    )


def _analysis(path: Path, header: _Header, identities: Identities) -> FilmAnalysis:
    tracks = []
    for row in header.tracks:
        best = tuple(BestFace(one.index, one.pts, Box(*one.box), one.weight) for one in row.best)
        embedding, attributes = identities[row.identity]
        tracks.append(
            Track(row.number, row.first, row.last, row.frames, best, embedding, attributes)
        )
    return FilmAnalysis(
        path,
        header.key,
        Fraction(*header.time_base),
        header.size,
        header.start,
        header.frame_count,
        tuple(tracks),
        frozenset(header.together),
    )


def _chunks(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the members that hold frames, in the film's order."""
    names = archive.namelist()
    chunks = [_member(number) for number in range(len(names) - 2)]
    if sorted(names) != sorted((*chunks, _HEADER, _IDENTITIES)):
        raise ValueError("A member is missing, or there is one too many.")
    return chunks


def _chunk_with(archive: zipfile.ZipFile, chunks: Sequence[str], pts: int) -> int:
    """Return the index of the last chunk that begins at or before a pts; 0 if none does."""

    def begins_after(name: str) -> bool:
        return bool(read_columns(archive, name, _CHUNK_LIMIT)["pts"][:1] > pts)

    return max(bisect_left(chunks, True, key=begins_after) - 1, 0)


def _member(number: int) -> str:
    return f"{number:06}.npz"
