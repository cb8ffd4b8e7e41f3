"""A mesh that lies beside its face, or of a face in profile, is not trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.faces.mesh_fit import mesh_trust, turned_away
from engine.geometry import affine
from engine.geometry.boxes import box_of
from engine.values import Affine, Box, Detection, Face
from tests import people

FRONT = people.face(100, 100, 200)
SIZE = (640, 480)


def seen(share: float) -> Face:
    """Return a face whose eyes lie `share` of their distance apart."""
    points = FRONT.detection.points.copy()
    points[:, 0] = 200 + share * (points[:, 0] - 200)
    return replace(FRONT, detection=replace(FRONT.detection, points=points))


def moved(face: Face, to: Affine) -> Face:
    box = face.box
    corners = np.array([(box.left, box.top), (box.right, box.bottom)], np.float32)
    return replace(
        face,
        detection=Detection(
            box_of(affine.apply(to, corners)), 0.9, affine.apply(to, face.detection.points)
        ),
        mesh=replace(face.mesh, points=affine.apply(to, face.mesh.points)),
    )


def test_a_face_from_the_front_is_worth_its_score() -> None:
    assert mesh_trust(FRONT, SIZE) == 1
    assert mesh_trust(replace(FRONT, mesh=replace(FRONT.mesh, score=0.3)), SIZE) == pytest.approx(
        0.3
    )


def test_the_swap_holds_to_55_degrees_and_ends_by_62() -> None:
    trust = [mesh_trust(seen(float(np.cos(np.radians(angle)))), SIZE) for angle in range(0, 80, 2)]
    assert min(trust[:28]) == 1
    assert max(trust[32:]) == 0
    assert trust == sorted(trust, reverse=True)


def test_eyes_that_lie_close_together_tell_a_turn() -> None:
    assert turned_away(seen(1.0)) == pytest.approx(0, abs=1)
    assert turned_away(seen(0.5)) == pytest.approx(60, abs=1)


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_a_mesh_beside_the_box_is_not_trusted(degrees: float) -> None:
    angle = np.radians(degrees)
    along = 60 * np.array((np.cos(angle), np.sin(angle)), np.float32)
    turn = np.array([(np.cos(angle), -np.sin(angle), 0), (np.sin(angle), np.cos(angle), 0)])
    turn[:, 2] = 200 - turn[:, :2] @ (200, 200)
    face = moved(FRONT, turn)
    aside = face.mesh.points + np.array((*along, 0), np.float32)
    assert mesh_trust(replace(face, mesh=replace(face.mesh, points=aside)), SIZE) == 0
    # Chin and forehead may reach further than the detector's box does.
    down = face.mesh.points + np.array((-along[1], along[0], 0), np.float32)
    assert mesh_trust(replace(face, mesh=replace(face.mesh, points=down)), SIZE) > 0.9


def test_a_mesh_of_one_point_is_not_trusted() -> None:
    flat = np.zeros_like(FRONT.mesh.points)
    assert mesh_trust(replace(FRONT, mesh=replace(FRONT.mesh, points=flat)), SIZE) == 0
    nowhere = replace(FRONT.detection, box=Box(5, 5, 5, 5))
    assert mesh_trust(replace(FRONT, detection=nowhere), SIZE) == 0


@pytest.mark.parametrize("cut", [0.1, 0.25, 0.35, 0.45])
@pytest.mark.parametrize("right", [True, False])
def test_a_face_that_the_picture_s_border_cuts_is_trusted(cut: float, *, right: bool) -> None:
    """The detector's box ends at the border, and the mesh goes on."""
    out = FRONT.box.left + cut * FRONT.box.width
    face = moved(FRONT, affine.shift(0 if right else -out, 0))
    width = round(face.box.right - cut * face.box.width) if right else 640
    box = Box(max(face.box.left, 0), face.box.top, min(face.box.right, width - 1), face.box.bottom)
    seen_in_part = replace(face, detection=replace(face.detection, box=box))
    assert mesh_trust(seen_in_part, (width, 480)) == 1
