"""Threads of the pipeline: prefetch, map in order, and measure time.

No other module starts threads for frames. Values and exceptions pass down the chain of iterators,
`close()` passes up. A consumer that stops early closes the last iterator (`contextlib.closing`);
then every stage before it ends, and no thread outlives the call to `close()`.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    failure: BaseException | None


def prefetch(source: Iterable[T], depth: int) -> Generator[T]:
    """Yield the values of `source`, which a thread reads up to `depth` values ahead.

    The thread starts at the first `next`. It closes `source` itself, as a generator must not be
    closed while another thread runs it. An exception of `source` is raised here after the values
    before it; an exception after `close()` is dropped.
    """
    _require_positive(depth=depth)
    slots = threading.Semaphore(depth)
    ready: SimpleQueue[_Item[T] | _End] = SimpleQueue()
    stopped = threading.Event()

    def pump() -> None:
        failure: BaseException | None = None
        try:
            iterator = iter(source)
            # Take the slot before reading the value, so that at most `depth` values exist.
            while slots.acquire() and not stopped.is_set():
                ready.put(_Item(next(iterator)))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the reader's thread
            failure = error
        try:
            _close(source)
        except BaseException as error:  # noqa: BLE001 - the same
            failure = failure or error
        ready.put(_End(failure))

    thread = threading.Thread(target=pump, name="engine-prefetch", daemon=True)
    thread.start()
    try:
        while isinstance(item := ready.get(), _Item):
            # Release before yielding: the next value is read while the reader works on this one.
            slots.release()
            yield item.value
        if item.failure is not None:
            raise item.failure
    finally:
        stopped.set()
        slots.release()
        thread.join()


def ordered_map(
    function: Callable[[T], R], source: Iterable[T], workers: int, depth: int
) -> Generator[R]:
    """Yield `function` of each value in the order of `source`, computed by `workers` threads.

    At most `depth` values are in work or waiting to be read. `source` is read in the caller's
    thread. An exception of `function` is raised at its value's turn. At the end, values not yet
    started are dropped, started ones are awaited, and `source` is closed.
    """
    _require_positive(workers=workers, depth=depth)
    # An executor is shut down when the main thread ends, but a job in another thread must finish.
    tasks: SimpleQueue[tuple[Future[R], T] | None] = SimpleQueue()
    threads = [
        threading.Thread(target=_run_tasks, args=(function, tasks), name=f"engine-worker-{n}")
        for n in range(workers)
    ]
    pending: deque[Future[R]] = deque()
    for thread in threads:
        thread.start()
    try:
        for value in source:
            future: Future[R] = Future()
            pending.append(future)
            tasks.put((future, value))
            while pending and (len(pending) >= depth or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            thread.join()
        _close(source)


def _run_tasks(function: Callable[[T], R], tasks: SimpleQueue[tuple[Future[R], T] | None]) -> None:
    """Run tasks until a None arrives."""
    while (task := tasks.get()) is not None:
        future, value = task
        if future.set_running_or_notify_cancel():
            try:
                result = function(value)
            except BaseException as error:  # noqa: BLE001 - the reader raises it
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        # Frames are large: keep none while waiting for the next task.
        del task, future, value


class Stopwatch:
    """Measures the wall-clock seconds spent in each stage, summed over all threads.

    Time in a nested stage counts for the inner stage only. The stage None is not recorded, so that
    waiting can be excluded from the outer stage.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._local = threading.local()

    @property
    def seconds(self) -> dict[str, float]:
        """Copy of the seconds measured so far, by stage."""
        with self._lock:
            return dict(self._seconds)

    @contextmanager
    def stage(self, name: str | None) -> Generator[None]:
        """Time a block as the stage `name`; None excludes it from the outer stage."""
        inner: list[float] = self._local.__dict__.setdefault("inner", [])
        inner.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            own = elapsed - inner.pop()
            if inner:
                inner[-1] += elapsed
            if name is not None:
                with self._lock:
                    self._seconds[name] += own

    def timed(self, name: str | None, source: Iterable[T]) -> Generator[T]:
        """Yield the values of `source`, timing the reading of each; closing closes `source`."""
        iterator: Iterator[T] = iter(source)
        try:
            while True:
                with self.stage(name):
                    try:
                        value = next(iterator)
                    except StopIteration:
                        return
                yield value
        finally:
            with self.stage(name):
                _close(source)

    def call(self, name: str, function: Callable[[T], R]) -> Callable[[T], R]:
        """Return `function` with its calls timed as the stage `name`."""

        def timed_function(value: T) -> R:
            with self.stage(name):
                return function(value)

        return timed_function


def _close(source: Iterable[object]) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is {number}; it must be at least 1.")
