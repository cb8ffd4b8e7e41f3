"""Tasks for a `TaskProcess` of the client, the command and the server.

Both functions are called by name; arguments and results are values that JSON can hold.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from engine.bounds import JobBounds
from engine.hosted.service import check_input, engine_performer
from engine.jobs.job_store import Job
from engine.jobs.process import ReportProgress
from engine.jobs.worker import Perform


def perform(argument: dict[str, Any], report_progress: ReportProgress) -> dict[str, Any]:
    """Perform a job, called by `child_performer`."""
    job = Job(**{**argument, "folder": Path(argument["folder"])}, state="PROCESSING")
    result = _performer()(job, report_progress)
    return {
        "output": str(result.output),
        "metrics": dict(result.metrics),
        "partial": str(result.partial),
        "overwrite": result.overwrite,
    }


def check(argument: dict[str, Any], report_progress: ReportProgress) -> None:
    """Check an input file, called by `child_checks`."""
    report_progress(0, 1)  # starts the time limit
    bounds = JobBounds(**argument["bounds"])
    check_input(argument["field"], Path(argument["path"]), Path(argument["folder"]), bounds)


@cache
def _performer() -> Perform:
    # Imported for jobs only, as a check needs no networks.
    from engine.api import Engine  # noqa: PLC0415

    return engine_performer(Engine())
