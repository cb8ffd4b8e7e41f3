"""Protocol of executors, which run tasks and know nothing of faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


class Executor(Protocol):
    """Runs tasks at the same time, in other processes.

    A function is called by its name there, so it must be in a module. Tasks and results are
    pickled.
    """

    @property
    def threads(self) -> int:
        """Number of processors that a task may use."""
        ...

    def check(self, files: Sequence[Path]) -> None:
        """Check that every machine reads the same files as this one.

        Raises:
            RuntimeUnavailable: One does not, or cannot be reached.
        """
        ...

    def map(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Iterator[tuple[TaskT, ResultT]]:
        """Yield each task with its result, in the order of completion.

        A task whose process dies is run again elsewhere, a few times. Closing the iterator ends the
        tasks that run.

        Raises:
            RuntimeUnavailable: The processes of a task died again and again.
            Exception: What a task raises.
        """
        ...
