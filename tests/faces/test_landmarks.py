import numpy as np
import pytest

from engine.faces.analyser import FaceAnalyser
from engine.faces.landmarks import five_points_of_mesh, frontalness
from engine.values import Face, Mesh
from tests.faces.pictures import frame_of, picture


def test_the_five_points_of_the_mesh_are_those_of_the_detector(portrait_face: Face) -> None:
    distance = np.linalg.norm(
        five_points_of_mesh(portrait_face.mesh) - portrait_face.detection.points, axis=1
    )
    assert distance.max() < 0.1 * portrait_face.box.width


def test_a_face_from_the_front_is_frontal_and_a_profile_is_not(analyser: FaceAnalyser) -> None:
    sheet = picture("P003", "character_sheet", 1600)
    faces = analyser.analyse_picture(frame_of(np.ascontiguousarray(sheet[:500])))
    # Front, left and right profile; the back of the head is no face.
    front, *profiles = sorted(faces, key=lambda face: face.box.left)
    assert len(profiles) == 2
    assert frontalness(front.mesh) > 0.85
    assert all(frontalness(profile.mesh) < 0.3 for profile in profiles)


def test_a_mesh_of_one_point_is_not_frontal() -> None:
    assert frontalness(Mesh(np.zeros((468, 3), np.float32), 1.0)) == pytest.approx(0.0)
