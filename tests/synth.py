"""Small clips with moving shapes and any property that a target may have, written with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.media.scheduling import ordinary_scheduling

_RATE = 48_000

Paint: TypeAlias = Callable[[int, tuple[int, int]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Tags:
    """Colour tags by their numbers in ITU-T H.273; `full` means full range."""

    primaries: int = 2
    transfer: int = 2
    space: int = 2
    full: bool = False


@dataclass(frozen=True)
class Sound:
    """An audio track: a tone with some noise, from `start` on for `seconds`."""

    codec: str = "aac"
    pitch: float = 440.0
    seconds: float = 0.5
    start: float = 0.0
    language: str = "eng"


@dataclass(frozen=True)
class Line:
    """A subtitle."""

    start: float
    end: float
    text: str


def draw(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw frame `index` of a scene: gradients, a moving square and disc; (h, w, 3) RGB."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + y + 4 * index) % 256], axis=-1)
    left = (5 * index) % max(1, width - 12)
    picture[4:16, left : left + 12] = (230, 60, 40)
    disc = (x - width / 2) ** 2 + (y - height / 2 - index % 9) ** 2 < (min(size) / 6) ** 2
    picture[disc] = (40, 200, 90)
    return picture.astype(np.uint8)


@ordinary_scheduling()
def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    frames: int = 12,
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    sounds: Sequence[Sound] = (),
    lines: Sequence[Line] = (),
    chapters: Sequence[tuple[float, float, str]] = (),
    rotation: int | None = None,
    mirrored: bool = False,
    tags: Tags | None = None,
    aspect: Fraction | None = None,
    metadata: Mapping[str, str] | None = None,
    attachment: bytes | None = None,
    options: Mapping[str, str] | None = None,
    muxing: Mapping[str, str] | None = None,
    paint: Paint | None = None,
) -> Path:
    """Write a clip and return its path.

    `pts` count in `time_base` (1/(512 fps) where it is None) and replace `frames` and `fps`.
    `paint` draws frame n at (width, height); None takes `draw`.
    `rotation` and `mirrored` are arguments of PyAV's `set_display_rotation`.
    """
    base = time_base or Fraction(1, 512 * fps)
    stamps = list(pts) if pts is not None else [round(n / (fps * base)) for n in range(frames)]
    container_options = dict(muxing or {})
    if path.suffix in (".mp4", ".mov"):
        container_options.setdefault("video_track_timescale", str(base.denominator))
    with av.open(str(path), "w", container_options=container_options) as out:
        video = out.add_stream(codec, rate=fps, options=dict(options or {}))
        assert isinstance(video, VideoStream)
        _describe(video, size, pix_fmt, base, tags, aspect)
        if rotation is not None or mirrored:
            video.set_display_rotation(rotation or 0, hflip=mirrored)
        tracks = [out.add_stream(sound.codec, rate=_RATE) for sound in sounds]
        for track, sound in zip(tracks, sounds, strict=True):
            track.metadata["language"] = sound.language
        texts = _add_subtitles(out, path) if lines else None
        if attachment is not None:
            out.add_attachment("note.txt", "text/plain", attachment)
        out.metadata.update(metadata or {})
        milliseconds: Any = Fraction(1, 1000)  # PyAV 19 declares a type of its own, and takes any
        out.set_chapters(
            [
                {
                    "id": n,
                    "start": round(start * 1000),
                    "end": round(end * 1000),
                    "time_base": milliseconds,
                    "metadata": {"title": title},
                }
                for n, (start, end, title) in enumerate(chapters, 1)
            ]
        )
        out.start_encoding()
        for n, stamp in enumerate(stamps):
            picture = _picture((paint or draw)(n, size), pix_fmt, tags)
            picture.pts, picture.time_base = stamp, base
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        for track, sound in zip(tracks, sounds, strict=True):
            _play(out, track, sound)
        for line in lines if texts is not None else ():
            assert texts is not None
            _say(out, texts, line, path)
    return path


def _describe(
    video: VideoStream,
    size: tuple[int, int],
    pix_fmt: str,
    base: Fraction,
    tags: Tags | None,
    aspect: Fraction | None,
) -> None:
    context = video.codec_context
    context.width, context.height = size
    context.pix_fmt = pix_fmt
    context.time_base = video.time_base = base
    if aspect is not None:
        context.sample_aspect_ratio = aspect
    if tags is not None:
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        context.colorspace, context.color_range = tags.space, 2 if tags.full else 1


def _picture(rgb: NDArray[np.uint8], pix_fmt: str, tags: Tags | None) -> VideoFrame:
    picture = VideoFrame.from_ndarray(rgb, format="rgb24")
    if tags is None or pix_fmt.startswith(("gbr", "rgb", "gray")):
        return picture.reformat(format=pix_fmt)
    converted = picture.reformat(
        format=pix_fmt,
        dst_colorspace=tags.space if tags.space != 2 else None,
        dst_color_range=2 if tags.full else 1,
    )
    converted.color_primaries, converted.color_trc = tags.primaries, tags.transfer
    return converted


def _play(out: OutputContainer, track: Stream, sound: Sound) -> None:
    context = track.codec_context
    assert isinstance(context, av.AudioCodecContext)
    count = round(sound.seconds * _RATE)
    time = np.arange(count) / _RATE
    noise = np.random.default_rng(round(sound.pitch)).normal(0, 0.05, count)
    wave = (0.4 * np.sin(2 * np.pi * sound.pitch * time) + noise).astype(np.float32)
    for first in range(0, count, 1024):
        samples = np.stack([wave[first : first + 1024]] * 2)
        frame = AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = _RATE, Fraction(1, _RATE)
        frame.pts = first + round(sound.start * _RATE)
        for resampled in av.AudioResampler(context.format, "stereo", _RATE).resample(frame):
            out.mux(_packets(track, resampled))
    out.mux(_packets(track, None))


def _packets(track: Stream, frame: AudioFrame | None) -> list[Packet[Stream]]:
    packets: list[Packet[Stream]] = track.encode(frame)  # type: ignore[attr-defined]
    return packets


def _add_subtitles(out: OutputContainer, path: Path) -> Stream:
    stream = out.add_mux_stream("mov_text" if path.suffix in (".mp4", ".mov") else "subrip")
    stream.time_base = Fraction(1, 1000)
    return stream


def _say(out: OutputContainer, texts: Stream, line: Line, path: Path) -> None:
    body = line.text.encode()
    if path.suffix in (".mp4", ".mov"):
        body = len(body).to_bytes(2, "big") + body
    packet: Packet[Stream] = Packet(body)
    packet.stream, packet.time_base = texts, Fraction(1, 1000)
    packet.pts = packet.dts = round(line.start * 1000)
    packet.duration = round((line.end - line.start) * 1000)
    packet.is_keyframe = True
    out.mux(packet)
