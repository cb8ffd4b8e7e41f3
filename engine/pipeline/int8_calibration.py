"""Networks made fit for whole numbers of 8 bits by the faces that a user swaps."""

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

_CROP_BYTES = 2**29  # that all crops may take together
_HELD_OUT_DIVISOR = 5  # one face of so many
_MIN_HELD_OUT = 4
_MIN_INTERVAL = (
    0.2  # seconds between two looks at a video, at least: faces nearer in time are alike
)
_MAX_DECODED = 300.0  # seconds of a video that is looked at frame by frame, and not by key frames


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a network was calibrated on, and what came of it.

    `files` are those that `faces` were taken from; `apart` tells whether those that were held out
    are of other files than the rest. `skipped` holds a sentence on each file of a folder that could
    not be read, or not to its end.
    """

    name: str
    files: int
    faces: int
    apart: bool
    result: Int8Calibration
    skipped: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def calibrate_network(
    feed: SampleMaker,
    paths: Sequence[Path],
    store: WeightStore,
    analyser: FaceAnalyser,
    observe: Observe | None = None,
) -> Calibrated:
    """Makes a network's int8 graph with the faces of pictures, videos and folders of such.

    Files are looked at until enough of them have given faces: first some that are evenly spread
    over all, then those between. The faces go in by the order of their files and in time. The graph
    is tested on the last fifth of them or more, which it is not calibrated on: these are all those
    of the last files. Where that would be over half, as it is with a single clip, they are the last
    of a file whose others it is calibrated on, and may show the same people a moment later.
    `observe` hears of each face that went through the network.

    Raises:
        MediaError: A file that was named cannot be read, or a folder holds none that can.
        NoFaceFound: There are fewer faces than `MIN_FACES`.
        WeightsError: The network is missing or corrupt, or strays too far from fp32.
        RuntimeUnavailable: The network cannot be run or prepared.
    """
    most = min(MAX_FACES, max(MIN_FACES, _CROP_BYTES // (12 * feed.side**2)))
    files = _list_files(paths)
    found, skipped = _collect_faces(feed, files, analyser, most)
    seen, counts = found.seen, found.counts
    if not seen and len(skipped) == len(files):
        raise _no_media_error(paths)
    if len(seen) < MIN_FACES:
        faces = "1 face was" if len(seen) == 1 else f"{len(seen)} faces were"
        raise NoFaceFound(
            f"{faces} found in {', '.join(map(str, paths))}, and a "
            f"calibration takes at least {MIN_FACES}; name more pictures or videos."
        )
    held_out, apart = _held_out_count(counts)
    result = calibrate(
        store,
        feed.name,
        _report_progress(_pair_samples(feed, seen[:-held_out]), len(seen) - held_out, observe),
        list(_pair_samples(feed, seen[-held_out:])),
    )
    return Calibrated(feed.name, len(counts), len(seen), apart, result, tuple(skipped))


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """A face as a target, and what the network takes of it as a source."""

    target: Aligned
    source: Any


class _FaceReservoir:
    """At most so many faces, of as many files as there are, and of all parts of each file."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._files: dict[int, list[_Sample]] = {}
        self._lots = np.random.default_rng(0)

    @property
    def seen(self) -> list[_Sample]:
        """In the order of their files, and in that of each file."""
        return list(chain(*self._in_order()))

    @property
    def counts(self) -> list[int]:
        """How many there are of each file that has any."""
        return [len(file) for file in self._in_order() if file]

    def add(self, place: int, faces: Iterable[_Sample]) -> None:
        """Takes those of one more file, which has this place among the files.

        Where they become too many, the file with the most of them gives one up by lot: of those
        that the present file has shown so far, each stays with the same chance.
        """
        own: list[_Sample] = []
        self._files[place] = own
        for met, face in enumerate(faces, 1):
            own.append(face)
            if sum(self.counts) > self._most:
                fullest = max(self._files.values(), key=len)
                lot = int(self._lots.integers(met if fullest is own else len(fullest)))
                del fullest[min(lot, len(fullest) - 1)]

    def _in_order(self) -> Iterator[list[_Sample]]:
        return (self._files[place] for place in sorted(self._files))


def _held_out_count(counts: Sequence[int]) -> tuple[int, bool]:
    """How many of the last faces are held out, and whether these are all faces of their files."""
    total = sum(counts)
    least = max(_MIN_HELD_OUT, total // _HELD_OUT_DIVISOR)
    whole = next(held for held in accumulate(reversed(counts)) if held >= least)
    apart = whole <= total // 2
    return (whole if apart else least), apart


def _collect_faces(
    feed: SampleMaker, files: Sequence[_File], analyser: FaceAnalyser, most: int
) -> tuple[_FaceReservoir, list[str]]:
    """The files' faces, and a sentence on each of a folder's files that cannot be read."""
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
    """Those that are pictures or videos, with their places."""
    for place, file in files:
        try:
            yield place, file, probe(file.path)
        except MediaError as error:
            file.skip(error, skipped)


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and whether it was named itself and not the folder that it is in."""

    path: Path
    named: bool

    def skip(self, error: MediaError, skipped: list[str]) -> None:
        """Notes why it cannot be read; what was named is not skipped."""
        if self.named:
            raise error
        skipped.append(str(error))


def _list_files(paths: Sequence[Path]) -> list[_File]:
    """The files that are meant, each once, in the order given; those of a folder by name.

    Raises:
        MediaError: A folder holds none.
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
    """All files with their places: so many evenly spread over all, so many of the rest, and on."""
    left = list(enumerate(files))
    while left:
        count = min(len(left), most)
        chosen = [number * len(left) // count for number in range(count)]
        yield from (left[one] for one in chosen)
        for one in reversed(chosen):
            del left[one]


def _read_frames(path: Path, info: VideoInfo, most: int) -> Generator[Frame]:
    """The picture of a still, or pictures spread over a video."""
    rate = float(info.frame_rate)
    if info.duration is None or info.duration <= _MAX_DECODED:
        step = max(1, round(rate * max(_MIN_INTERVAL, (info.duration or 0) / most)))
        with closing(read_frames(path)) as frames:
            yield from islice(frames, 0, step * most, step)
    else:
        yield from sampled_frames(
            path, Trim(), duration=info.duration, every=_MIN_INTERVAL, most=most
        )


def _find_faces(feed: SampleMaker, frame: Frame, analyser: FaceAnalyser) -> Iterator[_Sample]:
    for face in analyser.analyse_picture(frame):
        source = feed.encode(cut_portrait("calibration", frame, face))
        yield _Sample(align(frame, face, feed.template, feed.side), source)


def _pair_samples(feed: SampleMaker, seen: Sequence[_Sample]) -> Iterator[Sample]:
    """Each face as a target, with the source of one that is far from it in time and files."""
    away = len(seen) // 2
    for number, face in enumerate(seen):
        yield feed.sample(face.target, seen[number - away].source)


def _report_progress(
    samples: Iterable[Sample], total: int, observe: Observe | None
) -> Iterator[Sample]:
    for number, sample in enumerate(samples):
        if observe is not None:
            observe(Progress(number, total, "calibrating"))
        yield sample
    if observe is not None:
        observe(Progress(total, total, "calibrating"))
