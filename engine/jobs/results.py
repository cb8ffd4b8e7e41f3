"""Where a job's result goes, and how it is given back."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from engine.errors import ParameterError
from engine.jobs.inputs import path_of_uri, without_secrets
from engine.jobs.job_store import Job


def named_output(value: str) -> Path:
    """The path that a caller named for the result, absolute.

    Raises:
        ParameterError: It is a URI of another kind than file:.
    """
    if value.lower().startswith("file:"):
        return path_of_uri("output", value).absolute()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", value):
        raise ParameterError(
            f"output is {without_secrets(value)[:80]!r}; allowed: a path, a file:// URI, or null "
            "for a file in the job's own folder."
        )
    return Path(value).absolute()


def beside(output: Path, job: Job) -> Path:
    """A name beside the output for what this claim of the job makes.

    What earlier claims left there, whose workers died, is removed.
    """
    job.sweep()
    return job.partial(output)


def in_base64(content: bytes) -> str:
    """Bytes as base64 text (RFC 4648)."""
    return base64.b64encode(content).decode("ascii")
