"""How far the work is: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO, TypeAlias

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from engine.pipeline.run import Progress

Observe: TypeAlias = Callable[[Progress], None]

_EVERY = 5.0  # seconds between two plain lines


@contextmanager
def shown(stream: TextIO, unit: str = "frames") -> Generator[Observe]:
    """An observer that shows progress on `stream` for as long as the context is open."""
    with _bar(stream, unit) if stream.isatty() else plain(stream, unit) as observe:
        yield observe


@contextmanager
def _bar(stream: TextIO, unit: str) -> Generator[Observe]:
    bar = Bar(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(file=stream),
        transient=True,
    )
    with bar:
        task = bar.add_task(unit, total=None, rate="")
        start = time.monotonic()

        def observe(progress: Progress) -> None:
            nonlocal start
            start = start if progress.done else time.monotonic()
            rate = rate_of(progress.done, time.monotonic() - start, unit)
            bar.update(task, completed=progress.done, total=progress.total, rate=rate)

        yield observe


@contextmanager
def plain(
    stream: TextIO, unit: str = "frames", clock: Callable[[], float] = time.monotonic
) -> Generator[Observe]:
    """An observer that writes a line every few seconds."""
    start = said = clock()

    def observe(progress: Progress) -> None:
        nonlocal start, said
        now = clock()
        # What went before the first is not counted.
        start = start if progress.done else now
        if now - said >= _EVERY:
            said = now
            stream.write(f"{line(progress.done, progress.total, now - start, unit)}\n")
            stream.flush()

    yield observe


def line(done: int, total: int | None, elapsed: float, unit: str = "frames") -> str:
    """Progress in words: how many are done, how many a second, and the time left where known."""
    if total is None:
        return f"{done} {unit}, {rate_of(done, elapsed, unit)}"
    left = timedelta(seconds=round(elapsed / done * (total - done))) if done else None
    words = f"{done} of {total} {unit}, {rate_of(done, elapsed, unit)}"
    return words if left is None else f"{words}, {left} left"


def rate_of(done: int, elapsed: float, unit: str = "frames") -> str:
    """How many a second, in words."""
    return f"{done / elapsed:.1f} {unit}/s" if elapsed > 0 else f"- {unit}/s"
