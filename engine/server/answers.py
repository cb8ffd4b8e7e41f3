"""What goes back over the wire: JSON bodies and refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

RETRY_SECONDS: Final = 10


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
