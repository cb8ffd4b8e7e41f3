import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry.boxes import box_of, iou, nms, pairwise_iou, rect_around, union
from engine.values import Box, Rect


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Box(0, 0, 10, 10), Box(0, 0, 10, 10), 1.0),
        (Box(0, 0, 10, 10), Box(5, 0, 15, 10), 1 / 3),
        (Box(0, 0, 10, 10), Box(10, 0, 20, 10), 0.0),
        (Box(0, 0, 10, 10), Box(2, 2, 4, 4), 0.04),
        (Box(0, 0, 0, 0), Box(0, 0, 0, 0), 0.0),
        (Box(5, 5, 1, 1), Box(0, 0, 10, 10), 0.0),
    ],
)
def test_overlap(one: Box, other: Box, expected: float) -> None:
    assert iou(one, other) == pytest.approx(expected)
    rows = [np.array([[b.left, b.top, b.right, b.bottom]]) for b in (one, other)]
    assert pairwise_iou(rows[0], rows[1])[0, 0] == pytest.approx(expected)


def test_the_first_box_survives_alone() -> None:
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 11]]
    assert nms(boxes, [0.9, 0.8, 0.7], 0.4).tolist() == [0]


def test_the_best_of_a_heap_survives_and_far_boxes_stay() -> None:
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [51, 0, 61, 10]]
    assert nms(boxes, [0.5, 0.9, 0.6, 0.95], 0.4).tolist() == [3, 1]


def test_of_equal_scores_the_earlier_wins() -> None:
    assert nms([[0, 0, 10, 10]] * 3, [0.5, 0.5, 0.5], 0.4).tolist() == [0]


def test_no_boxes_give_no_indices() -> None:
    assert nms([], [], 0.4).size == 0


@settings(deadline=None)  # a slow machine is no failure
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 30)), max_size=20))
def test_what_is_kept_does_not_overlap_and_what_is_not_does(
    squares: list[tuple[int, int, int]],
) -> None:
    boxes = np.array([[x, y, x + s, y + s] for x, y, s in squares], float).reshape(-1, 4)
    scores = np.linspace(1, 0.1, len(boxes))
    kept = nms(boxes, scores, 0.3)
    table = pairwise_iou(boxes, boxes)
    for index in range(len(boxes)):
        over = [k for k in kept if k != index and table[k, index] > 0.3]
        assert (index not in kept) == bool([k for k in over if k < index])


def test_a_rectangle_holds_its_points_with_the_margin() -> None:
    points = np.array([[10.2, 20.7, 5], [30.9, 40.1, -5]], np.float32)
    rect = rect_around(points, 2, (100, 100))
    assert rect.left <= 8.2
    assert rect.top <= 18.7
    assert rect.right >= 32.9
    assert rect.bottom >= 42.1
    assert box_of(points).right == pytest.approx(30.9)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(-50, -50, 500, 500), Rect(0, 0, 100, 60)),
        (Box(200, 10, 300, 20), Rect(99, 10, 100, 21)),
        (Box(-300, -300, -200, -200), Rect(0, 0, 1, 1)),
    ],
)
def test_a_rectangle_is_clipped_to_the_picture_and_never_empty(box: Box, expected: Rect) -> None:
    assert rect_around(box, 0, (100, 60)) == expected


def test_a_union_holds_its_parts() -> None:
    assert union([Rect(0, 5, 3, 9), Rect(2, 1, 8, 6)]) == Rect(0, 1, 8, 9)
