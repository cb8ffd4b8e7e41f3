"""A plan as a text."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import MediaError, ParameterError
from engine.plan.cast import Cast, read_cast, validate
from engine.plan.film_plan import Plan, plan_text, read_plan, write_plan

SHA = "0" * 64
ROW = {"role": "Anna", "from": "00:00:00.000", "to": "00:00:01.200", "distance": 0.123}
VALUES: dict[str, Any] = {
    "version": 1,
    "film": "film.mp4",
    "sha256": SHA,
    "parameters": {"detect_every": 2, "detect_rotated": True},
    "role": [
        {"name": "Anna", "source": "anna.jpg", "person": 0},
        {"name": 'Ben "B" \x7f\n', "keep": True, "frame": "0:10", "point": [1.5, 2.0]},
    ],
    "correction": [{"role": "keep", "from": 12, "to": "00:00:10.500", "of": "Anna"}],
    "tracks": {"0": ROW, "12": {**ROW, "role": "keep", "reason": "too far"}},
}


def plan(**changes: object) -> Plan:
    return validate({**VALUES, **changes}, Plan, "plan.toml")


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = plan().under(tmp_path).model_copy(update={"film": str(tmp_path / "film.mp4")})
    path = tmp_path / "plan.toml"
    write_plan(made, path, path)
    assert read_plan(path) == made
    assert made.rows[12].role == "keep"
    text = path.read_text("utf-8")
    assert 'film = "film.mp4"\n' in text
    assert 'source = "anna.jpg"\n' in text
    assert (
        '0 = { role = "Anna", from = "00:00:00.000", to = "00:00:01.200", distance = 0.123 }\n'
        in text
    )
    assert tomllib.loads(text).keys() == VALUES.keys()


def test_files_outside_of_the_folder_keep_their_paths(tmp_path: Path) -> None:
    made = plan(film="/films/film.mp4").under(Path("/faces"))
    text = plan_text(made, tmp_path)
    assert 'film = "/films/film.mp4"\n' in text
    assert 'source = "/faces/anna.jpg"\n' in text


def test_a_plan_serves_as_a_cast(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(plan_text(plan(), tmp_path))
    cast = read_cast(path)
    assert type(cast) is Cast
    assert cast.names == plan().names
    assert cast.correction == plan().correction


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, r"plan\.toml: version is 2; allowed: 1\."),
        ({"sha256": "00"}, r"plan\.toml: sha256 is '00'; allowed: 64 digits from 0 to f\."),
        ({"tracks": {"x": ROW}}, r"tracks, x: a track is named by a number from 0"),
        (
            {"tracks": {"3": {**ROW, "role": "Ana"}}},
            r"tracks, 3: role is 'Ana'; allowed: Anna, Ben ",
        ),
        (
            {"tracks": {"3": {**ROW, "rol": "Anna"}}},
            r"plan\.toml, tracks, 3: rol is no key here; did you mean role\?",
        ),
        (
            {"tracks": {"3": {**ROW, "distance": "near"}}},
            r"plan\.toml, tracks, 3: distance is 'near'; allowed: a number from 0 to 2\.",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        plan(**changes)


def test_a_name_that_no_text_can_hold_is_told() -> None:
    with pytest.raises(
        ParameterError, match=r"film is .*; allowed: the path of the film, in UTF-8"
    ):
        plan(film="film\udcff.mp4")


def test_a_plan_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "plan.toml"
    with pytest.raises(MediaError, match=r"plan\.toml cannot be written: No such file"):
        write_plan(plan(), path, path)
