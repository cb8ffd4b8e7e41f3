"""Paths and encodings of job results."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from engine.errors import ParameterError
from engine.jobs.inputs import path_from_uri, strip_secrets
from engine.jobs.job_store import Job


def parse_output(value: str) -> Path:
    """Return the absolute path of the parameter `output`: a path or a file: URI.

    Raises:
        ParameterError: The value is a URI of another scheme.
    """
    if value.lower().startswith("file:"):
        return path_from_uri("output", value).absolute()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", value):
        raise ParameterError(
            f"output is {strip_secrets(value)[:80]!r}; allowed: a path, a file:// URI, or null "
            "for a file in the job's own folder."
        )
    return Path(value).absolute()


def prepare_partial(output: Path, job: Job) -> Path:
    """Return the path of this claim's partial output; remove those of earlier claims."""
    job.remove_partials()
    return job.partial_path(output)


def encode_base64(content: bytes) -> str:
    """Encode bytes as base64 text (RFC 4648)."""
    return base64.b64encode(content).decode("ascii")
