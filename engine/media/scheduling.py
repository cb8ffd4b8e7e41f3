"""Keep the threads of encoders from real-time scheduling."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Give this thread, and those that begin inside, the scheduling that this thread had before.

    Where it runs as root, as in most containers, SVT-AV1 takes the highest real-time priority for
    its threads and the one that opens it, and child processes inherit that. While such threads
    work, other programs get no processor, nor do the same program's threads in their turn.
    """
    usual, before = _scheduling(), set(_threads())
    try:
        yield
    finally:
        if usual is not None:
            for thread in {0, *_threads()} - before:
                with suppress(OSError):  # it has ended meanwhile
                    os.sched_setscheduler(thread, *usual)


def _scheduling() -> tuple[int, os.sched_param] | None:
    """The policy and the priority of this thread; None where they are not told."""
    if sys.platform != "linux":
        return None
    try:
        return os.sched_getscheduler(0), os.sched_getparam(0)
    except OSError:  # another C library than glibc, or a sandbox
        return None


def _threads() -> list[int]:
    try:
        return [int(entry.name) for entry in _THREADS.iterdir()]
    except OSError:  # no /proc
        return []
