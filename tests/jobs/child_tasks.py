"""Tasks that tests run in child processes."""

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


def echo(argument: Any, _report: ReportProgress) -> dict[str, Any]:
    """Return the argument and the id of this process."""
    return {"argument": argument, "pid": os.getpid()}


def environment(_argument: Any, _report: ReportProgress) -> list[str]:
    """Return the names of this process's environment variables."""
    return [*os.environ]


def start_slowly(argument: float, report: ReportProgress) -> None:
    """Sleep before the first progress report, like a child that is starting."""
    time.sleep(argument)
    report(0, 1)


def count(argument: int, report: ReportProgress) -> int:
    """Report `argument` steps."""
    for n in range(argument):
        report(n + 1, argument)
    return argument


def ignore_stop(_argument: Any, report: ReportProgress) -> None:
    """Report steps for a minute and ignore requests to stop."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(Cancelled):
            report(1, None)
        time.sleep(0.05)


def kill_self(argument: str, _report: ReportProgress) -> None:
    """End this process by a signal."""
    os.kill(os.getpid(), getattr(signal, argument))
    time.sleep(60)


def exit_with_code(argument: int, _report: ReportProgress) -> None:
    """End this process with an exit code."""
    os._exit(argument)


def fail(argument: str, _report: ReportProgress) -> None:
    """Raise an error."""
    errors = {
        "own": NoFaceFound("nobody"),
        "below": TooLarge("too large"),
        "other": KeyError("x"),
        "memory": MemoryError(),
    }
    raise errors[argument]


def print_and_read(_argument: Any, _report: ReportProgress) -> str:
    """Print, receive signals and read stdin, none of which are the parent's messages."""
    sys.stdout.write("hello\n")
    sys.stdout.flush()
    os.write(1, b"{}\n")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
    return sys.stdin.read()


def damage(_argument: Any, _report: ReportProgress) -> None:
    """Leave a defect that crashes the next task, as a double free does."""
    global _damaged  # noqa: PLW0603
    _damaged = True


def work(argument: str, report: ReportProgress) -> str:
    """Log this process's id; crash after `damage`, or if the file name contains "guilty"."""
    report(1, 2)
    with Path(argument).open("a") as log:
        log.write(f"{os.getpid()}\n")
    if _damaged or "guilty" in argument:
        os.kill(os.getpid(), signal.SIGSEGV)
    return argument


def hang(argument: str, _report: ReportProgress) -> None:
    """Report no progress, like a task that hangs in native code."""
    Path(argument).write_text(str(os.getpid()))
    time.sleep(60)


def run_steps(argument: str, report: ReportProgress) -> None:
    """Work in many steps; clean up when stopped."""
    Path(argument).write_text(str(os.getpid()))
    try:
        for n in range(10_000):
            report(n, 10_000)
            time.sleep(0.01)
    finally:
        Path(argument).with_suffix(".cleaned").touch()


def perform_job(argument: dict[str, Any], report: ReportProgress) -> dict[str, Any]:
    """Perform a job like `engine.hosted.tasks.perform`, or crash with a partial output."""
    folder, request = Path(argument["folder"]), argument["request"]
    made = folder / f".output.{argument['id']}-{argument['claim']}.txt"
    made.write_text(json.dumps(request))
    report(1, 1)
    if "signal" in request:
        os.kill(os.getpid(), getattr(signal, request["signal"]))
    return {
        "output": str(folder / "output.txt"),
        "metrics": {"pid": os.getpid()},
        "partial": str(made),
        "overwrite": True,
    }
