"""Steps of the doctor's tiny swap that fail, called by name in a child process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from engine.doctor.selftest import run_step
from engine.jobs.process import ReportProgress


def crash(argument: Mapping[str, str], report: ReportProgress) -> str:
    """Die while decoding, as of a fault in a codec."""
    if argument["step"] == "decode":
        os.kill(os.getpid(), signal.SIGSEGV)
    return run_step(argument, report)


def fail(argument: Mapping[str, str], report: ReportProgress) -> str:
    """Call a library in a way that it does not know."""
    if argument["step"] == "decode":
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")
    return run_step(argument, report)


def die(_argument: None, _report: ReportProgress) -> dict[str, list[str]]:
    """Die while trying an encoder."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}
