"""Path of a video's frames through the stages, with progress, threads and counters."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, TypeAlias

from engine.pipeline.stages import SwappedFrame
from engine.pipeline.threads import Stopwatch, ordered_map, prefetch
from engine.values import Analysed, Face, Frame, Planned

Analyse: TypeAlias = Callable[[Iterable[Frame]], Iterator[Analysed]]
Plan: TypeAlias = Callable[[Iterable[Analysed]], Iterator[Planned]]
Swap: TypeAlias = Callable[[Sequence[Planned]], list[SwappedFrame]]

# Frames that may wait between two stages: enough to even out slow ones, and a bound on memory.
QUEUE_DEPTH = 8


# Stages of a run, in the order of a swap; the last two belong to other runs.
Stage: TypeAlias = Literal[
    "loading networks",
    "reading the source",
    "checking content",
    "finding the reference",
    "swapping",
    "writing",
    "calibrating",
    "analysing",
]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run: its stage, and the frames written so far of `total`, None if unknown."""

    done: int
    total: int | None
    stage: Stage = "swapping"


Observe: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Threads:
    """Division of the cores: threads inside each network, and workers that swap faces."""

    network: int
    workers: int

    @classmethod
    def of(cls, cores: int) -> Threads:
        """Divide `cores` cores.

        A network may use all of them, as one network runs at a time and idle threads sleep. Workers
        get half, as analysis and encoding run beside them. Both are at most 8, which bounds memory.
        """
        return cls(network=max(1, min(cores, 8)), workers=max(1, min(cores // 2, 8)))


class SwapCounter:
    """Counts frames, faces and distances of one run.

    `distance` returns a face's distance to the nearest reference; None without references. A chosen
    face counts as swapped if the swap is visible in the frame, else as faded.
    """

    def __init__(self, distance: Callable[[Face], float] | None = None) -> None:
        self.frames = 0
        self.faces_seen = 0
        self.faces_chosen = 0
        self.faces_swapped = 0
        self.frames_with_swap = 0
        self.smallest_accepted: float | None = None
        self.nearest_rejected: float | None = None
        self._accepted_sum = 0.0
        self._distance = distance

    @property
    def faces_faded(self) -> int:
        """Number of chosen faces that the output shows unchanged."""
        return self.faces_chosen - self.faces_swapped

    @property
    def mean_accepted(self) -> float | None:
        """Mean distance of the chosen faces; None if no distance was measured."""
        if self.smallest_accepted is None:
            return None
        return self._accepted_sum / self.faces_chosen

    def count(self, planned: Planned) -> Planned:
        """Count a frame with its faces and chosen faces, and return it."""
        self.frames += 1
        self.faces_seen += len(planned.faces)
        self.faces_chosen += len(planned.chosen)
        if self._distance is not None:
            chosen = {id(face) for face in planned.chosen}
            for face in planned.faces:
                self._measure(self._distance(face), accepted=id(face) in chosen)
        return planned

    def count_swapped(self, swapped: SwappedFrame) -> Frame:
        """Count the swapped faces of a frame, and return the frame."""
        self.faces_swapped += swapped.faces
        self.frames_with_swap += bool(swapped.faces)
        return swapped.frame

    def _measure(self, distance: float, *, accepted: bool) -> None:
        if accepted:
            self._accepted_sum += distance
            self.smallest_accepted = _minimum(self.smallest_accepted, distance)
        else:
            self.nearest_rejected = _minimum(self.nearest_rejected, distance)


def _minimum(known: float | None, new: float) -> float:
    return new if known is None else min(known, new)


def swapped_frames(
    frames: Iterable[Frame],
    analyse: Analyse,
    plan: Plan,
    swap: Swap,
    *,
    counter: SwapCounter,
    watch: Stopwatch,
    workers: int,
    at_once: int = 1,
) -> Generator[Frame]:
    """Yield the finished frames in order.

    Decoding and analysis have a thread each; `workers` threads swap, `at_once` frames at a time.
    When this generator ends or is closed, every stage is closed and every thread has ended.
    """
    with ExitStack() as stages:
        decoded = stages.enter_context(
            closing(prefetch(watch.timed("decode", frames), QUEUE_DEPTH))
        )
        analysed = stages.enter_context(
            closing(
                prefetch(watch.timed("analyse", analyse(watch.timed(None, decoded))), QUEUE_DEPTH)
            )
        )
        planned = map(counter.count, plan(analysed))
        swapped = stages.enter_context(
            closing(
                ordered_map(
                    watch.call("swap", swap),
                    _batched(planned, at_once),
                    workers,
                    max(workers, QUEUE_DEPTH // at_once),
                )
            )
        )
        yield from map(counter.count_swapped, chain.from_iterable(swapped))


def _batched(stream: Iterable[Planned], size: int) -> Iterator[list[Planned]]:
    """Yield the stream in lists of `size`, the last one possibly shorter."""
    stream = iter(stream)
    while some := list(islice(stream, size)):
        yield some
