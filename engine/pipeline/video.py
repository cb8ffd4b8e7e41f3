"""Path of a video's frames through the stages, with progress and threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, TypeAlias

from engine.pipeline.recorder import Recorder
from engine.pipeline.stages import SwappedFrame
from engine.pipeline.threads import Stopwatch, ordered_map, prefetch
from engine.values import Analysed, Frame, Planned

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
    """Progress of a run: its stage, and the frames done so far of `total`, None if unknown.

    In the stage "reading the source", these are steps: two for each picture of a clip, or one for
    each of several files.
    """

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


def swapped_frames(
    frames: Iterable[Frame],
    analyse: Analyse,
    plan: Plan,
    swap: Swap,
    *,
    recorder: Recorder,
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
        planned = map(recorder.plan, plan(analysed))
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
        yield from map(recorder.finish, chain.from_iterable(swapped))


def _batched(stream: Iterable[Planned], size: int) -> Iterator[list[Planned]]:
    """Yield the stream in lists of `size`, the last one possibly shorter."""
    stream = iter(stream)
    while some := list(islice(stream, size)):
        yield some
