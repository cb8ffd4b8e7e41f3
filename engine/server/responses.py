"""What goes back over the wire: JSON bodies and refusals."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

RETRY_SECONDS: Final = 10
_PIECE: Final = 3 << 16  # bytes; those of a multiple of three need no padding in the middle


class Json(Response):
    """A JSON body in ASCII, so that any text a client sent can be quoted back to it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body's bytes; NaN and infinities are refused, as JSON has none."""
        return json.dumps(content, allow_nan=False).encode("ascii")


class Refusal(Exception):
    """A request that is not served: the code, one sentence why, and what the headers add."""

    def __init__(self, code: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.headers = dict(headers or {})

    def answer(self) -> Json:
        """The refusal as a response; clients read the sentence from `error`."""
        return Json({"error": str(self)}, self.code, self.headers)


def with_base64(body: Mapping[str, Any], name: str, path: Path, code: int) -> Response:
    """A JSON body with the bytes of a file as its last field, read as the client takes them.

    A client that reads slowly costs no more than a piece of memory.
    """
    text = json.dumps({**body, name: ""}, allow_nan=False).encode("ascii")
    size = path.stat().st_size

    async def pieces() -> AsyncIterator[bytes]:
        yield text[:-2]
        with await asyncio.to_thread(path.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield b64encode(piece)
        yield text[-2:]

    length = len(text) + 4 * -(-size // 3)
    return StreamingResponse(
        pieces(), code, {"content-length": str(length)}, media_type=Json.media_type
    )
