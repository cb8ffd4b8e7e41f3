"""Write and read a short clip with sound; `faceswap-engine doctor` tries a machine with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.encoder_trials import quiet_svt_av1
from engine.media.encoders import encoder_named
from engine.media.pyav import open_input, open_output
from engine.values import Bytes

FRAME_RATE: Final = 25
_SAMPLE_RATE: Final = 48_000
_PITCH: Final = 440


@dataclass(frozen=True, slots=True)
class Contents:
    """Numbers of frames and audio samples that a file decodes to."""

    pictures: int
    samples: int


def write_clip(path: Path, pictures: Sequence[Bytes]) -> None:
    """Write pictures, (h, w, 3) uint8 RGB, as H.264 in MP4 with a tone of the same length.

    Raises:
        MediaError: this FFmpeg build has no such encoders.
    """
    quiet_svt_av1()
    encoder = encoder_named("h264")
    with open_output(path, "mp4") as out:
        video = out.add_stream(encoder.name, rate=FRAME_RATE, options=dict(encoder.options))
        sound = out.add_stream("aac", rate=_SAMPLE_RATE)
        if not isinstance(video, VideoStream) or not isinstance(sound, AudioStream):
            raise MediaError(
                f"{encoder.name} is no video encoder or aac no audio encoder in this FFmpeg build."
            )
        height, width = pictures[0].shape[:2]
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound.layout = "mono"
        for number, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        out.mux(sound.encode(_tone(len(pictures) / FRAME_RATE)))
        out.mux(sound.encode(None))


def read_contents(path: Path) -> Contents:
    """Decode a file to its end.

    Raises:
        av.FFmpegError: the file cannot be read.
    """
    pictures = samples = 0
    with open_input(path) as container:
        for frame in container.decode():
            pictures += isinstance(frame, VideoFrame)
            samples += frame.samples if isinstance(frame, AudioFrame) else 0
    return Contents(pictures, samples)


def _tone(seconds: float) -> AudioFrame:
    times = np.arange(round(seconds * _SAMPLE_RATE), dtype=np.float32) / _SAMPLE_RATE
    wave = np.sin(2 * np.pi * _PITCH * times, dtype=np.float32)[None]
    frame = av.AudioFrame.from_ndarray(0.2 * wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, 0, Fraction(1, _SAMPLE_RATE)
    return frame
