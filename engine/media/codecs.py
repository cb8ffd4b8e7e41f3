"""Which video encoders truly work here: each is given a few pictures to encode."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import av
from av.codec.codec import UnknownCodecError

from engine.media.encoders import Encoder, encoder_named, silence

Codec: TypeAlias = Literal["h264", "hevc", "av1", "vp9"]

# Besides the one that a codec's name stands for.
_OTHERS: dict[Codec, tuple[str, ...]] = {
    "h264": ("h264_nvenc",),
    "hevc": ("hevc_nvenc",),
    "av1": ("libaom-av1", "av1_nvenc"),
}
# Hardware encoders refuse pictures much smaller than this.
_SIZE = 256


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
    silence()
    return tuple(
        EncoderTrial(codec, encoder.name, _problem(encoder))
        for codec in get_args(Codec)
        for encoder in map(encoder_named, (codec, *_OTHERS.get(codec, ())))
    )


def _problem(encoder: Encoder) -> str:
    """Why an encoder does not encode; empty where it does."""
    try:
        context = av.CodecContext.create(encoder.name, "w")
        if not isinstance(context, av.VideoCodecContext):
            return "it encodes no video"
        context.width = context.height = _SIZE
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, 25)
        context.options = dict(encoder.options)
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
