"""Run tasks in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Final

from engine.errors import ParameterError, RuntimeUnavailable
from engine.executors.executor import ResultT, TaskT
from engine.runtime.session import cores

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Processes:
    """Runs tasks in `count` processes at a time.

    Raises:
        ParameterError: `count` is no whole number from 1.
    """

    count: int

    def __post_init__(self) -> None:
        whole = isinstance(self.count, int) and not isinstance(self.count, bool)
        if not whole or self.count < 1:
            raise ParameterError(
                f"The number of processes is {self.count!r}; allowed: a whole number from 1."
            )

    @property
    def threads(self) -> int:
        """Number of processors that a task may use: a share of all."""
        return max(1, cores() // self.count)

    def check(self, files: Sequence[Path]) -> None:
        """Do nothing: all processes read the same files."""

    def map(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Iterator[tuple[TaskT, ResultT]]:
        """Yield each task with its result, as `Executor` says."""
        left = dict(enumerate(tasks))
        failures = 0  # in a row, without a result in between
        while failures < _ATTEMPTS:
            for number, result in self._attempt(function, dict(left)):
                failures = 0
                yield left.pop(number), result
            if not left:
                return
            failures += 1
        raise RuntimeUnavailable(
            f"The processes of {len(left)} tasks died {_ATTEMPTS} times; see the system's log, use "
            "fewer processes if memory is short, and in a script of your own call the engine below "
            '`if __name__ == "__main__":`.'
        )

    def _attempt(
        self, function: Callable[[TaskT], ResultT], tasks: dict[int, TaskT]
    ) -> Iterator[tuple[int, ResultT]]:
        """Yield results until all are there, or a process has died."""
        pool = ProcessPoolExecutor(
            self.count, multiprocessing.get_context("spawn"), _end_with_parent
        )
        try:
            futures: dict[Future[ResultT], int] = {
                pool.submit(function, task): number for number, task in tasks.items()
            }
            for future in as_completed(futures):
                try:
                    result = future.result()
                except BrokenProcessPool:
                    return
                yield futures[future], result
        finally:
            for process in list((pool._processes or {}).values()):  # noqa: SLF001 - no public way
                process.terminate()
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that started it ends, however it ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent.sentinel,), daemon=True).start()


def _wait_for(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
