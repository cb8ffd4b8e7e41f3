from collections.abc import Sequence

import numpy as np
import pytest

from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork, locate_in
from engine.faces.regions import region_around_detection, region_around_mesh
from engine.faces.search import detector_views, find_faces
from engine.faces.yunet import YuNet
from engine.geometry import affine as maps
from engine.runtime.session import Session
from engine.values import Bytes, Frame, Mesh
from engine.weights.weight_store import WeightStore
from tests.faces.pictures import frame_of, picture, turned


def found(frame: Frame, detector: YuNet, landmarker: FaceMeshNetwork) -> Mesh:
    views = detector_views(frame.size, 640, thorough=False, rotated=True)
    (detection,) = find_faces(frame, detector, views)
    (rough,) = locate_in(frame, [region_around_detection(detection)], landmarker)
    (mesh,) = locate_in(frame, [region_around_mesh(rough)], landmarker)
    return mesh


def between_eyes(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh.points[33, :2] - mesh.points[263, :2]))


@pytest.mark.parametrize("degrees", [0, 40, 90, 135, 180, 290])
def test_the_mesh_turns_with_the_head(
    detector: YuNet, landmarker: FaceMeshNetwork, degrees: float
) -> None:
    upright = found(frame_of(picture("P004")), detector, landmarker)
    image, motion = turned(picture("P004"), degrees, 700)
    mesh = found(frame_of(image), detector, landmarker)
    expected = maps.apply(motion, upright.points)
    distance = np.linalg.norm(mesh.points[:, :2] - expected[:, :2], axis=1)
    assert mesh.score > 0.9
    assert distance.mean() < 0.02 * between_eyes(mesh)


def test_depth_has_the_unit_of_the_picture(detector: YuNet, landmarker: FaceMeshNetwork) -> None:
    small = found(frame_of(picture("P004", longest=400)), detector, landmarker)
    large = found(frame_of(picture("P004", longest=1000)), detector, landmarker)
    assert np.ptp(large.points[:, 2]) == pytest.approx(2.5 * np.ptp(small.points[:, 2]), rel=0.1)
    # The tip of the nose is nearer to the camera than the cheeks.
    assert large.points[1, 2] < large.points[[234, 454], 2].min()


@pytest.mark.parametrize("value", [0, 128])
def test_what_is_no_face_scores_low(landmarker: FaceMeshNetwork, value: int) -> None:
    size = landmarker.size
    blank: Bytes = np.full((size, size, 3), value, np.uint8)
    (mesh,) = landmarker.locate([blank])
    assert mesh.score < 0.5
    assert mesh.points.shape == (468, 3)


def test_no_crops_give_no_meshes(landmarker: FaceMeshNetwork) -> None:
    assert landmarker.locate([]) == []


class Fixed:
    """Answers every crop with one mesh."""

    def __init__(self, size: int, value: float, score: float) -> None:
        self.size = size
        self.mesh = Mesh(np.full((468, 3), value, np.float32), score)
        self.shapes: list[tuple[int, ...]] = []

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        self.shapes += [crop.shape for crop in crops]
        return [self.mesh for _ in crops]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0.9, 1.0, 100.0), (0.1, 0.8, 39.5), (0.1, 0.05, 100.0)],
)
def test_the_plain_network_steps_in_where_the_other_gives_up(
    first: float, second: float, expected: float
) -> None:
    attentive, plain = Fixed(256, 100.0, first), Fixed(192, 29.5, second)
    crop: Bytes = np.zeros((256, 256, 3), np.uint8)
    (mesh,) = FallbackMeshNetwork(attentive, plain).locate([crop])
    assert mesh.score == max(first, second) if first < 0.5 else first
    # Place 29.5 of 192 pixels is, by the edges, place 39.5 of 256.
    np.testing.assert_allclose(mesh.points[:, :2], expected, atol=1e-3)
    assert plain.shapes == ([] if first >= 0.5 else [(192, 192, 3)])


def test_both_networks_see_the_same_face(store: WeightStore, detector: YuNet) -> None:
    attentive = FaceMeshNetwork(Session(store.path("face_mesh_478")))
    plain = FaceMeshNetwork(Session(store.path("face_mesh")))
    frame = frame_of(picture("P004"))
    one, other = found(frame, detector, attentive), found(frame, detector, plain)
    distance = np.linalg.norm(one.points[:, :2] - other.points[:, :2], axis=1)
    assert distance.mean() < 0.05 * between_eyes(one)
