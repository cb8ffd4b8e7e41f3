"""Small clips and pictures of the synthetic people of `openpeople`."""

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
from tests.synth import Sound, make_clip

WIDTH, HEIGHT = 400, 240
SIDE = 170


@dataclass(frozen=True)
class Spot:
    """Position of a person's portrait in a picture, by its top left corner."""

    person: str
    left: int
    top: int = 40


WOMAN, MAN, STRANGER = "P004", "P008", "P001"
TWO = (Spot(WOMAN, 15), Spot(MAN, 215))


def asset(person: str, name: str = "studio_portrait") -> Path:
    """Return the path of a person's picture."""
    root = Path(str(files("openpeople") / "data" / "curated"))
    return root / person / "assets" / f"{name}.jpg"


@cache
def portrait(person: str, side: int = SIDE) -> Bytes:
    """Return the upper middle of a person's studio portrait, (side, side, 3) RGB."""
    whole = thumbnail(read_image(asset(person)), (2 * side, 2 * side))
    return whole[side // 5 : side // 5 + side, side // 2 : side // 2 + side]


def picture(spots: Sequence[Spot], step: int = 0) -> Bytes:
    """Draw people before a wall, moved right by `step` pixels; (240, 400, 3) RGB."""
    wall = np.random.default_rng(1).integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
    wall = np.asarray(cv2.GaussianBlur(wall, (0, 0), 2), np.uint8)
    for spot in spots:
        left = spot.left + step
        face = portrait(spot.person)[: HEIGHT - spot.top, : WIDTH - left]
        wall[spot.top : spot.top + SIDE, left : left + SIDE] = face
    return wall


def write_png(path: Path, pixels: Bytes) -> Path:
    """Write RGB or RGBA pixels as a PNG file."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, order))
    return path


def write_clip(
    path: Path, times: Iterable[int], spots: Sequence[Spot] = TWO, **properties: Any
) -> Path:
    """Write a lossless clip: a frame at each of `times` (ms) and two tracks of sound.

    `properties` are arguments of `make_clip`. The people move to the right.
    """
    given: dict[str, Any] = {
        "codec": "ffv1",
        "size": (WIDTH, HEIGHT),
        "pts": list(times),
        "time_base": Fraction(1, 1000),
        "sounds": (Sound("pcm_s16le"), Sound("pcm_s16le", 660.0)),
        "paint": lambda index, _: picture(spots, index // 2),
    }
    return make_clip(path, **{**given, **properties})


def sound(path: Path) -> list[list[tuple[int | None, bytes]]]:
    """Return the pts and the bytes of the packets of each track of sound."""
    with av.open(str(path)) as container:
        tracks: list[list[tuple[int | None, bytes]]] = [[] for _ in container.streams.audio]
        places = {stream.index: place for place, stream in enumerate(container.streams.audio)}
        for packet in container.demux(audio=tuple(range(len(tracks)))):
            if packet.size:
                tracks[places[packet.stream.index]].append((packet.pts, bytes(packet)))
        return tracks
