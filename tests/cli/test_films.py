"""The commands about whole films."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from engine.analysis.film_analysis import AnalysisKey, BestFace, FilmAnalysis, Track
from engine.analysis.people import Person
from engine.cli import people_sheet
from engine.cli.commands import main
from engine.media import still
from engine.media.decode import read_image
from engine.pipeline import analyse
from engine.values import Box, Frame
from tests.footage import MAN, STRANGER, WOMAN, asset, write_clip

TIMES = (0, 40, 80, 120, 160, 200)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "two people.mkv", TIMES)


@pytest.fixture(scope="module")
def analysis(film: Path) -> Path:
    path = film.with_name("film.faces")
    assert main(["analyse", str(film), "-o", str(path)]) == 0
    return path


def test_an_analysis_is_told_in_numbers(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "film.faces"
    assert main(["analyse", str(film), "-o", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "file": str(path),
        "frames": 6,
        "faces": 12,
        "tracks": 2,
        "people": 2,
        "bytes": path.stat().st_size,
    }
    assert main(["analyse", str(film), "-o", str(path)]) == 3
    assert "exists" in capsys.readouterr().err
    assert main(["analyse", str(film), "-o", str(path), "--overwrite"]) == 0
    told = capsys.readouterr().out
    size = path.stat().st_size / 1000
    assert told == f"{path}: 2 people in 2 tracks, 12 faces in 6 frames, {size:.0f} KB.\n"


def test_the_people_of_a_film_are_listed_and_drawn(
    film: Path, analysis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "people.png"
    line = ["people", str(film), "--analysis", str(analysis), "--json", "--sheet", str(sheet)]
    assert main(line) == 0
    said = capsys.readouterr()
    people = json.loads(said.out)
    assert said.err == f"wrote {sheet}\n"
    assert [(one["frames"], one["share"], one["first"]) for one in people] == [(6, 1.0, 0.0)] * 2
    assert {one["gender"] for one in people} == {"female", "male"}
    width, height = read_image(sheet).size
    assert (width, height) == (1212, 12 + 2 * 172)


def test_a_sheet_shows_few_people_reads_in_order_and_comes_after_the_list(
    film: Path,
    analysis: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read: list[int] = []

    def frame_at(target: Path, known: FilmAnalysis, pts: int) -> Frame:
        read.append(pts)
        return found(target, known, pts)

    found = analyse.frame_at
    monkeypatch.setattr(analyse, "frame_at", frame_at)
    monkeypatch.setattr(people_sheet, "PEOPLE", 1)
    sheet = tmp_path / "people.png"
    line = ["people", str(film), "--analysis", str(analysis), "--json", "--sheet", str(sheet)]
    assert main(line) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert read == sorted(set(read))
    assert read_image(sheet).size == (1212, 12 + 172 + 36)
    monkeypatch.setattr(still, "write_image", None)
    assert main([*line, "--overwrite"]) != 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_pictures_of_a_person_are_not_of_one_moment() -> None:
    film = FilmAnalysis(
        Path("film.faces"),
        AnalysisKey("", 1, {}, {}),
        Fraction(1, 25),
        (640, 360),
        0,
        1000,
        (),
        frozenset(),
    )

    def track(number: int, *best: tuple[int, float]) -> Track:
        faces = [BestFace(pts, pts, Box(0, 0, 100, 100), weight) for pts, weight in best]
        return Track(number, best[0][0], best[-1][0], 99, tuple(faces))

    tracks = (track(0, (100, 90), (112, 89), (149, 88)), track(1, (150, 70), (400, 60), (30, 50)))
    chosen = people_sheet.best_pictures(film, Person(0, tracks))
    assert [face.pts for face in chosen] == [100, 150, 400, 30]
    many = tuple(track(number, (number * 60, 9.0 + number)) for number in range(9))
    chosen = people_sheet.best_pictures(film, Person(0, many))
    assert [face.pts for face in chosen] == [480, 420, 360, 300, 240]


def test_people_are_found_without_an_analysis(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["people", str(film)]) == 0
    shown = capsys.readouterr().out
    assert "00:00:00.000" in shown
    assert "00:00:00.200" in shown


def test_a_sheet_that_is_no_picture_is_refused(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["people", str(film), "--sheet", "people.txt"]) == 2
    assert "--sheet is people.txt; allowed: a file that ends in" in capsys.readouterr().err


def test_a_swap_takes_an_analysis(
    film: Path, analysis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    line = ["swap", str(asset(STRANGER)), str(film), "-o", str(out), "--analysis", str(analysis)]
    assert main([*line, "--swapper", "mesh", "--pixel-boost", "128x128", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faces_swapped"] == 6
    other = write_clip(tmp_path / "other.mkv", TIMES[:2])
    line[2] = str(other)
    assert main([*line, "--overwrite"]) == 2
    assert "it is of another film" in capsys.readouterr().err


def test_a_swap_takes_a_cast(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cast, out = tmp_path / "cast.toml", tmp_path / "out.mkv"
    shutil.copy(asset(STRANGER), tmp_path / "new.jpg")
    roles = [
        f'[[role]]\nname = "Anna"\nsource = "new.jpg"\nreference = "{asset(WOMAN)}"\n',
        f'[[role]]\nname = "Ben"\nkeep = true\nreference = "{asset(MAN)}"\n',
    ]
    cast.write_text("".join(roles))
    line = ["swap", str(film), "-o", str(out), "--cast", str(cast)]
    assert main([*line, "--swapper", "mesh", "--pixel-boost", "128x128", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["faces_swapped"] == 6
    assert [(one["name"], one["keeps"], one["faces"]) for one in told["roles"]] == [
        ("Anna", False, 6),
        ("Ben", True, 6),
    ]
    cast.write_text(roles[0].replace("source", "sourc"))
    assert main([*line, "--overwrite"]) == 2
    assert f"{cast}, role 1: sourc is no key here; did you mean source?" in capsys.readouterr().err


def test_a_target_alone_is_told(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swap", str(film), "-o", "out.mkv"]) == 2
    assert "TARGET is missing; name SOURCE and TARGET, or give --cast." in capsys.readouterr().err


def test_a_film_is_planned_tried_and_rendered(
    film: Path, analysis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cast, plan, out = tmp_path / "cast.toml", tmp_path / "plan.toml", tmp_path / "out.mkv"
    cast.write_text(
        f'[[role]]\nname = "Anna"\nsource = "{asset(STRANGER)}"\nreference = "{asset(WOMAN)}"\n'
    )
    known = ["--analysis", str(analysis)]
    assert main(["plan", str(film), "--cast", str(cast), "-o", str(plan), *known]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["role", "tracks"]
    assert sorted(row.split() for row in rows) == [["Anna", "1"], ["keep", "1"]]
    for line in (
        ["render", str(plan), "--dry-run", "--json", *known],
        ["swap", str(film), "--cast", str(cast), "--dry-run", "--json", *known],
    ):
        assert main(line) == 0
        told = json.loads(capsys.readouterr().out)
        assert sorted((row["role"] or "keep", row["frames"], row["last"]) for row in told) == [
            ("Anna", 6, 0.2),
            ("keep", 6, 0.2),
        ]
    assert main(["swap", str(asset(STRANGER)), str(film), "--dry-run", *known]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["track", "from", "to", "frames", "role", "distance", "reason"]
    assert sorted(line.split()[4] for line in table[1:]) == ["keep", "swap"]
    everybody = tmp_path / "everybody.toml"
    assert main(["plan", str(film), "-o", str(everybody), *known]) == 0
    capsys.readouterr()
    assert main(["render", str(everybody), "--dry-run", *known]) == 0
    assert capsys.readouterr().out.count("person 0 (kept)") == 1
    everybody.unlink()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cast.toml", "plan.toml"]
    drawing = ["--swapper", "mesh", "--pixel-boost", "128x128", "--json"]
    assert main(["render", str(plan), "-o", str(out), *known, *drawing]) == 0
    assert json.loads(capsys.readouterr().out)["faces_swapped"] == 6
    assert main(["render", str(plan), *known]) == 2
    assert "Missing option '--output' / '-o'" in capsys.readouterr().err
