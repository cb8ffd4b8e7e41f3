from pathlib import Path

import numpy as np
import pytest

from engine.faces.scrfd import SCRFD, decode
from engine.runtime.session import Session
from engine.weights.weight_store import WeightStore
from tests import tiny_models_faces as tiny

INPUT = WeightStore().network("det_10g").input


def level(height: int, width: int, stride: int, anchors: int, values: int) -> np.ndarray:
    return np.zeros((height // stride * (width // stride) * anchors, values), np.float32)


@pytest.mark.parametrize("anchors", [1, 2])
def test_a_cell_is_decoded_from_its_corner_in_any_order_of_outputs(anchors: int) -> None:
    outputs = [
        level(64, 96, stride, anchors, values) for values in (1, 4, 10) for stride in (8, 16, 32)
    ]
    # The last anchor of the middle level: column 5, row 3, stride 16.
    outputs[1][-1] = 0.9
    outputs[4][-1] = (1, 2, 3, 4)
    outputs[7][-1] = np.arange(10)
    for order in (slice(None), slice(None, None, -1)):
        scores, boxes, points = decode(outputs[order], 64, 96)
        (found,) = np.flatnonzero(scores > 0.5)
        np.testing.assert_allclose(boxes[found], (80 - 16, 48 - 32, 80 + 48, 48 + 64))
        np.testing.assert_allclose(points[found, 1], (80 + 2 * 16, 48 + 3 * 16))


def test_boxes_alone_give_points_of_an_upright_face() -> None:
    outputs = [level(64, 64, stride, 2, values) for values in (1, 4) for stride in (8, 16, 32)]
    outputs[3][0] = (0, 0, 5, 5)
    _, _, points = decode(outputs, 64, 64)
    left_eye, right_eye, nose, left_mouth, right_mouth = points[0]
    assert 0 < left_eye[0] < nose[0] < right_eye[0] < 40
    assert 0 < left_eye[1] < nose[1] < left_mouth[1] < 40
    assert left_mouth[0] < nose[0] < right_mouth[0]


def test_outputs_of_another_network_are_refused() -> None:
    outputs = [np.zeros((77, values), np.float32) for values in (1, 4)]
    with pytest.raises(ValueError, match=r"77 anchors .* 64 x 64"):
        decode(outputs, 64, 64)


@pytest.mark.parametrize("size", [(33, 70), (1, 1), (250, 318)])
def test_pictures_of_any_size_are_looked_at(tmp_path: Path, size: tuple[int, int]) -> None:
    session = Session(tiny.save_scrfd(tmp_path / "scrfd.onnx", tiny.ScrfdKind()))
    detector = SCRFD(session, INPUT, score=0.01)
    for faces in detector.detect([tiny.scene(*size)] * 2):
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)


def test_a_graph_of_one_size_sees_larger_pictures_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "scrfd.onnx"
    fixed = SCRFD(Session(tiny.save_scrfd(path, tiny.ScrfdKind(side=320))), INPUT)
    free = SCRFD(Session(tiny.save_scrfd(path, tiny.ScrfdKind())), INPUT)
    small = tiny.scene(320, 256)
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    padded = np.zeros((320, 320, 3), np.uint8)
    padded[:, :256] = small
    (wanted,), (seen,) = free.detect([padded]), fixed.detect([large])
    (same,) = fixed.detect([small])
    assert [face.score for face in same] == pytest.approx([face.score for face in wanted])
    best, again = wanted[0], seen[0]
    assert again.score == pytest.approx(best.score, abs=0.02)
    # The large picture's edge lies half of its own pixel further out.
    assert again.box.left == pytest.approx(2 * best.box.left + 0.5, abs=0.5)
    np.testing.assert_allclose(again.points, 2 * best.points + 0.5, atol=0.5)
