"""The body of a request, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from starlette.requests import Request

from engine.server.answers import Refusal

# A call has some thirty parameters; a body of millions of tiny values would fill the memory.
_MOST_VALUES = 2_000


async def read_parameters(request: Request, most_bytes: int, most_seconds: float) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        Refusal: 415 for another content type, 413 for too long a body, 408 for one that takes too
            long to come, 400 for one that is no JSON object.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(
            415, f"Content-Type is {kind[:80]!r}; allowed: application/json with the parameters."
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Refusal(415, f"Content-Encoding is {coding[:80]!r}; allowed: a body as it is.")
    try:
        async with asyncio.timeout(most_seconds):
            body = await _read(request, most_bytes)
    except TimeoutError:
        raise Refusal(
            408,
            f"The body did not come within {most_seconds:g} seconds; send it faster, or let the "
            "server's owner raise --body-timeout.",
            {"connection": "close"},
        ) from None
    # A body may have hundreds of megabytes, and others are to be answered meanwhile.
    return await asyncio.to_thread(_parsed, body)


async def _read(request: Request, most_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most_bytes):
        raise _too_long(most_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise _too_long(most_bytes)
    return bytes(body)


def _too_long(most_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"The body is longer than {most_bytes:,} bytes; send smaller files, or let the server's "
        "owner raise --max-body or name a --media-root that the files are in.",
        {"connection": "close"},
    )


def _parsed(body: bytes) -> dict[str, Any]:
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        raise Refusal(400, f"The body holds more than {_MOST_VALUES} values; send fewer.")
    try:
        content = json.loads(body, parse_constant=_no_number)
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
