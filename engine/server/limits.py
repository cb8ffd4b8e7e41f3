"""How much a server takes on."""

from __future__ import annotations

from dataclasses import dataclass, fields

from engine.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a server; each is above zero.

    `body_bytes` and `body_seconds` bound a request's body, `held_bytes` all bodies that are being
    read at once, `pixels` a picture and `seconds` a
    video of either input, `queue` the jobs that wait, `connections` those open at once,
    `wait_seconds` the answer of a blocking call.
    """

    body_bytes: int = 256 << 20
    body_seconds: float = 120.0
    held_bytes: int = 1 << 30
    pixels: int = 64_000_000
    seconds: float = 600.0
    queue: int = 100
    connections: int = 200
    wait_seconds: float = 600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ParameterError(f"{field.name} is {value}; allowed: a number above 0.")
