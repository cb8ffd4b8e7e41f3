"""How much a server takes on."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from engine.errors import ParameterError
from engine.hosted.service import JOB_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a server; each is a finite number above zero.

    `body_bytes` and `body_seconds` bound a request's body, and `body_bytes` an output that is
    answered in base64. `held_bytes` bounds what all bodies that are being read hold in memory at
    once, `pixels` a picture and `seconds` a video of either input, `crf` is the least that may be
    asked for, `output_bytes` bounds an output and `store_bytes` all that is kept. `job_seconds` is
    how long a job is worked at, `queue` how many jobs wait, `connections` how many are open at
    once, `client_connections` how many of them to one client, and `wait_seconds` how long a
    blocking call takes. `checks` is of how many requests the files are looked at at once, and
    `client_checks` of how many of one client.
    """

    body_bytes: int = 256 << 20
    body_seconds: float = 120.0
    held_bytes: int = 1 << 30
    pixels: int = 64_000_000
    seconds: float = 600.0
    crf: float = 10.0
    output_bytes: int = 2 << 30
    store_bytes: int = 20 << 30
    job_seconds: float = JOB_SECONDS
    queue: int = 100
    connections: int = 200
    client_connections: int = 50
    wait_seconds: float = 600.0
    checks: int = 4
    client_checks: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise ParameterError(
                    f"{field.name} is {value}; allowed: a number above 0, and no infinite one."
                )
