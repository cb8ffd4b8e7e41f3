"""Prevent encoders from giving their threads real-time priority."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Restore this thread's scheduling at the end of the block, and give it to new threads.

    As root, SVT-AV1 takes the highest real-time priority for its threads and for the thread that
    opens it, and child processes inherit it. Other programs, and other threads of this one, then
    get no processor time while it works.
    """
    own, before = _scheduling(), set(_threads())
    try:
        yield
    finally:
        if own is not None:
            for thread in {0, *_threads()} - before:
                with suppress(OSError):  # the thread has ended
                    os.sched_setscheduler(thread, *own)


def _scheduling() -> tuple[int, os.sched_param] | None:
    """Return policy and priority of this thread, or None if they are not available."""
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
