"""Networks made fit for whole numbers of 8 bits by the faces that a user swaps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from engine.enhance.restorer import Restorer
from engine.errors import MediaError, NoFaceFound
from engine.faces.analyser import FaceAnalyser
from engine.media.decode import read_frames
from engine.media.probe import probe
from engine.media.samples import sampled_frames
from engine.options import Trim
from engine.pipeline.run import Progress
from engine.pipeline.stages import align
from engine.pixels.planes import region
from engine.runtime.quantise import Calibration, Sample
from engine.runtime.surgery import calibrate
from engine.runtime.weights import WeightStore
from engine.swappers.neural import NeuralSwapper
from engine.values import Aligned, Frame, Portrait, Rect, Template

LEAST_FACES: Final = 16
MOST_FACES: Final = 128

_CROP_BYTES = 2**29  # that all crops may take together
_HELD_OUT = 5  # one face of so many
_LEAST_HELD_OUT = 4
_EVERY = 0.2  # seconds between two looks at a video, at least: faces nearer in time are alike
_WATCHED = 300.0  # seconds of a video that is looked at frame by frame, and not by key frames

Observe: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """What a network is given for a face; crops are of `template` and of the network's `side`.

    `source` is what it takes of a person, if anything; `sample` makes its inputs of a crop and the
    source of another face.
    """

    name: str
    template: Template
    side: int
    source: Callable[[Portrait], Any]
    sample: Callable[[Aligned, Any], Sample]

    @classmethod
    def of(cls, drawer: NeuralSwapper | Restorer) -> Feed:
        """The feed of a swapping or a restoring network."""
        if isinstance(drawer, Restorer):
            return cls(
                drawer.name,
                drawer.template,
                drawer.size,
                lambda _: None,
                lambda target, _: drawer.inputs([target]),
            )
        return cls(
            drawer.name,
            drawer.template,
            drawer.side,
            lambda portrait: drawer.prepare([portrait]),
            lambda target, source: drawer.inputs([target], [source]),
        )


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a network was calibrated on, and what came of it.

    `files` are those that faces were found in, of which there were `faces`; `skipped` holds a
    sentence on each file of a folder that could not be read.
    """

    name: str
    files: int
    faces: int
    result: Calibration
    skipped: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def calibrate_network(
    feed: Feed,
    paths: Sequence[Path],
    store: WeightStore,
    analyser: FaceAnalyser,
    observe: Observe | None = None,
) -> Calibrated:
    """Makes a network's int8 graph with the faces of pictures, videos and folders of such.

    They go in by the order of their files and in time; the last fifth of them is held out, so that
    the graph is tested on faces that it was not calibrated on, and where there are several files
    on other files. `observe` hears of each face that went through the network.

    Raises:
        MediaError: A file that was named cannot be read, or a folder holds none that can.
        NoFaceFound: There are fewer faces than `LEAST_FACES`.
        WeightsError: The network is missing or corrupt, or strays too far from fp32.
        RuntimeUnavailable: The network cannot be run or prepared.
    """
    most = min(MOST_FACES, max(LEAST_FACES, _CROP_BYTES // (12 * feed.side**2)))
    found = _Faces.of(feed, _files(paths), analyser, most)
    if len(found.seen) < LEAST_FACES:
        raise NoFaceFound(
            f"{len(found.seen)} faces were found in {', '.join(map(str, paths))}, and a "
            f"calibration takes at least {LEAST_FACES}; name more pictures or videos."
        )
    held_out = max(_LEAST_HELD_OUT, len(found.seen) // _HELD_OUT)
    result = calibrate(
        store,
        feed.name,
        _told(_samples(feed, found.seen[:-held_out]), len(found.seen) - held_out, observe),
        list(_samples(feed, found.seen[-held_out:])),
    )
    return Calibrated(feed.name, found.files, len(found.seen), result, found.skipped)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A face as a target, and what the network takes of it as a source."""

    target: Aligned
    source: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """The faces that were found, in how many files, and which files could not be read."""

    seen: tuple[_Seen, ...]
    files: int
    skipped: tuple[str, ...]

    @classmethod
    def of(cls, feed: Feed, files: Sequence[_File], analyser: FaceAnalyser, most: int) -> _Faces:
        seen: list[_Seen] = []
        skipped: list[str] = []
        used = 0
        for file in files[:: max(1, len(files) // most)]:
            before = len(seen)
            try:
                with closing(_frames(file.path, -(-most // len(files)))) as frames:
                    for frame in frames:
                        seen += _faces(feed, frame, analyser)
            except MediaError as error:
                if file.named:
                    raise
                skipped.append(str(error))
            used += len(seen) > before
        return cls(tuple(seen[:most]), used, tuple(skipped))


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and whether it was named itself and not the folder that it is in."""

    path: Path
    named: bool


def _files(paths: Sequence[Path]) -> list[_File]:
    """The files that are meant, each once, in the order given; those of a folder by name."""
    found: dict[Path, _File] = {}
    for path in paths:
        inside = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else ()
        visible = (one for one in inside if not one.name.startswith("."))
        for file in [_File(one, named=False) for one in visible] or [_File(path, named=True)]:
            key = file.path.resolve()
            if file.named or key not in found:
                found[key] = file
    return list(found.values())


def _frames(path: Path, most: int) -> Generator[Frame]:
    """The picture of a still, or pictures spread over a video."""
    info = probe(path)
    rate = float(info.frame_rate)
    if info.duration is None or info.duration <= _WATCHED:
        step = max(1, round(rate * max(_EVERY, (info.duration or 0) / most)))
        with closing(read_frames(path)) as frames:
            yield from islice(frames, 0, step * most, step)
    else:
        yield from sampled_frames(path, Trim(), duration=info.duration, every=_EVERY, most=most)


def _faces(feed: Feed, frame: Frame, analyser: FaceAnalyser) -> Iterator[_Seen]:
    faces = analyser.analyse_picture(frame)
    if not faces:
        return
    pixels = region(frame, Rect(0, 0, *frame.size))
    for face in faces:
        source = feed.source(Portrait("calibration", pixels, face))
        yield _Seen(align(frame, face, feed.template, feed.side), source)


def _samples(feed: Feed, seen: Sequence[_Seen]) -> Iterator[Sample]:
    """Each face as a target, with the source of one that is far from it in time and files."""
    away = len(seen) // 2
    for number, face in enumerate(seen):
        yield feed.sample(face.target, seen[number - away].source)


def _told(samples: Iterable[Sample], total: int, observe: Observe | None) -> Iterator[Sample]:
    for number, sample in enumerate(samples):
        if observe is not None:
            observe(Progress(number, total))
        yield sample
    if observe is not None:
        observe(Progress(total, total))
