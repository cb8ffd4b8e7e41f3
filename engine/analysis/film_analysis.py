"""Keep the faces of a film in a file, and read them back.

The file is a ZIP archive: `analysis.json` says of which film it is, by which networks and options;
`NUMBER.npz` members hold some frames each, and `identities.npz` the embeddings and attributes of
their faces. Embeddings are biometric data: only the file's owner may read it.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.columns import (
    Columns,
    FrameFaces,
    Identities,
    pack,
    round_face,
    round_hand,
    unpack,
)
from engine.errors import MediaError
from engine.faces.landmarks import frontalness
from engine.values import Analysed, Attributes, Box, Embedding, Face, Frame
from engine.weights.atomic_files import atomic_replacement, sha256_of

VERSION: Final = 2
_HEADER, _IDENTITIES = "analysis.json", "identities.npz"
_CHUNK = 250  # frames in a member of the archive: about ten seconds
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


def film_sha256(path: Path) -> str:
    """Return the sha256 of a film's file, which is read to its end.

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

    def frames(self) -> Iterator[FrameFaces]:
        """Yield the faces and hands of each frame, in the film's order.

        Raises:
            MediaError: The file cannot be read any more, or is damaged.
        """
        with _opened(self.path) as archive:
            identities = Identities.unpack(_read(archive, _IDENTITIES))
            for number in range(_chunks(self.frame_count)):
                yield from unpack(_read(archive, _member(number)), identities)

    def replay(self, frames: Iterable[Frame]) -> Iterator[Analysed]:
        """Yield the film's frames with their faces and hands, in place of finding them again.

        `frames` may begin and end anywhere in the film.

        Raises:
            MediaError: A frame is not of this film.
        """
        known = self.frames()
        for frame in frames:
            here = next((one for one in known if one.pts >= frame.pts), None)
            if here is None or here.pts != frame.pts:
                raise MediaError(
                    f"{self.path} has no frame at pts {frame.pts}; analyse the film again."
                )
            yield Analysed(frame, here.faces, here.hands)


def write_analysis(
    path: Path, key: AnalysisKey, stream: Iterable[Analysed], size: tuple[int, int]
) -> FilmAnalysis:
    """Write the faces of a film's frames to a file, as they are found; return the analysis.

    The frames' pictures are not kept. The file appears when all is written.

    Raises:
        MediaError: The file cannot be written.
    """
    with atomic_replacement(path, MediaError) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        gathered, identities = _Gathered(), Identities()
        chunk: list[FrameFaces] = []
        number = 0
        for shot in stream:
            chunk.append(gathered.add(shot))
            if len(chunk) == _CHUNK:
                _write(archive, _member(number), pack(chunk, identities))
                chunk, number = [], number + 1
        if chunk:
            _write(archive, _member(number), pack(chunk, identities))
        _write(archive, _IDENTITIES, identities.pack())
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
        archive.writestr(_HEADER, json.dumps(_header(made, identities)))
    return made


def read_analysis(path: Path) -> FilmAnalysis:
    """Read what a file holds, but for its frames, which are read when they are asked for.

    Raises:
        MediaError: The file cannot be read, is damaged, or is of another version.
    """
    with _opened(path) as archive:
        try:
            header = json.loads(archive.read(_HEADER))
            if header["version"] != VERSION:
                raise MediaError(
                    f"{path} is an analysis of version {header['version']}, and this engine reads "
                    f"version {VERSION}; analyse the film again."
                )
            identities = Identities.unpack(_read(archive, _IDENTITIES))
            return _analysis(path, header, identities)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _damaged(path) from error


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


def _header(made: FilmAnalysis, identities: Identities) -> dict[str, Any]:
    return {
        "version": VERSION,
        "key": asdict(made.key),
        "time_base": str(made.time_base),
        "size": made.size,
        "start": made.start,
        "frame_count": made.frame_count,
        "tracks": [
            {
                "number": track.number,
                "first": track.first,
                "last": track.last,
                "frames": track.frames,
                "best": [asdict(one) for one in track.best],
                "identity": identities.find(track.embedding, track.attributes),
            }
            for track in made.tracks
        ],
        "together": sorted(made.together),
    }


def _analysis(path: Path, header: Mapping[str, Any], identities: Identities) -> FilmAnalysis:
    width, height = header["size"]
    tracks = []
    for row in header["tracks"]:
        best = tuple(BestFace(**{**one, "box": Box(**one["box"])}) for one in row["best"])
        embedding, attributes = identities[row["identity"]]
        tracks.append(
            Track(
                row["number"], row["first"], row["last"], row["frames"], best, embedding, attributes
            )
        )
    return FilmAnalysis(
        path,
        AnalysisKey(**header["key"]),
        Fraction(header["time_base"]),
        (width, height),
        header["start"],
        header["frame_count"],
        tuple(tracks),
        frozenset((one, other) for one, other in header["together"]),
    )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _damaged(path) from error
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from error


def _damaged(path: Path) -> MediaError:
    return MediaError(f"{path} is no analysis of a film, or is damaged; analyse the film again.")


def _chunks(frames: int) -> int:
    return -(-frames // _CHUNK)


def _member(number: int) -> str:
    return f"{number:06}.npz"


def _write(archive: zipfile.ZipFile, name: str, columns: Columns) -> None:
    buffer = io.BytesIO()
    split = {key: _split(array) for key, array in columns.items()}
    np.savez_compressed(buffer, allow_pickle=False, **split)
    archive.writestr(name, buffer.getvalue())


def _read(archive: zipfile.ZipFile, name: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(archive.read(name)), allow_pickle=False) as arrays:
            return {key: _joined(arrays[key]) for key in arrays}
    except (KeyError, ValueError) as error:
        raise _damaged(Path(archive.filename or name)) from error


def _split(array: NDArray[Any]) -> NDArray[Any]:
    """Return a table of int32 as planes of bytes, (4, columns, rows): the upper ones are near 0."""
    if array.dtype != np.int32 or array.ndim != 2:
        return array
    folded = ((array << 1) ^ (array >> 31)).astype("<u4")  # the sign goes to the lowest bit
    planes = np.ascontiguousarray(folded.T).view(np.uint8).reshape(*array.shape[::-1], 4)
    return np.ascontiguousarray(np.moveaxis(planes, -1, 0))


def _joined(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype != np.uint8 or array.ndim != 3:
        return array
    folded = np.ascontiguousarray(np.moveaxis(array, 0, -1)).view("<u4")[..., 0]
    return ((folded >> 1).astype(np.int32) ^ -(folded & 1).astype(np.int32)).T
