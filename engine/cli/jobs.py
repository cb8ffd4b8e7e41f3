"""The commands that run, list, show and cancel jobs."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.commands import AsJson, Debug, app, report_errors
from engine.cli.signals import heeded, raising_ended

if TYPE_CHECKING:
    from engine.jobs.job_store import Job

jobs_app = typer.Typer(help="List, show and cancel jobs.")
app.add_typer(jobs_app, name="jobs")

Home = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the jobs (default: FACESWAP_ENGINE_HOME, else the user's data folder).",
        metavar="FOLDER",
        show_default=False,
    ),
]
RequestId = Annotated[str, typer.Argument(help="The job's id.", metavar="ID", show_default=False)]


@app.command()
def worker(
    *,
    home: Home = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when no job waits.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Run submitted jobs, one after another, until it is stopped.

    Stopped by Ctrl-C, SIGTERM or SIGHUP, it ends at the next frame and with exit code 0; its job
    waits for another worker. A second one of these ends it at once.
    """
    with report_errors(debug):
        from engine.hosted.service import child_performer, enforce_bounds
        from engine.jobs.job_store import JobStore
        from engine.jobs.process import TaskProcess
        from engine.jobs.worker import run_worker

        with (
            raising_ended(),
            JobStore(home) as store,
            TaskProcess() as process,
            _stop_asked() as stop,
        ):
            typer.echo(f"running the jobs in {store.folder}", err=True)
            perform = enforce_bounds(child_performer(process), store)
            done = run_worker(store, perform, stop=stop, until_idle=until_idle)
            typer.echo(f"{done} done", err=True)


@jobs_app.callback(invoke_without_command=True)
def _jobs(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@jobs_app.command("list")
def list_jobs(*, home: Home = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the jobs in the store, the oldest first."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.jobs.job_store import JobStore

        with JobStore(home) as store:
            store.expire()
            jobs, now = store.list(), store.now()
        if as_json:
            tables.as_json([as_dict(job) for job in jobs])
        else:
            heads = ("id", "state", "frames", "age", "target")
            tables.table(heads, [_row(job, now) for job in jobs])


@jobs_app.command("show")
def show_job(
    request_id: RequestId, *, home: Home = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Show one job: its request, progress and result."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.jobs.job_store import JobStore

        with JobStore(home) as store:
            job = store.get(request_id)
        if as_json:
            tables.as_json(as_dict(job))
            return
        lines = {
            "id": job.id,
            "state": job.state,
            "frames": _frames(job),
            "submitted": _clock(job.created),
            "started": _clock(job.started),
            "finished": _clock(job.finished),
            "source image": job.request.get("source_image"),
            "target": job.request.get("target"),
            "output": job.output or job.request.get("output"),
            "error": job.error,
        }
        tables.table(("field", "value"), [(k, str(v)) for k, v in lines.items() if v is not None])


@jobs_app.command()
def cancel(
    request_id: RequestId, *, home: Home = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """Cancel a job: at once if it is queued, at its next frame if a worker runs it."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.jobs.job_store import JobStore

        with JobStore(home) as store:
            job = store.cancel(request_id)
        if as_json:
            tables.as_json(as_dict(job))
        elif job.state == "PROCESSING":
            typer.echo(f"{job.id} ends at its next frame")
        else:
            typer.echo(f"{job.id} is {job.state}")


def as_dict(job: Job) -> dict[str, Any]:
    """Return a job as JSON values; times are seconds since the epoch."""
    return {
        "id": job.id,
        "state": job.state,
        "request": dict(job.request),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "worker": job.worker,
        "progress": {"done": job.done, "total": job.total},
        "output": None if job.output is None else str(job.output),
        "metrics": dict(job.metrics),
        "error": job.error,
    }


@contextmanager
def _stop_asked() -> Generator[threading.Event]:
    """Yield an event that the first signal sets; a second signal ends the process."""
    stop = threading.Event()
    before: dict[int, Any] = {}

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in heeded():
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _row(job: Job, now: float) -> tuple[str, ...]:
    age = f"{(now - job.created) / 60:.0f} min"
    return job.id, job.state, _frames(job), age, str(job.request.get("target", "-"))


def _frames(job: Job) -> str:
    return str(job.done) if job.total is None else f"{job.done} of {job.total}"


def _clock(when: float | None) -> str | None:
    return None if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
