"""Downloads, the one place in the engine that can reach a network, and only by permission."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.errors import ParameterError

SECONDS: Final = 30.0  # that a server may be silent
_CHUNK = 1 << 20


def download(field: str, url: str, path: Path, most_bytes: int) -> None:
    """Writes what an http or https URL answers with to `path`.

    Redirects are followed to http and https alone. On an error `path` may be left half-written.

    Raises:
        ParameterError: It cannot be had, or is longer than `most_bytes`; `field` names it.
    """
    # ruff: noqa: PLC0415 - what reaches a network is loaded by those alone who were permitted to
    from http.client import HTTPException
    from urllib.request import (
        HTTPDefaultErrorHandler,
        HTTPErrorProcessor,
        HTTPHandler,
        HTTPRedirectHandler,
        HTTPSHandler,
        OpenerDirector,
        ProxyHandler,
    )

    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPRedirectHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    try:
        with opener.open(url, timeout=SECONDS) as answer, path.open("wb") as file:
            left = most_bytes
            while left >= 0 and (chunk := answer.read(min(_CHUNK, left + 1))):
                left -= len(chunk)
                file.write(chunk)
    except (OSError, HTTPException, ValueError) as error:
        raise ParameterError(
            f"{field} is {url[:200]!r}, which cannot be downloaded: {error}. Download it yourself "
            "and give its path."
        ) from error
    if left < 0:
        raise ParameterError(
            f"{field} at {urlsplit(url).hostname} is longer than {most_bytes:,} bytes; download "
            "it yourself and give its path."
        )
