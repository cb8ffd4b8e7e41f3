import numpy as np
import pytest

from engine.faces.yunet import YuNet, decode
from engine.geometry.boxes import iou
from tests.faces.pictures import picture


def test_a_cell_is_decoded_from_its_corner() -> None:
    cells = 6  # two rows of three
    classes = np.full((cells, 1), 0.9, np.float32)
    objects = np.full((cells, 1), 0.4, np.float32)
    boxes = np.tile(np.array([0.5, 0.25, np.log(2), np.log(4)], np.float32), (cells, 1))
    points = np.tile(np.arange(10, dtype=np.float32), (cells, 1))
    scores, found, spots = decode(classes, objects, boxes, points, stride=16, columns=3)
    np.testing.assert_allclose(scores, np.sqrt(0.36), rtol=1e-6)
    # The fifth cell: column 1, row 1; centre (1.5, 1.25) cells, two cells wide, four high.
    np.testing.assert_allclose(found[4], np.array([0.5, -0.75, 2.5, 3.25]) * 16, rtol=1e-6)
    np.testing.assert_allclose(spots[4, 0], [16, 32])
    np.testing.assert_allclose(spots[4, 4], [(1 + 8) * 16, (1 + 9) * 16])


def test_scores_beyond_their_range_are_clipped() -> None:
    one = np.full((1, 1), 1.5, np.float32)
    zeros = np.zeros((1, 10), np.float32)
    assert decode(one, one, zeros[:, :4], zeros, stride=8, columns=1)[0][0] == 1.0
    assert decode(one, -one, zeros[:, :4], zeros, stride=8, columns=1)[0][0] == 0.0


@pytest.mark.parametrize("longest", [64, 157, 320, 641])
def test_a_portrait_of_any_size_shows_one_face_in_its_middle(detector: YuNet, longest: int) -> None:
    (faces,) = detector.detect([picture("P004", longest=longest)])
    assert len(faces) == 1
    box = faces[0].box
    assert abs((box.left + box.right) / 2 / longest - 0.5) < 0.1
    assert 0.2 < box.width / longest < 0.6


def test_points_are_left_eye_right_eye_nose_left_and_right_mouth(detector: YuNet) -> None:
    ((face,),) = detector.detect([picture("P004", longest=320)])
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def test_black_below_and_beside_changes_nothing(detector: YuNet) -> None:
    image = picture("P004", longest=300)
    padded = np.zeros((320, 416, 3), np.uint8)
    padded[:300, :300] = image
    (plain,), (wide,) = detector.detect([image, padded])
    assert iou(plain.box, wide.box) > 0.98


def test_a_picture_without_a_face_gives_no_faces(detector: YuNet) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    assert detector.detect([noise, np.zeros((33, 70, 3), np.uint8)]) == [[], []]
