"""A film of two people who change places at a cut, and sources that paint them red and blue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.analysis.film_analysis import FilmAnalysis
from engine.api import Engine
from engine.media.decode import read_frames
from engine.parameters import SwapKeywords
from engine.plan.cast import RoleKeywords
from engine.values import Bytes
from tests.doubles import TintedSwapper
from tests.footage import MAN, STRANGER, TWO, WOMAN, Spot, asset, picture, write_clip, write_png

TIMES = tuple(range(0, 480, 40))
CUT = 7  # the frame from which the two have changed places
CHANGED = (Spot(MAN, 15), Spot(WOMAN, 215))
LOSSLESS: SwapKeywords = {"video_codec": "ffv1", "occluder": "none", "content_check": False}


def paint(index: int, _: object) -> Bytes:
    return picture(TWO if index < CUT else CHANGED, index // 2)


@pytest.fixture(scope="module")
def cast_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cast")


@pytest.fixture(scope="module")
def cast_film(cast_folder: Path) -> Path:
    return write_clip(cast_folder / "two people.mkv", TIMES, paint=paint)


@pytest.fixture(scope="module")
def cast_sources(cast_folder: Path) -> dict[str, Path]:
    """Pictures of a person in red and in blue light, which the swapper below draws plainly."""
    face = picture([Spot(STRANGER, 100)])
    tints = {"red": (1.0, 0.1, 0.1), "blue": (0.1, 0.1, 1.0)}
    return {
        name: write_png(cast_folder / f"{name}.png", (face * np.array(tint)).astype(np.uint8))
        for name, tint in tints.items()
    }


@pytest.fixture(scope="module")
def tinting() -> Iterator[Engine]:
    with Engine(device="cpu", swapper=TintedSwapper()) as one:
        yield one


@pytest.fixture(scope="module")
def cast_analysis(tinting: Engine, cast_film: Path, cast_folder: Path) -> FilmAnalysis:
    return tinting.analyse(cast_film, cast_folder / "film.faces")


def colours(output: Path) -> list[dict[str, str]]:
    """Return for each frame the colour that each person's face has: red, blue or none."""
    found = []
    for index, frame in enumerate(read_frames(output)):
        pixels = frame.to_rgb().astype(int)
        spots = TWO if index < CUT else CHANGED
        colour = {}
        for spot in spots:
            left, top = spot.left + index // 2 + 75, spot.top + 80
            red, _, blue = pixels[top : top + 20, left : left + 20].mean(axis=(0, 1))
            colour[spot.person] = "red" if red > 3 * blue else "blue" if blue > 3 * red else "none"
        found.append(colour)
    return found


def roles(sources: dict[str, Path], **ways: dict[str, Any]) -> list[RoleKeywords]:
    """Return roles for the woman, in red, and the man, in blue."""
    anna: Any = {"name": "Anna", "source": sources["red"], **ways["woman"]}
    ben: Any = {"name": "Ben", "source": sources["blue"], **ways["man"]}
    return [anna, ben]


def by_reference(sources: dict[str, Path]) -> list[RoleKeywords]:
    return roles(sources, woman={"reference": asset(WOMAN)}, man={"reference": [asset(MAN)]})


def numbers(tinting: Engine, analysis: FilmAnalysis) -> dict[str, int]:
    """Return the number of the woman and of the man among the film's people."""
    found: dict[str, int] = {}
    for person in tinting.people(analysis):
        first = min((face for track in person.tracks for face in track.best), key=lambda f: f.pts)
        is_left = first.box.left < 200
        found[WOMAN if is_left == (first.index < CUT) else MAN] = person.number
    return found
