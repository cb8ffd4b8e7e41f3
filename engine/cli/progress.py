"""Progress of the work: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from engine.pipeline.video import Observe, Progress, Stage

_EVERY: Final = 5.0  # seconds between two plain lines
_WINDOW: Final = 30.0  # seconds over which the rate is measured
_ENOUGH: Final = 2.0  # seconds of work before a rate is shown
_COUNTED: Final[frozenset[Stage]] = frozenset(
    {"reading the source", "swapping", "calibrating", "analysing"}
)


class Overall:
    """Progress over many targets: how many are done, the time left, and the one in work."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._worked = 0
        self.total = total
        self.done = 0
        self.name = ""

    def begin(self, name: str) -> None:
        """Take in the name of the next target."""
        self.name = name

    def end(self, *, skipped: bool = False) -> None:
        """Take in that a target is done; one that was skipped tells nothing of the time left."""
        self.done += 1
        self._worked += not skipped

    def words(self, *, with_time: bool) -> str:
        """Return the count, the time left if it is wanted and can be told, and the target."""
        count = f"{self.done} of {self.total} targets"
        spent = self._clock() - self._began
        if with_time and self._worked and spent >= _ENOUGH:
            left = timedelta(seconds=round(spent / self._worked * (self.total - self.done)))
            count = f"{count}, {left} left"
        return f"{count}; {self.name}"


class Meter:
    """Measures the rate of a stage over the last seconds.

    It counts from the first finished frame, as loading and filling the stages take longer.
    """

    def __init__(
        self,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
        overall: Overall | None = None,
    ) -> None:
        self._unit = unit
        self._clock = clock
        self._overall = overall
        self._seen: deque[tuple[float, int]] = deque()
        self.stage = ""
        self.words = ""
        self.counted = ""  # the last line with a count

    def observe(self, progress: Progress) -> None:
        """Take in the progress."""
        if progress.stage != self.stage:
            self._seen.clear()
        self.stage = progress.stage
        counts = progress.done or progress.total is not None  # a single picture counts nothing
        if progress.stage not in _COUNTED or not counts:
            self.words = ""
            return
        now = self._clock()
        if progress.done:
            self._seen.append((now, progress.done))
        while self._seen and now - self._seen[0][0] > _WINDOW and len(self._seen) > 2:
            self._seen.popleft()
        self.words = self._words(progress)
        if progress.done:
            self.counted = self.line()

    @property
    def title(self) -> str:
        """The stage, after the progress over all targets if there are many."""
        if self._overall is None or not self.stage:
            return self.stage
        # The frames of a video tell their own time.
        return f"{self._overall.words(with_time=not self.words)}: {self.stage}"

    def line(self) -> str:
        """Return stage, count and rate in words; empty before the first progress."""
        return f"{self.title}: {self.words}" if self.words else self.title

    def _words(self, progress: Progress) -> str:
        if progress.stage == "reading the source" and progress.total:
            return f"{progress.done / progress.total:.0%}"
        of = "" if progress.total is None else f" of {progress.total}"
        words = f"{progress.done}{of} {self._unit}"
        rate = self._rate()
        if rate is None:
            return words
        words = f"{words}, {rate:.1f} {self._unit}/s"
        if progress.total is None:
            return words
        left = timedelta(seconds=round(max(progress.total - progress.done, 0) / rate))
        return f"{words}, {left} left"

    def _rate(self) -> float | None:
        """Return frames per second; None if it is not known yet."""
        if not self._seen:
            return None
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - began) if now - began >= _ENOUGH and last > first else None


@contextmanager
def shown(
    stream: TextIO, unit: str = "frames", overall: Overall | None = None
) -> Generator[Observe]:
    """Yield an observer that shows progress on `stream` while the context is open."""
    view = _bar(stream, unit, overall) if stream.isatty() else plain(stream, unit, overall=overall)
    with view as observe:
        yield observe


@contextmanager
def _bar(stream: TextIO, unit: str, overall: Overall | None) -> Generator[Observe]:
    bar = Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )
    meter = Meter(unit, overall=overall)
    with bar:
        task = bar.add_task("", total=None, words="")

        def observe(progress: Progress) -> None:
            meter.observe(progress)
            whole = progress if overall is None else overall
            bar.update(
                task,
                description=meter.title,
                completed=whole.done,
                total=whole.total,
                words=meter.words,
            )

        yield observe


@contextmanager
def plain(
    stream: TextIO,
    unit: str = "frames",
    every: float = _EVERY,
    overall: Overall | None = None,
) -> Generator[Observe]:
    """Yield an observer; its state is written as a line every few seconds, also if it is stuck.

    If any line was written, the last count is written at the end.
    """
    meter = Meter(unit, overall=overall)
    ended = threading.Event()
    counted: str | None = None  # the count at the last line; None if no line was written

    def write(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    def write_regularly() -> None:
        nonlocal counted
        while not ended.wait(every):
            if line := meter.line():
                counted = meter.counted
                write(line)

    writer = threading.Thread(target=write_regularly, name="progress", daemon=True)
    writer.start()
    try:
        yield meter.observe
    finally:
        ended.set()
        writer.join()
        if counted is not None and meter.counted != counted:
            write(meter.counted)
