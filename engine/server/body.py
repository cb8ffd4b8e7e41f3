"""The body of a request, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from starlette.requests import Request

from engine.server.access import client_of
from engine.server.responses import RETRY_SECONDS, Refusal

# A call has some thirty parameters; a body of millions of tiny values would fill the memory.
_MOST_VALUES = 2_000
# A body is held twice while it is read: as it came and as text, then as text and as values.
_COPIES = 2
# What is left of a body is not worth reading.
_HANG_UP: Final = {"connection": "close"}


@dataclass(slots=True, kw_only=True)
class Bodies:
    """Reads bodies, each of `most_bytes` at most, in `most_seconds` at most.

    Together they never hold more than `most_held` bytes of memory at once, beyond what strings of
    rare characters take; those of one client hold half of it, or one body. One event loop alone may
    use it.
    """

    most_bytes: int
    most_seconds: float
    most_held: int
    _held: Counter[str] = field(default_factory=Counter)  # by each client

    @asynccontextmanager
    async def parameters(self, request: Request) -> AsyncGenerator[dict[str, Any]]:
        """The JSON object in a request's body, which counts as held until the context is left.

        Raises:
            Refusal: 415 for another content type, 413 for too long a body, 408 for one that takes
                too long to come, 503 where all hold too much, 429 where this client does, 400 for
                what is no JSON object.
        """
        _check_kind(request)
        client = client_of(request)
        body = bytearray()
        length = 0
        try:
            try:
                async with asyncio.timeout(self.most_seconds):
                    await self._read(request, body, client)
            except TimeoutError:
                raise Refusal(
                    408,
                    f"The body did not come within {self.most_seconds:g} seconds; send it faster, "
                    "or let the server's owner raise --body-timeout.",
                    _HANG_UP,
                ) from None
            length = len(body)
            # A body may have hundreds of megabytes, and others are to be answered meanwhile.
            yield await asyncio.to_thread(_parsed, body)
        finally:
            self._held[client] -= _COPIES * (length or len(body))
            if not self._held[client]:
                del self._held[client]

    async def _read(self, request: Request, body: bytearray, client: str) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self.most_bytes):
            raise _too_long(self.most_bytes)
        async for chunk in request.stream():
            body += chunk
            self._held[client] += _COPIES * len(chunk)
            if len(body) > self.most_bytes:
                raise _too_long(self.most_bytes)
            again = {**_HANG_UP, "retry-after": str(RETRY_SECONDS)}
            if self._held.total() > self.most_held:
                raise Refusal(503, "Too many large requests are being read; try again.", again)
            if self._held[client] > max(self.most_held // 2, _COPIES * self.most_bytes):
                raise Refusal(
                    429, "Too many large requests of yours are being read; try again.", again
                )


def _check_kind(request: Request) -> None:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(
            415, f"Content-Type is {kind[:80]!r}; allowed: application/json with the parameters."
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Refusal(415, f"Content-Encoding is {coding[:80]!r}; allowed: a body as it is.")


def _too_long(most_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"The body is longer than {most_bytes:,} bytes; send smaller files, or let the server's "
        "owner raise --max-body or name a --media-root that the files are in.",
        _HANG_UP,
    )


def _parsed(body: bytearray) -> dict[str, Any]:
    """The object in a body, which is emptied."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise Refusal(400, f"The body holds more than {_MOST_VALUES} values; send fewer.")
    try:
        text = body.decode("utf-8")
        body.clear()
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Refusal(400, f"The body is not JSON that can be read: {reason[:200]}.") from None
    if not isinstance(content, dict):
        raise Refusal(
            400, f"The body is a JSON {_KINDS[type(content)]}; allowed: an object of parameters."
        )
    return content


_KINDS: dict[type, str] = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
