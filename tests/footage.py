"""Clips and pictures of the synthetic people of `openpeople`, small enough to swap in a moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from engine.media.decode import read_image
from engine.pixels.planes import thumbnail
from engine.values import Bytes

WIDTH, HEIGHT = 400, 240
SIDE = 170
TIME_BASE = Fraction(1, 1000)
SOUND_RATE = 8000


@dataclass(frozen=True)
class Spot:
    """A person's portrait in a picture: whose, and where its left top corner is."""

    person: str
    left: int
    top: int = 40


WOMAN, MAN, STRANGER = "P004", "P008", "P001"
TWO = (Spot(WOMAN, 15), Spot(MAN, 215))


def asset(person: str, name: str = "studio_portrait") -> Path:
    """The file of a person's picture."""
    root = Path(str(files("openpeople") / "data" / "curated"))
    return root / person / "assets" / f"{name}.jpg"


@cache
def portrait(person: str, side: int = SIDE) -> Bytes:
    """The upper middle of a person's studio portrait, (side, side, 3) RGB."""
    whole = thumbnail(read_image(asset(person)), (2 * side, 2 * side))
    return whole[side // 5 : side // 5 + side, side // 2 : side // 2 + side]


def picture(spots: Sequence[Spot], step: int = 0) -> Bytes:
    """A wall with people before it, all of them `step` pixels further right; (240, 400, 3) RGB."""
    wall = np.random.default_rng(1).integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
    wall = np.asarray(cv2.GaussianBlur(wall, (0, 0), 2), np.uint8)
    for spot in spots:
        left = spot.left + step
        face = portrait(spot.person)[: HEIGHT - spot.top, : WIDTH - left]
        wall[spot.top : spot.top + SIDE, left : left + SIDE] = face
    return wall


def write_png(path: Path, pixels: Bytes) -> Path:
    """A PNG file of RGB or RGBA pixels."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, order))
    return path


def write_clip(path: Path, times: Iterable[int], spots: Sequence[Spot] = TWO) -> Path:
    """A lossless clip: a picture at each of `times` (ms), two tracks of sound."""
    times = list(times)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.time_base = video.codec_context.time_base = TIME_BASE
        tracks = [container.add_stream("pcm_s16le", rate=SOUND_RATE) for _ in range(2)]
        for index, time in enumerate(times):
            shot = av.VideoFrame.from_ndarray(picture(spots, index // 2), format="rgb24")
            shot = shot.reformat(format="yuv420p")
            shot.pts, shot.time_base = time, TIME_BASE
            container.mux(video.encode(shot))
        container.mux(video.encode(None))
        for number, track in enumerate(tracks, start=1):
            container.mux(track.encode(_tone(220.0 * number, times[-1] / 1000 + 0.04)))
            container.mux(track.encode(None))
    return path


def sound(path: Path) -> list[list[tuple[int | None, bytes]]]:
    """Time stamps and bytes of the packets of each track of sound."""
    with av.open(str(path)) as container:
        tracks: list[list[tuple[int | None, bytes]]] = [[] for _ in container.streams.audio]
        places = {stream.index: place for place, stream in enumerate(container.streams.audio)}
        for packet in container.demux(audio=tuple(range(len(tracks)))):
            if packet.size:
                tracks[places[packet.stream.index]].append((packet.pts, bytes(packet)))
        return tracks


def _tone(hertz: float, seconds: float) -> Any:
    count = int(seconds * SOUND_RATE)
    wave = np.sin(np.arange(count) / SOUND_RATE * hertz * 2 * np.pi) * 8000
    frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = SOUND_RATE, 0
    return frame
