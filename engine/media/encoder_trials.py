"""Try video encoders by encoding a few pictures.

The list of pixel formats that comes with an encoder has some that it refuses once it is opened,
and says nothing about picture sizes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal, TypeAlias, get_args

import av
from av.codec.codec import UnknownCodecError

from engine.media.encoders import encoder_named
from engine.media.scheduling import ordinary_scheduling

Codec: TypeAlias = Literal["h264", "hevc", "av1", "vp9"]

# Encoders that are tried besides the preferred one of each codec.
_ALTERNATIVES: dict[Codec, tuple[str, ...]] = {
    "h264": ("h264_nvenc",),
    "hevc": ("hevc_nvenc",),
    "av1": ("libaom-av1", "av1_nvenc"),
}
_SIZE = (256, 256)  # hardware encoders refuse pictures that are much smaller
# A side of 256 pixels or more is tried at 256 to 271 pixels, with the same remainder modulo 16.
_SIDE, _STEP = 256, 16
_PICTURES = 3
_QUIET_X265 = "log-level=none"


@dataclass(frozen=True, slots=True)
class EncoderTrial:
    """Result of trying an encoder; `problem` is empty if it works."""

    codec: Codec
    encoder: str
    problem: str

    @property
    def works(self) -> bool:
        return not self.problem


def try_encoders() -> tuple[EncoderTrial, ...]:
    """Try the encoders of each codec, the preferred one first."""
    return tuple(
        EncoderTrial(
            codec, encoder.name, encoder_problem(encoder.name, "yuv420p", _SIZE, encoder.options)
        )
        for codec in get_args(Codec)
        for encoder in map(encoder_named, (codec, *_ALTERNATIVES.get(codec, ())))
    )


def encoder_problem(
    name: str, pixel_format: str, size: tuple[int, int], options: Mapping[str, str]
) -> str:
    """Return why an encoder cannot encode pictures of a format and size; empty if it can.

    Args:
        name: FFmpeg's name of the encoder.
        pixel_format: FFmpeg's name of the pixel format.
        size: (width, height).
        options: FFmpeg options of the encoder.
    """
    width, height = map(_trial_side, size)
    return _cached_problem(name, pixel_format, width, height, tuple(sorted(options.items())))


def quiet_svt_av1() -> None:
    """Limit SVT-AV1's messages, which bypass all loggers, to errors.

    It obeys only the environment variable SVT_LOG. A value set by the user stays.
    """
    os.environ.setdefault("SVT_LOG", "1")


def _trial_side(side: int) -> int:
    return side if side < _SIDE else _SIDE + side % _STEP


@cache
def _cached_problem(
    name: str, pixel_format: str, width: int, height: int, options: tuple[tuple[str, str], ...]
) -> str:
    quiet_svt_av1()
    try:
        context = av.CodecContext.create(name, "w")
        if not isinstance(context, av.VideoCodecContext):
            return "it encodes no video"
        context.width, context.height = width, height
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 25)
        settings = dict(options)
        if name == "libx265":  # its messages bypass all loggers, too
            parameters = filter(None, (settings.get("x265-params"), _QUIET_X265))
            settings["x265-params"] = ":".join(parameters)
        context.options = settings
        with ordinary_scheduling():
            context.open()
        packets = 0
        for pts in range(_PICTURES):
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
    return "" if packets >= _PICTURES else f"it returned {packets} packets for {_PICTURES} pictures"
