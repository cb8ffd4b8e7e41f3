"""What a `TaskProcess` does for the client, the command and the server.

Both functions are called by name; they take and return what JSON can hold.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from engine.bounds import JobBounds
from engine.hosted.service import check_given, performer
from engine.jobs.job_store import Job
from engine.jobs.process import Tell
from engine.jobs.worker import Perform


def perform(given: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Does a job, as `performer_in` sends it."""
    job = Job(**{**given, "folder": Path(given["folder"])}, state="PROCESSING")
    made = _performer()(job, tell)
    return {
        "output": str(made.output),
        "metrics": dict(made.metrics),
        "made": str(made.made),
        "overwrite": made.overwrite,
    }


def check(given: dict[str, Any], tell: Tell) -> None:
    """Looks at a file that was given, as `checker_in` sends it."""
    tell(0, 1)  # from now on it counts as begun
    bounds = JobBounds(**given["bounds"])
    check_given(given["field"], Path(given["path"]), Path(given["folder"]), bounds)


@cache
def _performer() -> Perform:
    # Loaded for jobs alone, as a check needs no networks.
    from engine.api import Engine  # noqa: PLC0415

    return performer(Engine())
