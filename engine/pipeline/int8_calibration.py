"""Calibrate networks for int8 with faces of the user's pictures and videos."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.errors import MediaError, NoFaceFound
from engine.faces.analyser import FaceAnalyser
from engine.faces.source_crop import cut_portrait
from engine.media.decode import read_frames
from engine.media.probe import probe
from engine.media.sampling import sampled_frames
from engine.optimise.int8 import Int8Calibration, Sample, SampleMaker
from engine.optimise.prepare import calibrate
from engine.options import Trim
from engine.pipeline.stages import align
from engine.pipeline.video import Observe, Progress
from engine.values import Aligned, Frame, VideoInfo
from engine.weights.weight_store import WeightStore

MIN_FACES: Final = 16
MAX_FACES: Final = 128

_CROP_BYTES = 2**29  # memory of all crops
_HELD_OUT_DIVISOR = 5  # a fifth of the faces is held out
_MIN_HELD_OUT = 4
_MIN_INTERVAL = 0.2  # seconds between two frames of a video: nearer faces are too similar
_MAX_DECODED = 300.0  # seconds of a video up to which every frame is decoded, not key frames only


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Result of a calibration.

    Attributes:
        name: name of the network.
        files: number of files with faces.
        faces: number of faces used.
        apart: True if the held-out faces are from other files than the rest.
        result: ranges and measured quality of the int8 graph.
        skipped: a sentence on each file of a folder that could not be read completely.
    """

    name: str
    files: int
    faces: int
    apart: bool
    result: Int8Calibration
    skipped: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)


