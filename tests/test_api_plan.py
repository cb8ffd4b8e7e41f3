"""A plan of a film is made, read, edited and drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Never

import pytest

from engine.analysis.film_analysis import FilmAnalysis
from engine.api import Engine
from engine.errors import MediaError, OutputExists, ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.media.decode import read_frames
from engine.plan.cast import CorrectionKeywords, RoleKeywords
from engine.values import Detection, Frame
from tests.cast_film import (
    CUT,
    LOSSLESS,
    TIMES,
    by_reference,
    cast_analysis,
    cast_film,
    cast_folder,
    cast_sources,
    colours,
    numbers,
    tinting,
)
from tests.footage import MAN, WOMAN, write_clip

pytestmark = pytest.mark.slow

__all__ = ["cast_analysis", "cast_film", "cast_folder", "cast_sources", "tinting"]  # fixtures

ALL = [{WOMAN: "red", MAN: "blue"}] * len(TIMES)


def same(one: Path, other: Path) -> bool:
    frames = zip(read_frames(one), read_frames(other), strict=True)
    return all((a.to_rgb() == b.to_rgb()).all() for a, b in frames)


def test_a_plan_is_what_a_swap_would_do_and_what_render_does(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast = by_reference(cast_sources)
    path = tmp_path / "plan.toml"
    plan = tinting.plan(cast_film, path, cast=cast, analysis=cast_analysis)
    assert sorted(plan.tracks) == ["0", "1", "2", "3"]
    spans = {(row.start, row.to, row.role, row.reason) for row in plan.tracks.values()}
    cut = f"00:00:00.{TIMES[CUT]}"
    before = f"00:00:00.{TIMES[CUT - 1]}"
    assert spans == {
        (start, to, role, "nearest")
        for start, to in (("00:00:00.000", before), (cut, "00:00:00.440"))
        for role in ("Anna", "Ben")
    }
    assert all(0 <= (row.distance or 0) < 0.5 for row in plan.tracks.values())

    def refuse(*_: object) -> Never:
        raise AssertionError("The film is analysed again.")

    monkeypatch.setattr(FaceAnalyser, "analyse", refuse)
    swapped, rendered = tmp_path / "swapped.mkv", tmp_path / "rendered.mkv"
    tinting.swap(None, cast_film, swapped, cast=cast, analysis=cast_analysis, **LOSSLESS)
    report = tinting.render(path, rendered, analysis=cast_analysis, **LOSSLESS)
    assert colours(rendered) == ALL
    assert same(swapped, rendered)
    assert [(one.name, one.faces) for one in report.roles] == [("Anna", 12), ("Ben", 12)]
    picture = tmp_path / "one.png"
    made = tinting.preview(
        None, None, picture, plan=path, frame=5, analysis=cast_analysis, **LOSSLESS
    )
    expected = list(read_frames(rendered))[4]
    assert (made.after.to_rgb() == expected.to_rgb()).all()
    assert {face.role for face in made.faces} == {"Anna", "Ben"}
    with pytest.raises(ParameterError, match="leave out source_image, target and cast"):
        tinting.preview(None, cast_film, picture, plan=path)


def test_a_dry_run_tells_what_is_done(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    path = tmp_path / "plan.toml"
    cast = by_reference(cast_sources)
    plan = tinting.plan(cast_film, path, cast=cast, analysis=cast_analysis)
    planned = tinting.dry_run_plan(path, analysis=cast_analysis)
    assert {str(row.track): row.role for row in planned} == {
        number: row.role for number, row in plan.tracks.items()
    }
    assert {(row.reason, row.frames) for row in planned} == {("plan", CUT), ("plan", 12 - CUT)}
    streamed = tinting.dry_run(None, cast_film, cast=cast)
    known = [(row.track, row.first, row.last, row.role) for row in streamed]
    assert known == [(row.track, row.first, row.last, row.role) for row in planned]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plan.toml"]


def test_a_dry_run_of_hosted_parameters_tells_what_is_done(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    told = tinting.dry_run(cast_sources["red"], cast_film)
    report = tinting.swap(cast_sources["red"], cast_film, tmp_path / "out.mkv", **LOSSLESS)
    assert (
        sum(row.frames for row in told if row.chosen) == report.faces_swapped + report.faces_faded
    )


def test_rows_and_sources_are_edited_by_hand(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    path, out = tmp_path / "plan.toml", tmp_path / "out.mkv"
    plan = tinting.plan(cast_film, path, cast=by_reference(cast_sources), analysis=cast_analysis)
    text = path.read_text()
    late = [number for number, row in plan.tracks.items() if row.start != "00:00:00.000"]
    for number in late:  # one row is edited, the other one goes
        line = next(line for line in text.splitlines() if line.startswith(f"{number} = "))
        edited = line.replace('"Anna"', '"Ben"') if "Anna" in line else ""
        text = text.replace(line, edited)
    path.write_text(text)
    tinting.render(path, out, analysis=cast_analysis, **LOSSLESS)
    assert colours(out) == ALL[:CUT] + [{WOMAN: "blue", MAN: "none"}] * (len(TIMES) - CUT)


def test_without_a_cast_each_person_gets_a_role_to_fill_in(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    path, out = tmp_path / "plan.toml", tmp_path / "out.mkv"
    plan = tinting.plan(cast_film, path)
    assert [(role.name, role.keep, role.person) for role in plan.role] == [
        ("person 0", True, (0,)),
        ("person 1", True, (1,)),
    ]
    source = f'source = "{cast_sources["red"]}"'
    path.write_text(path.read_text().replace("keep = true", source, 1))
    tinting.render(path, out, **LOSSLESS)
    found = colours(out)
    assert found in ([{WOMAN: "red", MAN: "none"}] * 12, [{WOMAN: "none", MAN: "red"}] * 12)


def corrected(
    tinting: Engine,
    cast_film: Path,
    analysis: FilmAnalysis,
    cast: dict[str, Any],
    tmp_path: Path,
) -> list[dict[str, str]]:
    """Return who has which face after a swap, and check that a rendered plan has the same."""
    swapped, rendered, plan = (tmp_path / name for name in ("a.mkv", "b.mkv", "plan.toml"))
    tinting.swap(None, cast_film, swapped, cast=cast, analysis=analysis, **LOSSLESS)  # type: ignore[arg-type]
    tinting.plan(cast_film, plan, cast=cast, analysis=analysis)  # type: ignore[arg-type]
    tinting.render(plan, rendered, analysis=analysis, **LOSSLESS)
    assert same(swapped, rendered)
    return colours(swapped)


@pytest.mark.parametrize(
    ("correction", "woman", "man"),
    [
        (
            {"from": "00:00:00.080", "to": "00:00:00.160", "role": "keep"},
            "rrnnnrrrrrrr",
            "bbnnnbbbbbbb",
        ),
        ({"from": 3, "to": 5, "of": "Anna", "role": "Ben"}, "rrbbbrrrrrrr", "bbbbbbbbbbbb"),
        ({"from": "0.2", "of": "Ben", "role": "keep"}, "rrrrrrrrrrrr", "bbbbbnnnnnnn"),
        ({"to": 1, "of": "Ben", "role": "keep"}, "rrrrrrrrrrrr", "nbbbbbbbbbbb"),
    ],
)
def test_corrections_of_spans_hold(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
    correction: CorrectionKeywords,
    woman: str,
    man: str,
) -> None:
    cast = {"role": by_reference(cast_sources), "correction": [correction]}
    found = corrected(tinting, cast_film, cast_analysis, cast, tmp_path)
    assert "".join(colour[WOMAN][0] for colour in found) == woman
    assert "".join(colour[MAN][0] for colour in found) == man


def test_corrections_of_tracks_and_people_survive_another_source_and_distance(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    number = numbers(tinting, cast_analysis)
    woman = tinting.people(cast_analysis)[number[WOMAN]]
    corrections: list[CorrectionKeywords] = [
        {"person": number[MAN], "role": "Anna"},
        {"track": woman.tracks[-1].number, "role": "Ben"},
    ]
    expected = [{WOMAN: "red", MAN: "red"}] * CUT + [{WOMAN: "blue", MAN: "red"}] * (12 - CUT)
    cast = {"role": by_reference(cast_sources), "correction": corrections}
    assert corrected(tinting, cast_film, cast_analysis, cast, tmp_path) == expected
    # The plan is the next cast: another source, another distance, the same corrections.
    path, out = tmp_path / "plan.toml", tmp_path / "again.mkv"
    text = path.read_text()
    text = text.replace(str(cast_sources["red"]), str(cast_sources["blue"]), 1)
    path.write_text(re.sub(r'(name = "Ben"\n)', r"\1distance = 0.01\n", text))
    tinting.plan(cast_film, path, cast=path, analysis=cast_analysis, overwrite=True)
    tinting.render(path, out, analysis=cast_analysis, **LOSSLESS)
    assert colours(out) == [{WOMAN: "blue", MAN: "blue"}] * 12


def test_a_plan_of_another_film_or_other_tracks_is_refused(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    path, out = tmp_path / "plan.toml", tmp_path / "out.mkv"
    tinting.plan(cast_film, path, cast=by_reference(cast_sources), analysis=cast_analysis)
    text = path.read_text()
    other = write_clip(tmp_path / "other.mkv", TIMES[:3])
    path.write_text(text.replace(str(cast_film), "other.mkv"))
    with pytest.raises(ParameterError, match=r"plan\.toml is a plan of another film than .*other"):
        tinting.render(path, out, **LOSSLESS)
    path.write_text(text.replace(str(cast_film), "nowhere.mkv"))
    with pytest.raises(MediaError, match=r"nowhere\.mkv cannot be read: No such file"):
        tinting.render(path, out, **LOSSLESS)
    path.write_text(text.replace('to = "00:00:00.440"', 'to = "00:00:00.400"'))
    with pytest.raises(
        ParameterError, match=r"is seen from .* to 00:00:00.400, but in the analysis"
    ):
        tinting.render(path, out, analysis=cast_analysis, **LOSSLESS)
    assert not out.exists()
    assert other.exists()


def test_what_cannot_be_planned_is_told(
    tinting: Engine, cast_film: Path, cast_sources: dict[str, Path], tmp_path: Path
) -> None:
    there = tmp_path / "plan.toml"
    there.write_text("precious")
    with pytest.raises(OutputExists):
        tinting.plan(cast_film, there)
    with pytest.raises(ParameterError, match="crf cannot be chosen"):
        tinting.plan(cast_film, there, crf=20)
    with pytest.raises(MediaError, match="is a picture"):
        tinting.plan(cast_sources["red"], tmp_path / "other.toml")
    assert there.read_text() == "precious"


@pytest.fixture(scope="module")
def half_blind(tinting: Engine, cast_film: Path, cast_folder: Path) -> FilmAnalysis:
    """Return an analysis by a detector that sees nothing in the picture's right half."""
    detect = FaceAnalyser._detect

    def detect_left(self: FaceAnalyser, frame: Frame, *, thorough: bool) -> list[Detection]:
        found = detect(self, frame, thorough=thorough)
        return [one for one in found if one.box.left + one.box.right < frame.size[0]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceAnalyser, "_detect", detect_left)
        return tinting.analyse(cast_film, cast_folder / "half.faces")


