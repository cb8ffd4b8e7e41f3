"""Tasks for the child processes of the tests."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import Cancelled, NoFaceFound
from engine.jobs.process import ReportProgress
from engine.media.untrusted import TooLarge

_damaged = False


def echo(given: Any, _tell: ReportProgress) -> dict[str, Any]:
    """Returns what was given, and which process it is."""
    return {"given": given, "pid": os.getpid()}


def environment(_given: Any, _tell: ReportProgress) -> list[str]:
    """Returns the names of the variables that this process was given."""
    return [*os.environ]


def slow_to_begin(given: float, tell: ReportProgress) -> None:
    """Takes its time before it says that it has begun, as a child that is starting."""
    time.sleep(given)
    tell(0, 1)


def count(given: int, tell: ReportProgress) -> int:
    """Tells of some steps."""
    for n in range(given):
        tell(n + 1, given)
    return given


def babble(_given: Any, tell: ReportProgress) -> None:
    """Tells of steps for a minute, and does not heed a stop."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(Cancelled):
            tell(1, None)
        time.sleep(0.05)


def die(given: str, _tell: ReportProgress) -> None:
    """Ends by a signal."""
    os.kill(os.getpid(), getattr(signal, given))
    time.sleep(60)


def leave(given: int, _tell: ReportProgress) -> None:
    """Ends with an exit code."""
    os._exit(given)


def fail(given: str, _tell: ReportProgress) -> None:
    """Raises an error."""
    errors = {
        "own": NoFaceFound("nobody"),
        "below": TooLarge("too large"),
        "other": KeyError("x"),
        "memory": MemoryError(),
    }
    raise errors[given]


def chatter(_given: Any, _tell: ReportProgress) -> str:
    """Prints, reads and is asked to end, which is none of the parent's messages."""
    sys.stdout.write("hello\n")
    sys.stdout.flush()
    os.write(1, b"{}\n")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    return sys.stdin.read()


def damage(_given: Any, _tell: ReportProgress) -> None:
    """Leaves something broken for the next task, as a double free does."""
    global _damaged  # noqa: PLW0603
    _damaged = True


def work(given: str, tell: ReportProgress) -> str:
    """Notes its process, and crashes where this is damaged or it is asked to."""
    tell(1, 2)
    with Path(given).open("a") as log:
        log.write(f"{os.getpid()}\n")
    if _damaged or "guilty" in given:
        os.kill(os.getpid(), signal.SIGSEGV)
    return given


def stubborn(given: str, _tell: ReportProgress) -> None:
    """Never tells of anything, as what hangs in native code."""
    Path(given).write_text(str(os.getpid()))
    time.sleep(60)


def steps(given: str, tell: ReportProgress) -> None:
    """Works for a long time in steps, and cleans up when it is stopped."""
    Path(given).write_text(str(os.getpid()))
    try:
        for n in range(10_000):
            tell(n, 10_000)
            time.sleep(0.01)
    finally:
        Path(given).with_suffix(".cleaned").touch()


def job(given: dict[str, Any], tell: ReportProgress) -> dict[str, Any]:
    """Do a job as `engine.hosted.tasks.perform` does, or crashes beside its output."""
    folder, request = Path(given["folder"]), given["request"]
    made = folder / f".output.{given['id']}-{given['claim']}.txt"
    made.write_text(json.dumps(request))
    tell(1, 1)
    if "signal" in request:
        os.kill(os.getpid(), getattr(signal, request["signal"]))
    return {
        "output": str(folder / "output.txt"),
        "metrics": {"pid": os.getpid()},
        "partial": str(made),
        "overwrite": True,
    }
