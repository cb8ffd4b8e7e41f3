"""The command that serves the hosted API over HTTP."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from engine.bounds import JobBounds, Limits
from engine.cli.commands import Debug, app, report_errors
from engine.cli.jobs import Home
from engine.cli.parameter_options import shortest
from engine.cli.signals import raising_ended
from engine.errors import ParameterError, RuntimeUnavailable
from engine.runtime.distributions import install

KEY = "FACESWAP_ENGINE_API_KEY"
_LIMITS = Limits()
NumberT = TypeVar("NumberT", int, float)
ADDRESS, ACCESS, LIMITS = "Address", "Access", "Limits"


@app.command()
def serve(
    *,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; one that other machines reach demands a key.",
            metavar="ADDRESS",
            rich_help_panel=ADDRESS,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            help="Port to listen on; 0 takes a free one.",
            metavar="NUMBER",
            min=0,
            max=65535,
            rich_help_panel=ADDRESS,
        ),
    ] = 8760,
    home: Home = None,
    media_root: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder whose files clients may name by path; may be repeated. None: no file "
            "of this machine, clients send their own.",
            metavar="FOLDER",
            show_default=False,
            rich_help_panel=ACCESS,
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Key that clients must send; better given in the environment, where other users "
            "do not see it.",
            metavar="KEY",
            envvar=KEY,
            show_default=False,
            rich_help_panel=ACCESS,
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name that clients may call this server by, beside IP addresses and localhost; "
            "may be repeated.",
            metavar="NAME",
            show_default=False,
            rich_help_panel=ACCESS,
        ),
    ] = None,
    max_body: Annotated[
        float,
        typer.Option(
            help="Largest body of a request, in MiB.", metavar="MIB", rich_help_panel=LIMITS
        ),
    ] = shortest(_LIMITS.body_bytes / 2**20),
    body_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that a body may take to come.",
            metavar="SECONDS",
            rich_help_panel=LIMITS,
        ),
    ] = shortest(_LIMITS.body_seconds),
    max_pixels: Annotated[
        float,
        typer.Option(
            help="Largest picture or frame, in megapixels.",
            metavar="NUMBER",
            rich_help_panel=LIMITS,
        ),
    ] = shortest(_LIMITS.job.pixels / 10**6),
    max_duration: Annotated[
        float,
        typer.Option(help="Longest video, in seconds.", metavar="SECONDS", rich_help_panel=LIMITS),
    ] = shortest(_LIMITS.job.seconds),
    min_crf: Annotated[
        float,
        typer.Option(
            help="Least crf that clients may ask for; less makes larger files.",
            metavar="NUMBER",
            rich_help_panel=LIMITS,
        ),
    ] = shortest(_LIMITS.job.crf),
    max_output: Annotated[
        float,
        typer.Option(help="Largest output, in MiB.", metavar="MIB", rich_help_panel=LIMITS),
    ] = shortest(_LIMITS.job.output_bytes / 2**20),
    max_store: Annotated[
        float,
        typer.Option(
            help="Most that inputs and results may hold on the disk before no more jobs are "
            "taken, in MiB.",
            metavar="MIB",
            rich_help_panel=LIMITS,
        ),
    ] = shortest(_LIMITS.job.store_bytes / 2**20),
    max_job_time: Annotated[
        float,
        typer.Option(
            help="Seconds that a job may run.",
            metavar="SECONDS",
            rich_help_panel=LIMITS,
        ),
    ] = shortest(_LIMITS.job.job_seconds),
    max_queue: Annotated[
        int,
        typer.Option(help="Jobs that may wait.", metavar="NUMBER", rich_help_panel=LIMITS),
    ] = _LIMITS.queue,
    max_connections: Annotated[
        int,
        typer.Option(help="Simultaneous connections.", metavar="NUMBER", rich_help_panel=LIMITS),
    ] = _LIMITS.connections,
    max_client_connections: Annotated[
        int,
        typer.Option(
            help="Simultaneous connections from one client (an IPv4 address, or an IPv6 network of "
            "/64); raise it where all clients come through one proxy.",
            metavar="NUMBER",
            rich_help_panel=LIMITS,
        ),
    ] = _LIMITS.client_connections,
    max_client_checks: Annotated[
        int,
        typer.Option(
            help="Requests of one client whose files are checked at the same time, of "
            f"{_LIMITS.checks} in all; its "
            "others wait. Raise it where all clients come through one proxy.",
            max=_LIMITS.checks,
            metavar="NUMBER",
            rich_help_panel=LIMITS,
        ),
    ] = _LIMITS.client_checks,
    wait_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds that a blocking call may take.",
            metavar="SECONDS",
            rich_help_panel=LIMITS,
        ),
    ] = shortest(_LIMITS.wait_seconds),
    retention: Annotated[
        float,
        typer.Option(
            help="Seconds that results are kept.", metavar="SECONDS", rich_help_panel=LIMITS
        ),
    ] = 3600,
    debug: Debug = False,
) -> None:
    """Serve the hosted API at http://127.0.0.1:8760/v1 until it is stopped.

    Only this machine can reach it, unless --host says otherwise. Stopped by Ctrl-C, SIGTERM
    or SIGHUP, it ends at the next frame and with exit code 0; the job in work waits for the next
    start.
    """
    with report_errors(debug):
        try:
            from engine.server.access import create_access
            from engine.server.build import Server
            from engine.server.media_roots import MediaRoots
            from engine.server.serving import create_server, listen
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in ("starlette", "uvicorn"):
                raise
            raise RuntimeUnavailable(
                f"serve needs {missing}; install it with: {install('server')}"
            ) from error
        from engine.hosted.service import child_performer
        from engine.jobs.job_store import JobStore
        from engine.jobs.process import TaskPool, TaskProcess

        limits = Limits(
            job=JobBounds(
                pixels=_whole("--max-pixels", max_pixels, 10**6),
                seconds=_positive("--max-duration", max_duration),
                crf=_positive("--min-crf", min_crf),
                output_bytes=_whole("--max-output", max_output, 2**20),
                store_bytes=_whole("--max-store", max_store, 2**20),
                job_seconds=_positive("--max-job-time", max_job_time),
            ),
            body_bytes=_whole("--max-body", max_body, 2**20),
            held_bytes=_whole("--max-body", max_body, 4 * 2**20),
            body_seconds=_positive("--body-timeout", body_timeout),
            queue=_positive("--max-queue", max_queue),
            connections=_positive("--max-connections", max_connections),
            client_connections=_positive("--max-client-connections", max_client_connections),
            wait_seconds=_positive("--wait-timeout", wait_timeout),
            client_checks=_positive("--max-client-checks", max_client_checks),
        )
        access = create_access(host, api_key, allowed_host or ())
        roots = MediaRoots.from_folders(media_root or ())
        with (
            raising_ended(),
            listen(host, port) as listener,
            JobStore(home, retention=retention, queue_limit=limits.queue) as store,
            TaskProcess() as process,
            TaskPool(limits.checks, grace=0) as readers,
        ):
            server = Server(
                store=store,
                perform=child_performer(process),
                readers=readers,
                access=access,
                roots=roots,
                limits=limits,
            )
            shown = f"[{host}]" if ":" in host else host
            typer.echo(f"listening on http://{shown}:{listener.getsockname()[1]}/v1", err=True)
            app = server.application()
            most, each = limits.connections, limits.client_connections
            create_server(app, most, each, server.draining).run([listener])


def _positive(option: str, value: NumberT) -> NumberT:
    """Return the value of an option; raise a ParameterError if it is not finite and above 0."""
    if not 0 < value < math.inf:
        raise _out_of_range(option, value)
    return value


def _whole(option: str, value: float, unit: int) -> int:
    """Return a number of units as a whole number; raise a ParameterError if it is not above 0."""
    if round(_positive(option, value) * unit) < 1:
        raise _out_of_range(option, value)
    return round(value * unit)


def _out_of_range(option: str, value: float) -> ParameterError:
    return ParameterError(f"{option} is {value}; allowed: a number above 0, and no infinite one.")
