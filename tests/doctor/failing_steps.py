"""Steps of the doctor's tiny swap that fail, called by name in a child process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from engine.doctor.selftest import attempt
from engine.jobs.process import Tell


def crash(given: Mapping[str, str], tell: Tell) -> str:
    """Die while decoding, as of a fault in a codec."""
    if given["step"] == "decode":
        os.kill(os.getpid(), signal.SIGSEGV)
    return attempt(given, tell)


def fail(given: Mapping[str, str], tell: Tell) -> str:
    """Call a library in a way that it does not know."""
    if given["step"] == "decode":
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")
    return attempt(given, tell)


def die(_given: None, _tell: Tell) -> dict[str, list[str]]:
    """Die while trying an encoder."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}