BOX = [265, 75, 335, 165]  # around the face on the right in the first frame


@pytest.mark.parametrize(
    ("correction", "man"),
    [
        ({"from": 3, "role": "Ben"}, "nnbnnnnbbbbb"),
        ({"from": "00:00:00.040", "to": 5, "role": "Ben"}, "nbbbbnnbbbbb"),
        ({"from": 2, "to": 10, "role": "Ben"}, "nbbbbbbbbbbb"),  # to the end of the shot
    ],
)
def test_a_face_that_was_missed_is_drawn_and_followed(
    tinting: Engine,
    cast_film: Path,
    half_blind: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
    correction: dict[str, Any],
    man: str,
) -> None:
    cast = {"role": by_reference(cast_sources), "correction": [{**correction, "box": BOX}]}
    found = corrected(tinting, cast_film, half_blind, cast, tmp_path)
    assert "".join(colour[MAN][0] for colour in found) == man
    assert "".join(colour[WOMAN][0] for colour in found) == "rrrrrrrnnnnn"


def test_a_box_without_a_face_is_told(
    tinting: Engine,
    cast_film: Path,
    half_blind: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    corrections: list[CorrectionKeywords] = [
        {"from": 2, "to": 4, "box": [0, 0, 20, 20], "role": "Ben"}
    ]
    report = tinting.swap(
        None,
        cast_film,
        tmp_path / "out.mkv",
        cast={"role": by_reference(cast_sources), "correction": corrections},
        analysis=half_blind,
        **LOSSLESS,
    )
    told = [warning for warning in report.warnings if warning.startswith("correction 1: no face")]
    assert len(told) == 1
    assert {colour[MAN] for colour in colours(tmp_path / "out.mkv")[:CUT]} == {"none"}


def test_a_box_where_a_face_was_found_adds_none(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    corrections: list[CorrectionKeywords] = [{"from": 1, "to": 4, "box": BOX, "role": "Anna"}]
    report = tinting.swap(
        None,
        cast_film,
        tmp_path / "out.mkv",
        cast={"role": by_reference(cast_sources), "correction": corrections},
        analysis=cast_analysis,
        **LOSSLESS,
    )
    assert report.faces_seen == 2 * len(TIMES)
    assert colours(tmp_path / "out.mkv") == ALL
    (told,) = [warning for warning in report.warnings if warning.startswith("correction 1: ")]
    assert "give track = " in told


def test_an_error_names_its_correction(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    corrections: list[CorrectionKeywords] = [
        {"track": 0, "role": "keep"},
        {"from": 500, "role": "keep"},
    ]
    with pytest.raises(ParameterError, match=r"correction 2: there is no frame 500; the film has"):
        tinting.swap(
            None,
            cast_film,
            tmp_path / "out.mkv",
            cast={"role": by_reference(cast_sources), "correction": corrections},
            analysis=cast_analysis,
            **LOSSLESS,
        )


def test_a_role_gets_the_track_of_the_face_that_it_points_at(
    tinting: Engine,
    cast_film: Path,
    cast_analysis: FilmAnalysis,
    cast_sources: dict[str, Path],
    tmp_path: Path,
) -> None:
    roles: list[RoleKeywords] = [
        {
            "name": name,
            "source": cast_sources[colour],
            "frame": 3,
            "point": point,
            "distance": 0.0,
        }
        for name, colour, point in (("Anna", "red", [95, 130]), ("Ben", "blue", [295, 130]))
    ]
    plan = tinting.plan(cast_film, tmp_path / "plan.toml", cast=roles, analysis=cast_analysis)
    told = sorted((row.start, row.role, row.reason) for row in plan.tracks.values())
    assert told[:2] == [("00:00:00.000", "Anna", "person"), ("00:00:00.000", "Ben", "person")]
    assert {role for _, role, _ in told[2:]} == {"keep"}
    roles[1]["point"] = roles[0]["point"]
    with pytest.raises(ParameterError, match="The role Ben names a person of another role, too"):
        tinting.plan(cast_film, tmp_path / "none.toml", cast=roles, analysis=cast_analysis)
