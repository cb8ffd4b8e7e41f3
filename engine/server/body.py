"""Read request bodies within limits of size, time and memory."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from starlette.requests import Request

from engine.server.access import request_client
from engine.server.responses import RETRY_SECONDS, Refusal

# A request has about 40 parameters; a body of millions of tiny values would fill the memory.
_MAX_VALUES = 2_000
# Two copies of a body exist at a time: bytes and text, then text and values.
_COPIES = 2
# Header of a refusal that leaves the rest of the body unread.
_CLOSE: Final = {"connection": "close"}


@dataclass(slots=True, kw_only=True)
class BodyReader:
    """Reads request bodies; for one event loop only.

    Attributes:
        max_bytes: maximum size of a body.
        max_seconds: maximum time for a body to arrive.
        max_held: maximum memory of all bodies at once, in bytes; one client may use half of it, or
            one body. Strings of characters beyond ASCII may take more.
    """

    max_bytes: int
    max_seconds: float
    max_held: int
    _held: Counter[str] = field(default_factory=Counter)  # bytes by client

    @asynccontextmanager
    async def parameters(self, request: Request) -> AsyncGenerator[dict[str, Any]]:
        """Read the JSON object in a request's body; its memory counts until the context ends.

        Raises:
            Refusal: 415 for another content type, 413 for a body over `max_bytes`, 408 for one
                that takes over `max_seconds`, 503 where all bodies take over `max_held`, 429 where
                this client's bodies take too much of it, 400 for a body other than a JSON object.
        """
        _check_content_type(request)
        client = request_client(request)
        body = bytearray()
        length = 0
        try:
            try:
                async with asyncio.timeout(self.max_seconds):
                    await self._read(request, body, client)
            except TimeoutError:
                raise Refusal(
                    408,
                    f"The body did not arrive within {self.max_seconds:g} seconds; send it faster, "
                    "or let the server's owner raise --body-timeout.",
                    _CLOSE,
                ) from None
            length = len(body)
            # In a thread: a body may have hundreds of megabytes.
            yield await asyncio.to_thread(_parse, body)
        finally:
            self._held[client] -= _COPIES * (length or len(body))
            if not self._held[client]:
                del self._held[client]

    async def _read(self, request: Request, body: bytearray, client: str) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self.max_bytes):
            raise _too_long(self.max_bytes)
        async for chunk in request.stream():
            body += chunk
            self._held[client] += _COPIES * len(chunk)
            if len(body) > self.max_bytes:
                raise _too_long(self.max_bytes)
            headers = {**_CLOSE, "retry-after": str(RETRY_SECONDS)}
            if self._held.total() > self.max_held:
                raise Refusal(503, "Too many large requests are being read; try again.", headers)
            if self._held[client] > max(self.max_held // 2, _COPIES * self.max_bytes):
                raise Refusal(
                    429, "Too many large requests of yours are being read; try again.", headers
                )


def _check_content_type(request: Request) -> None:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(
            415, f"Content-Type is {kind[:80]!r}; allowed: application/json with the parameters."
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Refusal(415, f"Content-Encoding is {coding[:80]!r}; allowed: an uncompressed body.")


def _too_long(max_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"The body is longer than {max_bytes:,} bytes; send smaller files, or let the server's "
        "owner raise --max-body or name a --media-root with the files.",
        _CLOSE,
    )


def _parse(body: bytearray) -> dict[str, Any]:
    """Parse the JSON object in a body; clears the body to free its memory."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise Refusal(400, f"The body holds more than {_MAX_VALUES} values; send fewer.")
    try:
        text = body.decode("utf-8")
        body.clear()
        content = json.loads(text, parse_constant=_refuse_constant)
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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
