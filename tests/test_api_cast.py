"""Several people of a film get a source each, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.analysis.film_analysis import FilmAnalysis
from engine.api import Engine
from engine.errors import NoFaceFound, ParameterError
from engine.faces.analyser import FaceAnalyser
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cast")


@pytest.fixture(scope="module")
def film(folder: Path) -> Path:
    return write_clip(folder / "two people.mkv", TIMES, paint=paint)


@pytest.fixture(scope="module")
def sources(folder: Path) -> dict[str, Path]:
    """Pictures of a person in red and in blue light, which the swapper below draws plainly."""
    face = picture([Spot(STRANGER, 100)])
    tints = {"red": (1.0, 0.1, 0.1), "blue": (0.1, 0.1, 1.0)}
    return {
        name: write_png(folder / f"{name}.png", (face * np.array(tint)).astype(np.uint8))
        for name, tint in tints.items()
    }


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu", swapper=TintedSwapper()) as one:
        yield one


@pytest.fixture(scope="module")
def analysis(warm: Engine, film: Path, folder: Path) -> FilmAnalysis:
    return warm.analyse(film, folder / "film.faces")


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


def check_all(output: Path) -> None:
    assert colours(output) == [{WOMAN: "red", MAN: "blue"}] * len(TIMES)


def by_reference(sources: dict[str, Path]) -> list[RoleKeywords]:
    return roles(sources, woman={"reference": asset(WOMAN)}, man={"reference": [asset(MAN)]})


def test_the_film_shows_who_is_who_before(film: Path) -> None:
    assert colours(film) == [{WOMAN: "none", MAN: "none"}] * len(TIMES)


def test_two_people_get_two_sources_in_one_pass(
    warm: Engine, film: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    report = warm.swap(None, film, tmp_path / "out.mkv", cast=by_reference(sources), **LOSSLESS)
    check_all(tmp_path / "out.mkv")
    assert report.faces_swapped == 2 * len(TIMES)
    assert [(one.name, one.faces, one.frames) for one in report.roles] == [
        ("Anna", len(TIMES), len(TIMES)),
        ("Ben", len(TIMES), len(TIMES)),
    ]
    assert [(one.first, one.last) for one in report.roles] == [(0.0, 0.44)] * 2
    assert all(
        0 <= (one.smallest_distance or -1) <= (one.mean_distance or -1) for one in report.roles
    )
    assert {one.field for one in report.sources} == {"source of Anna", "source of Ben"}


@pytest.mark.parametrize(
    "ways",
    [
        {"woman": {"frame": 1, "position": 1}, "man": {"frame": 1, "position": 0}},
        {
            "woman": {"frame": 12, "point": [300, 130]},
            "man": {"frame": "0.440", "point": [95, 130]},
        },
    ],
)
def test_people_are_named_by_a_frame(
    warm: Engine, film: Path, sources: dict[str, Path], ways: dict[str, Any], tmp_path: Path
) -> None:
    warm.swap(None, film, tmp_path / "out.mkv", cast=roles(sources, **ways), **LOSSLESS)
    found = colours(tmp_path / "out.mkv")
    assert found in (
        [{WOMAN: "red", MAN: "blue"}] * len(TIMES),
        [{WOMAN: "blue", MAN: "red"}] * len(TIMES),
    )
    if "point" in ways["woman"]:
        check_all(tmp_path / "out.mkv")


def numbers(warm: Engine, analysis: FilmAnalysis) -> dict[str, int]:
    """Return the number of the woman and of the man among the film's people."""
    found: dict[str, int] = {}
    for person in warm.people(analysis):
        first = min((face for track in person.tracks for face in track.best), key=lambda f: f.pts)
        is_left = first.box.left < 200
        found[WOMAN if is_left == (first.index < CUT) else MAN] = person.number
    return found


def test_people_are_named_by_number(
    warm: Engine,
    film: Path,
    analysis: FilmAnalysis,
    sources: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = numbers(warm, analysis)
    cast = roles(sources, woman={"person": number[WOMAN]}, man={"person": [number[MAN]]})
    stages: list[str] = []
    warm.swap(
        None,
        film,
        tmp_path / "alone.mkv",
        cast=cast,
        observe=lambda progress: stages.append(progress.stage),
        **LOSSLESS,
    )
    check_all(tmp_path / "alone.mkv")
    assert stages.index("analysing") < stages.index("swapping")
    monkeypatch.setattr(FaceAnalyser, "analyse", None)
    warm.swap(None, film, tmp_path / "out.mkv", cast=cast, analysis=analysis.path, **LOSSLESS)
    check_all(tmp_path / "out.mkv")


def test_a_role_that_is_kept_stays_as_it_is(
    warm: Engine, film: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    cast: list[RoleKeywords] = [
        {"name": "Anna", "keep": True, "reference": asset(WOMAN)},
        {"name": "Ben", "source": sources["blue"], "reference": asset(MAN), "distance": 1.0},
    ]
    report = warm.swap(None, film, tmp_path / "out.mkv", cast=cast, **LOSSLESS)
    assert colours(tmp_path / "out.mkv") == [{WOMAN: "none", MAN: "blue"}] * len(TIMES)
    assert [(one.name, one.keeps, one.faces) for one in report.roles] == [
        ("Anna", True, len(TIMES)),
        ("Ben", False, len(TIMES)),
    ]


def test_a_picture_is_swapped_to_a_cast(
    warm: Engine, sources: dict[str, Path], tmp_path: Path
) -> None:
    still = write_png(tmp_path / "two.png", picture(TWO))
    warm.swap(None, still, tmp_path / "out.png", cast=by_reference(sources), **LOSSLESS)
    assert colours(tmp_path / "out.png") == [{WOMAN: "red", MAN: "blue"}]


def refused(warm: Engine, film: Path, tmp_path: Path, cast: Sequence[RoleKeywords] | Path) -> str:
    with pytest.raises((ParameterError, NoFaceFound)) as caught:
        warm.swap(None, film, tmp_path / "out.mkv", cast=cast, **LOSSLESS)
    assert not (tmp_path / "out.mkv").exists()
    return str(caught.value)


def test_a_person_or_face_that_is_not_there_is_told(
    warm: Engine, film: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    ways: dict[str, dict[str, Any]] = {"woman": {"person": 0}, "man": {"person": 7}}
    assert refused(warm, film, tmp_path, roles(sources, **ways)) == (
        "person is 7, and the film has 2 people, counted from 0; `faceswap-engine people` lists "
        "them."
    )
    ways["man"] = {"person": 0}
    assert "The role Ben names a person of another role, too" in refused(
        warm, film, tmp_path, roles(sources, **ways)
    )
    ways = {"woman": {"frame": 1}, "man": {"frame": 1, "point": [2, 2]}}
    assert refused(warm, film, tmp_path, roles(sources, **ways)).startswith(
        f"The role Ben is at point 2, 2 in frame 1 of {film}, and no face is there; found: 0: box"
    )


def test_a_source_or_a_selection_beside_a_cast_is_refused(
    warm: Engine, film: Path, sources: dict[str, Path], tmp_path: Path
) -> None:
    cast = by_reference(sources)
    with pytest.raises(ParameterError, match="and a cast names the sources; leave one out"):
        warm.swap(asset(MAN), film, tmp_path / "out.mkv", cast=cast)
    with pytest.raises(ParameterError, match="face_selector_mode cannot be used with a cast"):
        warm.swap(None, film, tmp_path / "out.mkv", cast=cast, face_selector_mode="many")
    with pytest.raises(ParameterError, match="source_image is None; allowed: the path"):
        warm.swap(None, film, tmp_path / "out.mkv")
