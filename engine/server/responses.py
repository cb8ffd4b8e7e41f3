"""HTTP responses: JSON bodies, refusals, and files in base64."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

RETRY_SECONDS: Final = 10
_PIECE: Final = 3 << 16  # bytes; base64 of a multiple of three needs no padding


class JsonResponse(Response):
    """A JSON body in ASCII; escapes keep any text of a client encodable."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body's bytes; raise a ValueError for NaN and infinities."""
        return json.dumps(content, allow_nan=False).encode("ascii")


class Refusal(Exception):
    """An HTTP error response: a status code, the reason in one sentence, and headers."""

    def __init__(self, code: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.headers = dict(headers or {})

    def response(self) -> JsonResponse:
        """Return the response; its body has the reason as `error`."""
        return JsonResponse({"error": str(self)}, self.code, self.headers)


def base64_response(body: Mapping[str, Any], name: str, path: Path, code: int) -> Response:
    """Return a JSON body with a file in base64 as its last field `name`.

    The file is read while the response is sent, so that a slow client takes little memory.
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
        pieces(), code, {"content-length": str(length)}, media_type=JsonResponse.media_type
    )
