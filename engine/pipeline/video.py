"""The path of a video through the stages, and what is counted on the way."""

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

# Frames that may wait between two stages: enough to even out slow frames, and a bound on memory.
QUEUE_DEPTH = 8


# What a run is at, in the order of a swap; the last two are those of other runs.
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
    """Frames written so far, and what the run is at; `total` is None where it is not known."""

    done: int
    total: int | None
    stage: Stage = "swapping"


@dataclass(frozen=True, slots=True)
class Threads:
    """How the cores are shared out: threads inside each network, and workers that swap faces."""

    network: int
    workers: int

    @classmethod
    def of(cls, cores: int) -> Threads:
        """A network may use all cores, as its threads sleep when they wait, and one runs at a time.

        Workers run beside analysis and encoding, which take the other half of the cores. Eight of
        either is a bound on threads and memory, however many cores there are.
        """
        return cls(network=max(1, min(cores, 8)), workers=max(1, min(cores // 2, 8)))


class SwapCounter:
    """What was seen and swapped. `distance` measures a face's distance to the reference, if any.

    Chosen faces count as swapped where the swap is to be seen, and as faded elsewhere.
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
        """Faces that were chosen, and of which the output shows them as they were."""
        return self.faces_chosen - self.faces_swapped

    @property
    def mean_accepted(self) -> float | None:
        """The mean distance of the chosen faces; None where no distance was measured."""
        if self.smallest_accepted is None:
            return None
        return self._accepted_sum / self.faces_chosen

    def count(self, planned: Planned) -> Planned:
        """Count a frame and the faces that were chosen, and hand it on."""
        self.frames += 1
        self.faces_seen += len(planned.faces)
        self.faces_chosen += len(planned.chosen)
        if self._distance is not None:
            chosen = {id(face) for face in planned.chosen}
            for face in planned.faces:
                self._measure(self._distance(face), accepted=id(face) in chosen)
        return planned

    def count_swapped(self, swapped: SwappedFrame) -> Frame:
        """Count the faces that were swapped, and hand the frame on."""
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
    tally: SwapCounter,
    watch: Stopwatch,
    workers: int,
    at_once: int = 1,
) -> Generator[Frame]:
    """The finished frames, in order: decoded and analysed in a thread each, swapped by `workers`.

    `swap` is given `at_once` frames at a time. However it ends, every stage is closed and every
    thread has ended when this generator has.
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
        planned = map(tally.count, plan(analysed))
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
        yield from map(tally.count_swapped, chain.from_iterable(swapped))


def _batched(stream: Iterable[Planned], size: int) -> Iterator[list[Planned]]:
    """The stream in lists of `size`, the last one perhaps shorter."""
    stream = iter(stream)
    while some := list(islice(stream, size)):
        yield some
