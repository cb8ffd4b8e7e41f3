"""Sizes at which faces are swapped."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from engine.geometry import affine
from engine.pipeline.crop_sizes import CropSizes
from engine.pipeline.stages import crop_map
from engine.values import Face, Frame, PixelFormat, Planned
from tests import people
from tests.doubles import FIVE

SIDES = (128, 256, 512)


def face(shown: float, track: int | None = None) -> Face:
    """A face whose crop shows `shown` pixels of the frame along its side."""
    some = people.face(10, 20, 40)
    some = replace(some, mesh=replace(some.mesh, score=0), track=track)
    factor = shown * affine.scale_of(crop_map(some, FIVE, 1))
    points = (some.detection.points * factor).astype(np.float32)
    return replace(some, detection=replace(some.detection, points=points))


def planned(*faces: Face) -> Planned:
    plane = np.zeros((16, 16), np.uint8)
    frame = Frame(0, 0, Fraction(1, 25), (plane,), PixelFormat("gray", "gray", 8))
    return Planned(frame, faces, faces)


def sizes(sides: tuple[int, ...], *shots: Planned) -> list[tuple[int, ...]]:
    return [shot.sizes for shot in CropSizes(sides, FIVE).assign(shots)]


@pytest.mark.parametrize(
    ("shown", "side"), [(20, 128), (127, 128), (129, 256), (255, 256), (400, 512), (2000, 512)]
)
def test_a_face_gets_the_least_side_that_holds_all_its_pixels(shown: float, side: int) -> None:
    assert sizes(SIDES, planned(face(shown))) == [(side,)]


def test_a_single_side_is_taken_for_all() -> None:
    assert sizes((384,), planned(face(20), face(900)), planned()) == [(384, 384), ()]


def test_each_face_of_a_frame_has_its_own() -> None:
    assert sizes(SIDES, planned(face(100), face(500))) == [(128, 512)]


def test_a_followed_face_does_not_flicker_between_two_sides() -> None:
    near_a_step = [planned(face(shown, track=7)) for shown in (125, 131, 126, 134, 122)]
    assert sizes(SIDES, *near_a_step) == [(128,)] * 5
    coming = [planned(face(shown, track=7)) for shown in (100, 120, 139, 145, 255, 290)]
    assert sizes(SIDES, *coming) == [(128,), (128,), (128,), (256,), (256,), (512,)]
    going = [planned(face(shown, track=7)) for shown in (150, 130, 120, 110, 100)]
    assert sizes(SIDES, *going) == [(256,), (256,), (256,), (128,), (128,)]


def test_faces_of_other_tracks_know_nothing_of_each_other() -> None:
    shots = [planned(face(140, track=1)), planned(face(125, track=2))]
    assert sizes(SIDES, *shots) == [(256,), (128,)]
