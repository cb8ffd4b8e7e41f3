"""Failing steps of the self-test, called by name in a child process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from engine.doctor.selftest import run_step
from engine.jobs.process import ReportProgress


def crash(argument: Mapping[str, str], report: ReportProgress) -> str:
    """Crash in the step that decodes."""
    if argument["step"] == "decode":
        os.kill(os.getpid(), signal.SIGSEGV)
    return run_step(argument, report)


def fail(argument: Mapping[str, str], report: ReportProgress) -> str:
    """Raise a TypeError in the step that decodes, as after a change of a library's API."""
    if argument["step"] == "decode":
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")
    return run_step(argument, report)


def die(_argument: None, _report: ReportProgress) -> dict[str, list[str]]:
    """Crash while an encoder is tried."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}
