"""What differs between the supported versions of PyAV, 18.1 and 19, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.media.files import media_url

# Texts that are no UTF-8 go from file to file byte by byte. PyAV 19 always reads them so, PyAV 18
# on request.
_ANY_TEXT: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# What a decoder says of damage. PyAV 19 forgets a decoder that could not be opened: the next packet
# is a ValueError.
DAMAGE = (av.FFmpegError, ValueError)
# Decoders that may name a colour profile in their pictures' side data: PyAV, up to 19.0, frees that
# name twice, and the process dies.
_NAMING_PROFILES = frozenset({"png", "apng", "mjpeg", "tiff", "webp", "webp_anim", "jpegxl"})
_OF_STREAMS = {
    "DISPLAYMATRIX": "display_matrix",
    "MASTERING_DISPLAY_METADATA": "mastering_display_metadata",
    "CONTENT_LIGHT_LEVEL": "content_light_level",
    "DYNAMIC_HDR_PLUS": "dynamic_hdr10_plus",
}


def open_input(
    file: Path | BinaryIO, *, options: Mapping[str, str] | None = None, **container_options: str
) -> InputContainer:
    """Opens a file, or a file object, for reading; nothing in it reaches the network.

    Raises:
        av.FFmpegError, ValueError: it cannot be opened.
    """
    container: InputContainer = av.open(
        media_url(file) if isinstance(file, Path) else file,
        mode="r",
        options=dict(options or {}),
        container_options={
            "protocol_whitelist": "file",
            # A picture's name with a percent sign is a name, not a pattern of others.
            "pattern_type": "none",
            **container_options,
        },
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


def path_of(container: InputContainer) -> Path:
    """The file that a container was opened from."""
    return Path(container.name.removeprefix(media_url(Path()).removesuffix(".")))


def printable(text: str) -> str:
    """A text of a file's metadata with bytes that are no UTF-8 shown as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_fraction(value: Any) -> Fraction:
    """A rational of PyAV as the standard library's; PyAV 19 has a type of its own."""
    return Fraction(int(value.numerator), int(value.denominator))


def side_data(stream: VideoStream, picture: VideoFrame, name: str) -> bytes | None:
    """Side data of a film: its picture's, or where that cannot be read, what its stream says.

    `name` is PyAV's name of the type for pictures. PyAV 18 holds on to each picture that it was
    asked about until the garbage is collected, so ask about few of them; and it knows of no side
    data of streams.
    """
    if stream.codec_context.codec.canonical_name in _NAMING_PROFILES:
        coded: Mapping[str, bytes] = getattr(stream.codec_context, "coded_side_data", {})
        return coded.get(_OF_STREAMS[name])
    try:
        entries: Any = picture.side_data
        return bytes(entries[name])
    except KeyError:
        return None
    except ValueError:
        return None  # PyAV 18 cannot list side data of a type newer than itself