def calibrate_network(
    feed: SampleMaker,
    paths: Sequence[Path],
    store: WeightStore,
    analyser: FaceAnalyser,
    observe: Observe | None = None,
) -> Calibrated:
    """Make a network's int8 graph with the faces of pictures, videos and folders.

    Files are read until enough of them contained faces: first some that are evenly spread over all
    files, then those in between. Faces are used in the order of their files and in time. At least
    the last fifth of them is held out to validate the graph: all faces of the last files. If that
    would be more than half, as with a single clip, it is the last fifth; it may then contain the
    same people a moment later.

    Args:
        feed: the network's inputs.
        paths: pictures, videos, and folders of them.
        store: weights.
        analyser: finds faces.
        observe: called after each face that went through the network.

    Raises:
        MediaError: A named file cannot be read, or no file of a folder can.
        NoFaceFound: There are fewer than `MIN_FACES` faces.
        WeightsError: The network is missing or corrupt, or int8 differs too much from fp32.
        RuntimeUnavailable: The network cannot be run or prepared.
    """
    most = min(MAX_FACES, max(MIN_FACES, _CROP_BYTES // (12 * feed.side**2)))
    files = _list_files(paths)
    found, skipped = _collect_faces(feed, files, analyser, most)
    sampled, counts = found.faces, found.counts
    if not sampled and len(skipped) == len(files):
        raise _no_media_error(paths)
    if len(sampled) < MIN_FACES:
        faces = "1 face was" if len(sampled) == 1 else f"{len(sampled)} faces were"
        raise NoFaceFound(
            f"{faces} found in {', '.join(map(str, paths))}, and a "
            f"calibration takes at least {MIN_FACES}; name more pictures or videos."
        )
    held_out, apart = _held_out_count(counts)
    result = calibrate(
        store,
        feed.name,
        _report_progress(
            _pair_samples(feed, sampled[:-held_out]), len(sampled) - held_out, observe
        ),
        list(_pair_samples(feed, sampled[-held_out:])),
    )
    return Calibrated(feed.name, len(counts), len(sampled), apart, result, tuple(skipped))


@dataclass(frozen=True, slots=True, eq=False)
class _FaceSample:
    """Face as a target, and its encoding as a source."""

    target: Aligned
    source: Any


class _FaceReservoir:
    """Sample of at most `most` faces, spread evenly over the files and over each file."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._files: dict[int, list[_FaceSample]] = {}
        self._lots = np.random.default_rng(0)

    @property
    def faces(self) -> list[_FaceSample]:
        """Faces in the order of their files, and in time."""
        return list(chain(*self._in_order()))

    @property
    def counts(self) -> list[int]:
        """Number of faces of each file that has any."""
        return [len(file) for file in self._in_order() if file]

    def add(self, place: int, faces: Iterable[_FaceSample]) -> None:
        """Add the faces of one more file; `place` is its index among the files.

        If there are too many faces, the file with the most of them loses a random one. All faces of
        the current file stay with equal probability (reservoir sampling).
        """
        own: list[_FaceSample] = []
        self._files[place] = own
        for met, face in enumerate(faces, 1):
            own.append(face)
            if sum(self.counts) > self._most:
                fullest = max(self._files.values(), key=len)
                lot = int(self._lots.integers(met if fullest is own else len(fullest)))
                del fullest[min(lot, len(fullest) - 1)]

    def _in_order(self) -> Iterator[list[_FaceSample]]:
        return (self._files[place] for place in sorted(self._files))


def _held_out_count(counts: Sequence[int]) -> tuple[int, bool]:
    """Return how many of the last faces are held out, and True if they are whole files."""
    total = sum(counts)
    least = max(_MIN_HELD_OUT, total // _HELD_OUT_DIVISOR)
    whole = next(held for held in accumulate(reversed(counts)) if held >= least)
    apart = whole <= total // 2
    return (whole if apart else least), apart


def _collect_faces(
    feed: SampleMaker, files: Sequence[_File], analyser: FaceAnalyser, most: int
) -> tuple[_FaceReservoir, list[str]]:
    """Return the files' faces, and a sentence on each file of a folder that cannot be read."""
    found, skipped = _FaceReservoir(most), list[str]()
    media = _probe_files(_spread_files(files, most), skipped)
    first = list(islice(media, most))
    for place, file, info in chain(first, media):
        try:
            with closing(_read_frames(file.path, info, -(-most // len(first)))) as frames:
                faces = (face for frame in frames for face in _find_faces(feed, frame, analyser))
                found.add(place, faces)
        except MediaError as error:
            file.skip(error, skipped)
        if len(found.counts) == most:
            break
    return found, skipped


def _probe_files(
    files: Iterable[tuple[int, _File]], skipped: list[str]
) -> Iterator[tuple[int, _File, VideoInfo]]:
    """Yield index, file and description of the files that are pictures or videos."""
    for place, file in files:
        try:
            yield place, file, probe(file.path)
        except MediaError as error:
            file.skip(error, skipped)


@dataclass(frozen=True, slots=True)
class _File:
    """File; `named` is True if it was named itself, False if it was found in a folder."""

    path: Path
    named: bool

    def skip(self, error: MediaError, skipped: list[str]) -> None:
        """Add the error to `skipped`; raise it if the file was named."""
        if self.named:
            raise error
        skipped.append(str(error))


def _list_files(paths: Sequence[Path]) -> list[_File]:
    """Return the files in the given order, each once; those of a folder sorted by name.

    Raises:
        MediaError: A folder contains no file.
    """
    found: dict[Path, _File] = {}
    for path in paths:
        files = list(_list_folder(path)) if path.is_dir() else [_File(path, named=True)]
        if not files:
            raise _no_media_error([path])
        for file in files:
            key = file.path.resolve()
            if file.named or key not in found:
                found[key] = file
    return list(found.values())


def _list_folder(folder: Path) -> Iterator[_File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield _File(path, named=False)


def _no_media_error(folders: Iterable[Path]) -> MediaError:
    return MediaError(
        f"There is no picture or video that can be read in {', '.join(map(str, folders))}; name "
        "pictures, videos, or folders that hold some."
    )


def _spread_files(files: Sequence[_File], most: int) -> Iterator[tuple[int, _File]]:
    """Yield index and file of all: `most` spread evenly over all, then `most` of the rest..."""
    left = list(enumerate(files))
    while left:
        count = min(len(left), most)
        chosen = [number * len(left) // count for number in range(count)]
        yield from (left[one] for one in chosen)
        for one in reversed(chosen):
            del left[one]


def _read_frames(path: Path, info: VideoInfo, most: int) -> Generator[Frame]:
    """Yield the frame of a still, or up to `most` frames spread over a video."""
    rate = float(info.frame_rate)
    if info.duration is None or info.duration <= _MAX_DECODED:
        step = max(1, round(rate * max(_MIN_INTERVAL, (info.duration or 0) / most)))
        with closing(read_frames(path)) as frames:
            yield from islice(frames, 0, step * most, step)
    else:
        yield from sampled_frames(
            path, Trim(), duration=info.duration, every=_MIN_INTERVAL, most=most
        )


def _find_faces(feed: SampleMaker, frame: Frame, analyser: FaceAnalyser) -> Iterator[_FaceSample]:
    for face in analyser.analyse_picture(frame):
        source = feed.encode(cut_portrait("calibration", frame, face))
        yield _FaceSample(align(frame, face, feed.template, feed.side), source)


def _pair_samples(feed: SampleMaker, faces: Sequence[_FaceSample]) -> Iterator[Sample]:
    """Yield each face as a target with the source of a distant one, by files and time."""
    offset = len(faces) // 2
    for number, face in enumerate(faces):
        yield feed.sample(face.target, faces[number - offset].source)


def _report_progress(
    samples: Iterable[Sample], total: int, observe: Observe | None
) -> Iterator[Sample]:
    for number, sample in enumerate(samples):
        if observe is not None:
            observe(Progress(number, total, "calibrating"))
        yield sample
    if observe is not None:
        observe(Progress(total, total, "calibrating"))
