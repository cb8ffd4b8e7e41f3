"""Several people of a film get a source each, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.analysis.film_analysis import FilmAnalysis
from engine.api import Engine
from engine.errors import NoFaceFound, ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.plan.cast import RoleKeywords
from tests.cast_film import (
    LOSSLESS,
    TIMES,
    by_reference,
    cast_analysis,
    cast_film,
    cast_folder,
    cast_sources,
    colours,
    numbers,
    roles,
    tinting,
)
from tests.footage import MAN, TWO, WOMAN, asset, picture, write_png

pytestmark = pytest.mark.slow

__all__ = ["cast_analysis", "cast_film", "cast_folder", "cast_sources", "tinting"]  # fixtures


def check_all(output: Path) -> None:
    assert colours(output) == [{WOMAN: "red", MAN: "blue"}] * len(TIMES)


def test_the_film_shows_who_is_who_before(cast_film: Path) -> None:
    assert colours(cast_film) == [{WOMAN: "none", MAN: "none"}] * len(TIMES)


def test_two_people_get_two_sources_in_one_pass(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    report = tinting.swap(
        None, cast_film, tmp_path / "out.mkv", cast=by_reference(cast_sources), **LOSSLESS
    )
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
    tinting: Engine,
    cast_film: Path,
    cast_sources: dict[str, Path],
    ways: dict[str, Any],
    tmp_path: Path,
) -> None:
    tinting.swap(
        None, cast_film, tmp_path / "out.mkv", cast=roles(cast_sources, **ways), **LOSSLESS
    )
    found = colours(tmp_path / "out.mkv")
    assert found in (
        [{WOMAN: "red", MAN: "blue"}] * len(TIMES),
        [{WOMAN: "blue", MAN: "red"}] * len(TIMES),
    )
    if "point" in ways["woman"]:
        check_all(tmp_path / "out.mkv")


def test_people_are_named_by_number(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = numbers(tinting, cast_analysis)
    cast = roles(cast_sources, woman={"person": number[WOMAN]}, man={"person": [number[MAN]]})
    stages: list[str] = []
    tinting.swap(
        None,
        cast_film,
        tmp_path / "alone.mkv",
        cast=cast,
        observe=lambda progress: stages.append(progress.stage),
        **LOSSLESS,
    )
    check_all(tmp_path / "alone.mkv")
    assert stages.index("analysing") < stages.index("swapping")
    monkeypatch.setattr(FaceAnalyser, "analyse", None)
    tinting.swap(
        None, cast_film, tmp_path / "out.mkv", cast=cast, analysis=cast_analysis.path, **LOSSLESS
    )
    check_all(tmp_path / "out.mkv")


def test_a_role_that_is_kept_stays_as_it_is(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    cast: list[RoleKeywords] = [
        {"name": "Anna", "keep": True, "reference": asset(WOMAN)},
        {"name": "Ben", "source": cast_sources["blue"], "reference": asset(MAN), "distance": 1.0},
    ]
    report = tinting.swap(None, cast_film, tmp_path / "out.mkv", cast=cast, **LOSSLESS)
    assert colours(tmp_path / "out.mkv") == [{WOMAN: "none", MAN: "blue"}] * len(TIMES)
    assert [(one.name, one.keeps, one.faces) for one in report.roles] == [
        ("Anna", True, len(TIMES)),
        ("Ben", False, len(TIMES)),
    ]


def test_a_picture_is_swapped_to_a_cast(
    tinting: Engine, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    still = write_png(tmp_path / "two.png", picture(TWO))
    tinting.swap(None, still, tmp_path / "out.png", cast=by_reference(cast_sources), **LOSSLESS)
    assert colours(tmp_path / "out.png") == [{WOMAN: "red", MAN: "blue"}]


def refused(
    tinting: Engine, cast_film: Path, tmp_path: Path, cast: Sequence[RoleKeywords] | Path
) -> str:
    with pytest.raises((ParameterError, NoFaceFound)) as caught:
        tinting.swap(None, cast_film, tmp_path / "out.mkv", cast=cast, **LOSSLESS)
    assert not (tmp_path / "out.mkv").exists()
    return str(caught.value)


def test_a_person_or_face_that_is_not_there_is_told(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    ways: dict[str, dict[str, Any]] = {"woman": {"person": 0}, "man": {"person": 7}}
    assert refused(tinting, cast_film, tmp_path, roles(cast_sources, **ways)) == (
        "person is 7, and the film has 2 people, counted from 0; `faceswap-engine people` lists "
        "them."
    )
    ways["man"] = {"person": 0}
    assert "The role Ben names a person of another role, too" in refused(
        tinting, cast_film, tmp_path, roles(cast_sources, **ways)
    )
    ways = {"woman": {"frame": 1}, "man": {"frame": 1, "point": [2, 2]}}
    assert refused(tinting, cast_film, tmp_path, roles(cast_sources, **ways)).startswith(
        f"The role Ben is at point 2, 2 in frame 1 of {cast_film}, and no face is there; found: 0:"
    )


def test_a_source_or_a_selection_beside_a_cast_is_refused(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    cast = by_reference(cast_sources)
    with pytest.raises(ParameterError, match="and a cast names the sources; leave one out"):
        tinting.swap(asset(MAN), cast_film, tmp_path / "out.mkv", cast=cast)
    with pytest.raises(ParameterError, match="face_selector_mode cannot be used with a cast"):
        tinting.swap(None, cast_film, tmp_path / "out.mkv", cast=cast, face_selector_mode="many")
    with pytest.raises(ParameterError, match="source_image is None; allowed: the path"):
        tinting.swap(None, cast_film, tmp_path / "out.mkv")
