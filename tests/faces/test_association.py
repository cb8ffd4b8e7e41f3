import numpy as np
import pytest

from engine.faces.association import pair_boxes
from engine.faces.motion import detection_at_mesh, interpolate_face
from engine.geometry import affine as maps
from engine.values import Box, Face, Mesh


def square(x: float, y: float, size: float = 100) -> Box:
    return Box(x, y, x + size, y + size)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [square(0, 0)], []),
        ([square(0, 0)], [square(30, 10)], [(0, 0)]),
        ([square(0, 0)], [square(90, 0)], []),
        ([square(0, 0, 100)], [square(0, 0, 170)], []),
        ([square(0, 0), square(300, 0)], [square(310, 0), square(5, 0)], [(0, 1), (1, 0)]),
        ([square(0, 0), square(40, 0)], [square(42, 0)], [(1, 0)]),
        ([square(0, 0, 0)], [square(0, 0, 0)], []),
    ],
)
def test_pairs(before: list[Box], after: list[Box], expected: list[tuple[int, int]]) -> None:
    assert sorted(pair_boxes(before, after)) == expected


def test_a_mixture_ends_at_its_ends(portrait_face: Face) -> None:
    shifted = detection_at_mesh(portrait_face, Mesh(portrait_face.mesh.points + 10, 0.5))
    other = Face(shifted, Mesh(portrait_face.mesh.points + 10, 0.5))
    start, middle = (
        interpolate_face(portrait_face, other, 0),
        interpolate_face(portrait_face, other, 0.5),
    )
    assert start.box == portrait_face.box
    assert middle.mesh.score == pytest.approx((portrait_face.mesh.score + 0.5) / 2)
    np.testing.assert_allclose(middle.mesh.points - portrait_face.mesh.points, 5, atol=1e-3)
    assert middle.box.left == pytest.approx(portrait_face.box.left + 5, abs=0.01)
    assert middle.embedding is portrait_face.embedding


def test_a_detection_moves_with_its_mesh(portrait_face: Face) -> None:
    motion = maps.compose(maps.rescale(2), maps.shift(7, 3))
    there = detection_at_mesh(
        portrait_face, Mesh(maps.apply(motion, portrait_face.mesh.points), 1.0)
    )
    assert there.box.width == pytest.approx(2 * portrait_face.box.width, rel=1e-4)
    np.testing.assert_allclose(
        there.points, maps.apply(motion, portrait_face.detection.points), atol=0.01
    )
