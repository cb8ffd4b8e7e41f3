"""Which video encoders truly work here: each is given a few pictures to encode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import av
from av.codec.codec import UnknownCodecError

Codec: TypeAlias = Literal["h264", "hevc", "av1", "vp9"]

_ENCODERS: dict[Codec, tuple[str, ...]] = {
    "h264": ("libx264", "h264_nvenc"),
    "hevc": ("libx265", "hevc_nvenc"),
    "av1": ("libsvtav1", "libaom-av1", "av1_nvenc"),
    "vp9": ("libvpx-vp9",),
}
# Hardware encoders refuse pictures much smaller than this.
_SIZE = 256
_QUIET = {"libx265": {"x265-params": "log-level=none"}}


@dataclass(frozen=True, slots=True)
class EncoderTrial:
    """What came of a try; `problem` is empty where the encoder gave packets."""

    codec: Codec
    encoder: str
    problem: str

    @property
    def works(self) -> bool:
        return not self.problem


def versions() -> dict[str, str]:
    """The versions of PyAV and of the FFmpeg libraries in it."""
    libraries = {
        name: ".".join(str(part) for part in version)
        for name, version in sorted(av.library_versions.items())
    }
    return {"PyAV": av.__version__, **libraries}


def encoder_trials() -> tuple[EncoderTrial, ...]:
    """A try of each encoder that suits, the preferred one of each codec first."""
    # SVT-AV1 writes to the terminal past every logger; 1 leaves it its errors.
    os.environ.setdefault("SVT_LOG", "1")
    return tuple(
        EncoderTrial(codec, encoder, _problem(encoder))
        for codec in get_args(Codec)
        for encoder in _ENCODERS[codec]
    )


def _problem(encoder: str) -> str:
    """Why an encoder does not encode; empty where it does."""
    try:
        context = av.CodecContext.create(encoder, "w")
        if not isinstance(context, av.VideoCodecContext):
            return "it encodes no video"
        context.width = context.height = _SIZE
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, 25)
        context.options = _QUIET.get(encoder, {})
        packets = 0
        for pts in range(3):
            picture = av.VideoFrame(_SIZE, _SIZE, "yuv420p")
            picture.pts = pts
            packets += len(context.encode(picture))
        packets += len(context.encode(None))
    except UnknownCodecError:
        return "it is not built in"
    except (av.FFmpegError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return "" if packets == 3 else f"it gave {packets} packets for 3 pictures"
