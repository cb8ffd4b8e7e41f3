"""Bounds on files and jobs of remote clients; their defaults stand here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from engine.errors import ParameterError


@dataclass(frozen=True, slots=True)
class MediaBounds:
    """Bounds on one media file.

    Attributes:
        pixels: Largest picture or frame, in pixels.
        seconds: Longest video, in seconds. It may hold 120 frames for each of them.
    """

    pixels: int = 64_000_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBounds(MediaBounds):
    """Bounds on the job of a remote client. The job's record holds them for whichever worker.

    Attributes:
        crf: Least `crf` that may be asked for.
        output_bytes: Largest output.
        store_bytes: Most that the files of all jobs may hold when a job is taken or begins.
        job_seconds: Longest time that a worker may spend on the job.
        folders: Folders that inputs may be read from, beside the job's own. Links are refused.
    """

    crf: float = 10.0
    output_bytes: int = 2 << 30
    store_bytes: int = 20 << 30
    job_seconds: float = 7200.0
    folders: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a server; each number is finite and above zero.

    Attributes:
        job: Bounds on each job.
        body_bytes: Largest body of a request, and largest output in a base64 response.
        body_seconds: Longest time that a body may take to arrive.
        held_bytes: Most memory that all bodies which are being read may take.
        queue: Jobs that may wait.
        connections: Open connections.
        client_connections: Open connections of one client.
        wait_seconds: Longest time that a blocking call may take.
        checks: Requests whose files are checked at once.
        client_checks: Requests of one client whose files are checked at once.

    Raises:
        ParameterError: A number is not finite, or not above zero.
    """

    job: JobBounds = field(default_factory=JobBounds)
    body_bytes: int = 256 << 20
    body_seconds: float = 120.0
    held_bytes: int = 1 << 30
    queue: int = 100
    connections: int = 200
    client_connections: int = 50
    wait_seconds: float = 600.0
    checks: int = 4
    client_checks: int = 2

    def __post_init__(self) -> None:
        for record in (self, self.job):
            for each in fields(record):
                value = getattr(record, each.name)
                if isinstance(value, int | float) and not 0 < value < math.inf:
                    raise ParameterError(
                        f"{each.name} is {value}; allowed: a number above 0, and no infinite one."
                    )
