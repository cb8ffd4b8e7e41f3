"""A cast as a person writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import pytest

from engine.errors import MediaError, ParameterError
from engine.plan.cast import (
    Cast,
    CastKeywords,
    Correction,
    CorrectionKeywords,
    Record,
    Role,
    RoleKeywords,
    read_cast,
    validate,
)

TEXT = """
[[role]]
name = "Anna"
source = "anna.jpg"
person = 0

[[role]]
name = "Ben"
source = ["faces/ben.jpg", "/faces/ben.mp4"]
reference = ["old.png"]
distance = 0.5

[[role]]
name = "Carla"
keep = true
frame = "00:01:10.200"
point = [640, 360.5]

[[correction]]
track = [12, 13]
role = "Anna"

[[correction]]
from = "00:01:10.200"
to = 1800
role = "keep"
"""
ANNA: dict[str, Any] = {"name": "Anna", "source": "anna.jpg", "person": 0}


def test_a_file_is_read_and_its_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    path.write_text(TEXT)
    cast = read_cast(path)
    anna, ben, carla = cast.role
    assert (anna.name, anna.source, anna.person) == ("Anna", (str(tmp_path / "anna.jpg"),), (0,))
    assert ben.source == (str(tmp_path / "faces" / "ben.jpg"), "/faces/ben.mp4")
    assert (ben.reference, ben.distance) == ((str(tmp_path / "old.png"),), 0.5)
    assert (carla.keep, carla.frame, carla.point) == (True, "00:01:10.200", (640, 360.5))
    first, second = cast.correction
    assert (first.track, first.role) == ((12, 13), "Anna")
    assert (second.start, second.to, second.role) == ("00:01:10.200", 1800, "keep")
    assert [cast.number(name) for name in ("Carla", "keep")] == [2, None]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"role": []}, r"cast\.toml: role is \[\]; allowed: from 1 to 64 roles\."),
        ({}, r"cast\.toml: role is missing; allowed: from 1 to 64 roles\."),
        ({"role": [3]}, r"cast\.toml, role 1: 3 is no table of keys\."),
        (
            {"role": [ANNA], "corection": []},
            r"cast\.toml: corection is no key here; did you mean correction\?",
        ),
        (
            {"role": [ANNA | {"persn": 1}]},
            r"cast\.toml, role 1: persn is no key here; did you mean person\?",
        ),
        (
            {"role": [ANNA, ANNA | {"name": "Ben", "person": -1}]},
            r"cast\.toml, role 2: person is -1; allowed: a whole number from 0, or a list",
        ),
        (
            {"role": [ANNA | {"person": True}]},
            r"role 1: person is True; allowed: a whole number",
        ),
        (
            {"role": [{"name": "A", "source": "a", "frame": "1:99"}]},
            r"frame is '1:99'; allowed: the number of a frame, counted from 1, or a time as .HH:M",
        ),
        (
            {"role": [{"name": "A", "source": "a", "frame": 1.5}]},
            r"frame is 1\.5; allowed: the number of a frame",
        ),
        (
            {"role": [{"name": "A", "source": "a", "frame": 1, "point": [1]}]},
            r"point is .*; allowed: \[x, y\] in pixels",
        ),
        ({"role": [{"source": "a", "person": 0}]}, r"role 1: name is missing; allowed: a text\."),
        ({"role": [{"name": "A", "person": 0}]}, r"role 1: give source, or keep = true"),
        ({"role": [ANNA | {"keep": True}]}, r"role 1: give source, or keep = true, and not both"),
        ({"role": [{"name": "A", "source": "a"}]}, r"by one of person, reference, frame"),
        ({"role": [ANNA | {"frame": 2}]}, r"by one of person, reference, frame"),
        ({"role": [ANNA | {"position": 2}]}, r"position and point choose a face of frame"),
        ({"role": [ANNA | {"distance": 0.3}]}, r"distance has no effect on a role by person"),
        ({"role": [ANNA | {"name": "keep"}]}, r"name is 'keep', which stands for no role"),
        ({"role": [ANNA, ANNA]}, r"two roles are named 'Anna'; give each a name of its own"),
        (
            {"role": [ANNA], "correction": [{"role": "keep"}]},
            r"correction 1: say what it is about by track, person, of, from or to",
        ),
        (
            {"role": [ANNA], "correction": [{"role": "keep", "track": 1, "of": "Anna"}]},
            r"correction 1: name the faces by one of track, person, of",
        ),
        (
            {"role": [ANNA], "correction": [{"role": "Ana", "track": 1}]},
            r"correction 1: role is 'Ana'; allowed: Anna, keep",
        ),
        (
            {"role": [ANNA], "correction": [{"role": "keep", "of": "Ana"}]},
            r"correction 1: of is 'Ana'; allowed: Anna\.",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        validate(values, Cast, "cast.toml")


def test_a_file_that_is_no_cast_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cast.toml"
    with pytest.raises(MediaError, match=r"cast\.toml cannot be read: No such file"):
        read_cast(path)
    for data in (b"[[role", b"\xff\xfe", b"a = " + b"[" * 100_000):
        path.write_bytes(data)
        with pytest.raises(ParameterError, match=r"cast\.toml is no TOML: "):
            read_cast(path)


@pytest.mark.parametrize(
    ("model", "keywords"),
    [(Role, RoleKeywords), (Correction, CorrectionKeywords), (Cast, CastKeywords)],
)
def test_the_keywords_of_python_are_the_keys_of_a_file(
    model: type[Record], keywords: type[object]
) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    assert sorted(get_type_hints(keywords)) == sorted(keys)


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        ({"role": "Anna", "from": 3, "box": [1, 2, 3]}, r"box is .*; allowed: \[left, top, right"),
        ({"role": "Anna", "from": 3, "box": [4, 2, 3, 9]}, r"correction 1: box is empty"),
        ({"role": "Anna", "box": [1, 2, 3, 4]}, r"from is missing; name the frame that box is in"),
        ({"role": "keep", "from": 3, "box": [1, 2, 3, 4]}, r"which is kept anyway; name a role"),
        (
            {"role": "Anna", "from": 3, "track": 1, "box": [1, 2, 3, 4]},
            r"box is a face of its own; leave out track, person and of",
        ),
    ],
)
def test_what_is_wrong_with_a_box_is_told(correction: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        validate({"role": [ANNA], "correction": [correction]}, Cast, "cast.toml")
