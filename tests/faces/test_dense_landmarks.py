"""Landmarks that were chosen beside the mesh."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from engine.faces.landmarks import alignment_points, five_points_of_landmarks
from engine.faces.motion import interpolate_face
from engine.faces.tracker import Sighting, smooth_landmarks
from engine.values import Colour, Face, Frame, Landmarks, PixelFormat
from tests import people

BLACK = Frame(
    0, 0, Fraction(1), (np.zeros((4, 4), np.uint8),), PixelFormat("gray", "gray", 8), Colour()
)


def marked(offset: float) -> Face:
    points = np.arange(212, dtype=np.float32).reshape(106, 2) + np.float32(offset)
    return replace(people.face(size=100), track=0, landmarks=Landmarks("2d106", points))


def first(face: Face) -> float:
    assert face.landmarks is not None
    return float(face.landmarks.points[0, 0])


def test_five_points_are_found_in_each_scheme() -> None:
    flat = Landmarks("2d106", np.arange(212, dtype=np.float32).reshape(106, 2))
    assert five_points_of_landmarks(flat)[:, 0].tolist() == [76, 176, 172, 104, 122]
    deep = Landmarks("3d68", np.repeat(np.arange(68, dtype=np.float32), 3).reshape(68, 3))
    assert five_points_of_landmarks(deep).tolist() == [[n, n] for n in (38.5, 44.5, 30, 48, 54)]


def test_chosen_landmarks_align_a_face_before_its_mesh() -> None:
    face = marked(0)
    assert face.landmarks is not None
    np.testing.assert_array_equal(alignment_points(face), five_points_of_landmarks(face.landmarks))


def test_a_face_between_two_sightings_has_landmarks_between() -> None:
    assert first(interpolate_face(marked(0), marked(8), 0.25)) == 2


def test_jitter_of_landmarks_is_removed_and_motion_kept() -> None:
    def steadied(offsets: list[float]) -> list[float]:
        shots = [Sighting(BLACK, (marked(o),), detected=True) for o in offsets]
        return [first(shot.faces[0]) for shot in smooth_landmarks(shots)]

    np.testing.assert_allclose(steadied([0, 5, 10, 15, 20]), [0, 5, 10, 15, 20], atol=1e-4)
    assert max(steadied([0, 0, 0.6, 0, 0])) < 0.4
