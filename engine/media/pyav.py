"""What differs between the supported versions of PyAV, 18.1 and 19, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame

from engine.media.files import media_url

# Texts that are no UTF-8 go from file to file byte by byte. PyAV 19 always reads them so, PyAV 18
# on request.
_ANY_TEXT: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)


def open_input(
    path: Path, *, options: Mapping[str, str] | None = None, **container_options: str
) -> InputContainer:
    """Opens a file for reading; no name, playlist or scene file reaches the network.

    Raises:
        av.FFmpegError, ValueError: it cannot be opened.
    """
    container: InputContainer = av.open(
        media_url(path),
        mode="r",
        options=dict(options or {}),
        container_options={"protocol_whitelist": "file", **container_options},
        **_ANY_TEXT,
    )
    return container


def open_output(
    file: Path | BinaryIO, format_name: str, container_options: Mapping[str, str] | None = None
) -> OutputContainer:
    """Opens a file, or a file object, for writing; a name is never taken for a protocol.

    Raises:
        OSError, av.FFmpegError, ValueError: it cannot be opened.
    """
    container: OutputContainer = av.open(
        media_url(file) if isinstance(file, Path) else file,
        mode="w",
        format=format_name,
        container_options=dict(container_options or {}),
        **_ANY_TEXT,
    )
    return container


def printable(text: str) -> str:
    """A text of a file's metadata with bytes that are no UTF-8 shown as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_fraction(value: Any) -> Fraction:
    """A rational of PyAV as the standard library's; PyAV 19 has a type of its own."""
    return Fraction(int(value.numerator), int(value.denominator))


def side_data(picture: VideoFrame, name: str) -> bytes | None:
    """The side data of a picture of one type, by FFmpeg's name for it without its prefix."""
    try:
        entries: Any = picture.side_data
        return bytes(entries[name])
    except KeyError:
        return None
    except ValueError:
        return None  # PyAV 18 cannot list side data of a type newer than itself
