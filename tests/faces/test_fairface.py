"""Race by an imported network, and several readers as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.faces.fairface import AttributeSubset, CombinedReader, FairFace
from engine.options import Race
from engine.runtime.session import Session
from engine.values import Attributes, Colour, Face, Frame, PixelFormat
from engine.weights.weight_store import WeightStore
from tests import people
from tests.tiny_models_faces import save_fairface


@dataclass
class Reader:
    """Returns the attributes that it was given."""

    says: Attributes
    provides: frozenset[str] = field(default=frozenset())

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        return [self.says for _ in faces]


@pytest.fixture
def frame() -> Frame:
    planes = tuple(np.full((80, 120), value, np.uint8) for value in (90, 120, 150))
    fmt = PixelFormat("gbrp", "rgb", 8)
    return Frame(0, 0, Fraction(1), planes, fmt, Colour(matrix="rgb", full_range=True))


def a_face(left: float) -> Face:
    face = people.face(left, 10, 40)
    mesh = np.random.default_rng(0).uniform(10, 50, (468, 3)).astype(np.float32)
    return Face(face.detection, type(face.mesh)(mesh, 1.0))


RACES: tuple[Race, ...] = (
    "white",
    "black",
    "latino hispanic",
    "asian",
    "asian",
    "indian",
    "middle eastern",
)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        *(((race, 0, 3), Attributes(25, "male", word)) for race, word in enumerate(RACES)),
        ((0, 1, 0), Attributes(1, "female", "white")),
        ((0, 0, 1), Attributes(6, "male", "white")),
        ((0, 0, 2), Attributes(15, "male", "white")),
        ((0, 0, 7), Attributes(65, "male", "white")),
        ((0, 0, 8), Attributes(75, "male", "white")),
    ],
)
def test_class_numbers_become_the_public_words(
    frame: Frame, tmp_path: Path, numbers: tuple[int, int, int], said: Attributes
) -> None:
    session = Session(save_fairface(tmp_path / "fairface.onnx", *numbers))
    reader = FairFace(session, WeightStore().network("fairface").input)
    assert reader.provides == {"age", "gender", "race"}
    assert reader.read(frame, [a_face(10), a_face(60)]) == [said] * 2
    assert reader.read(frame, []) == []


def test_only_some_fields_are_let_through(frame: Frame) -> None:
    everything = Reader(Attributes(30, "female", "indian"), frozenset({"age", "gender", "race"}))
    some = AttributeSubset(everything, {"gender", "race"})
    assert some.provides == {"gender", "race"}
    assert some.read(frame, [a_face(10)]) == [Attributes(None, "female", "indian")]


def test_readers_together_say_what_each_knows(frame: Frame) -> None:
    both = CombinedReader(
        [
            Reader(Attributes(age=30, gender="female"), frozenset({"age", "gender"})),
            Reader(Attributes(age=50, race="indian"), frozenset({"age", "race"})),
        ]
    )
    assert both.provides == {"age", "gender", "race"}
    assert both.read(frame, [a_face(10)]) == [Attributes(30, "female", "indian")]
    assert both.read(frame, []) == []
