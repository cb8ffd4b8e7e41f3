"""Find the video encoders that work here, by giving each a few pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import av

from engine.media.encoder_trials import encoder_problem
from engine.media.encoders import encoder_named

Codec: TypeAlias = Literal["h264", "hevc", "av1", "vp9"]

# Besides the one that a codec's name stands for.
_OTHERS: dict[Codec, tuple[str, ...]] = {
    "h264": ("h264_nvenc",),
    "hevc": ("hevc_nvenc",),
    "av1": ("libaom-av1", "av1_nvenc"),
}
# Hardware encoders refuse pictures much smaller than this.
_SIZE = (256, 256)


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
    return tuple(
        EncoderTrial(
            codec, encoder.name, encoder_problem(encoder.name, "yuv420p", _SIZE, encoder.options)
        )
        for codec in get_args(Codec)
        for encoder in map(encoder_named, (codec, *_OTHERS.get(codec, ())))
    )
