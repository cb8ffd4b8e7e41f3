"""The only place where frame threads start: read ahead, map in order, and time what happens.

Values and failures travel down the chain, `close()` travels up it. Whoever stops early closes the
last iterator (`contextlib.closing`); every stage before it then ends, and no thread outlives the
call to `close()`.
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
    """The values of `source`, drawn by a thread of its own, at most `depth` of them ahead.

    The thread starts at the first `next`, and closes `source` itself, as a generator must not be
    closed while another thread runs it. What `source` raises is raised here, after the values
    that came before it; what it raises once the reader has closed is dropped, as nobody asks.
    """
    _require_positive(depth=depth)
    slots = threading.Semaphore(depth)
    ready: SimpleQueue[_Item[T] | _End] = SimpleQueue()
    stopped = threading.Event()

    def pump() -> None:
        failure: BaseException | None = None
        try:
            iterator = iter(source)
            # A slot is taken before the value is drawn, so that `depth` bounds what exists.
            while slots.acquire() and not stopped.is_set():
                ready.put(_Item(next(iterator)))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - it is re-raised in the reader's thread
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
            # Freed before the value is handed on: while the reader works on it, the next is drawn.
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
    """`function` of each value, computed by `workers` threads, in the order of `source`.

    At most `depth` values are in work or waiting to be read. `source` is drawn in the reader's
    thread. A failure of `function` is raised at its value's turn; on any end, values not yet
    begun are dropped, those in work are waited for, and `source` is closed.
    """
    _require_positive(workers=workers, depth=depth)
    # No executor: the interpreter shuts those down when the main thread ends, and a job that runs
    # in another thread is to be finished.
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
    """Answers tasks until there is a None."""
    while (task := tasks.get()) is not None:
        future, value = task
        if future.set_running_or_notify_cancel():
            try:
                result = function(value)
            except BaseException as error:  # noqa: BLE001 - the reader raises it at its turn
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        # Frames are large: none is kept while waiting for the next.
        del task, future, value


class Stopwatch:
    """Wall-clock seconds spent inside each stage, over all threads.

    A stage within a stage counts for the inner one alone, so waiting for another stage can be
    taken out of a stage's time by naming it None. Threads add up: two workers busy for a second
    make two seconds.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._local = threading.local()

    @property
    def seconds(self) -> dict[str, float]:
        """A copy of what was measured so far, by stage."""
        with self._lock:
            return dict(self._seconds)

    @contextmanager
    def stage(self, name: str | None) -> Generator[None]:
        """Time the block for the stage `name`; None measures only to leave it out of the outer."""
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
        """The values of `source`; the time to draw each is the stage's. Closing closes `source`."""
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
        """`function`, its calls timed for the stage `name`."""

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
