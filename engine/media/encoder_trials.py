"""Try whether an encoder takes pictures of a pixel format and size, by giving it some.

The list of formats that comes with an encoder names some that it refuses once it is opened, and
says nothing of sizes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from functools import cache

import av
from av.codec.codec import UnknownCodecError

from engine.media.scheduling import ordinary_scheduling

# Sides from here on are tried at one that leaves the same remainder.
_SIDE, _STEP = 256, 16
_MUTE = "log-level=none"


def silence() -> None:
    """Keeps SVT-AV1, which writes to the terminal past every logger, to its errors.

    It listens to this variable of the environment alone; what the user set there stays.
    """
    os.environ.setdefault("SVT_LOG", "1")


def encoder_problem(
    name: str, pixel_format: str, size: tuple[int, int], options: Mapping[str, str]
) -> str:
    """Why an encoder does not encode pictures of a format and size; empty where it does."""
    width, height = map(_tried, size)
    return _problem(name, pixel_format, width, height, tuple(sorted(options.items())))


def _tried(side: int) -> int:
    return side if side < _SIDE else _SIDE + side % _STEP


@cache
def _problem(
    name: str, pixel_format: str, width: int, height: int, options: tuple[tuple[str, str], ...]
) -> str:
    silence()
    try:
        context = av.CodecContext.create(name, "w")
        if not isinstance(context, av.VideoCodecContext):
            return "it encodes no video"
        context.width, context.height = width, height
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 25)
        given = dict(options)
        if name == "libx265":  # it writes to the terminal past every logger, too
            given["x265-params"] = ":".join(filter(None, (given.get("x265-params"), _MUTE)))
        context.options = given
        with ordinary_scheduling():
            context.open()
        packets = 0
        for pts in range(3):
            picture = av.VideoFrame(width, height, pixel_format)
            for plane in picture.planes:
                plane.update(bytes(plane.buffer_size))
            picture.pts = pts
            packets += len(context.encode(picture))
        packets += len(context.encode(None))
    except UnknownCodecError:
        return "it is not built in"
    except (av.FFmpegError, OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "" if packets >= 3 else f"it gave {packets} packets for 3 pictures"
