"""Race by an imported network, and several readers as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.faces.fairface import FairFace, ReadTogether
from engine.runtime.session import Session
from engine.values import Attributes, Colour, Face, Frame, PixelFormat, Race
from tests import people
from tests.runtime.tiny_models import Signature

FAIRFACE = Signature(
    {"input": (1, 3, 224, 224)}, {"race_id": (1,), "gender_id": (1,), "age_id": (1,)}
)


@dataclass
class Reader:
    """Answers with what it was given."""

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


@pytest.mark.parametrize(
    ("number", "race"),
    [
        (0, "white"),
        (1, "black"),
        (2, "latino hispanic"),
        (3, "asian"),
        (4, "asian"),
        (5, "indian"),
        (6, "middle eastern"),
    ],
)
def test_class_numbers_become_the_public_words(
    frame: Frame, tmp_path: Path, number: int, race: Race
) -> None:
    reader = FairFace(Session(FAIRFACE.save(tmp_path / "fairface.onnx", number)))
    assert reader.provides == {"race"}
    assert reader.read(frame, [a_face(10), a_face(60)]) == [Attributes(race=race)] * 2
    assert reader.read(frame, []) == []


def test_readers_together_say_what_each_knows(frame: Frame) -> None:
    both = ReadTogether(
        [
            Reader(Attributes(age=30, gender="female"), frozenset({"age", "gender"})),
            Reader(Attributes(age=50, race="indian"), frozenset({"age", "race"})),
        ]
    )
    assert both.provides == {"age", "gender", "race"}
    assert both.read(frame, [a_face(10)]) == [Attributes(30, "female", "indian")]
    assert both.read(frame, []) == []
