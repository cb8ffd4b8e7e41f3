import cv2
import numpy as np
import pytest

from engine.faces.search import DetectorView, detector_views, find_faces
from engine.faces.yunet import YuNet
from engine.geometry.boxes import iou
from engine.values import Face, Frame
from tests.faces.pictures import frame_of, picture


def look(frame: Frame, detector: YuNet, *, rotated: bool = False) -> list[tuple[float, float]]:
    """Centre (x) and width of each face found, as shares of the frame's width."""
    views = detector_views(frame.size, 640, thorough=True, rotated=rotated)
    width = frame.size[0]
    return [
        ((d.box.left + d.box.right) / 2 / width, d.box.width / width)
        for d in find_faces(frame, detector, views)
    ]


@pytest.mark.parametrize(
    ("size", "thorough", "expected"),
    [
        ((640, 360), False, [DetectorView(640)]),
        ((1920, 1080), False, [DetectorView(640)]),
        ((200, 100), False, [DetectorView(400)]),
        ((640, 360), True, [DetectorView(640), DetectorView(320, border=0.5)]),
        (
            (4000, 3000),
            True,
            [DetectorView(640), DetectorView(320, border=0.5), DetectorView(1280)],
        ),
        ((800, 600), True, [DetectorView(640), DetectorView(320, border=0.5), DetectorView(800)]),
    ],
)
def test_views(size: tuple[int, int], thorough: bool, expected: list[DetectorView]) -> None:
    assert list(detector_views(size, 640, thorough=thorough, rotated=False)) == expected


def test_turned_views_come_four_for_one() -> None:
    views = detector_views((640, 360), 640, thorough=False, rotated=True)
    assert [view.quarter_turns for view in views] == [0, 1, 2, 3]


@pytest.mark.parametrize("border", [0.0, 0.3])
@pytest.mark.parametrize("side", [400, 640])
def test_every_view_leads_back_to_the_same_place(
    detector: YuNet, portrait_face: Face, border: float, side: int
) -> None:
    frame = frame_of(picture("P001"))
    (found,) = find_faces(frame, detector, [DetectorView(side, border)])
    assert iou(found.box, portrait_face.box) > 0.9


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_head_is_found_and_its_points_keep_their_meaning(
    detector: YuNet, portrait_face: Face, quarter_turns: int
) -> None:
    image = np.ascontiguousarray(np.rot90(picture("P001"), quarter_turns)[:, :900])
    frame = frame_of(image)
    views = detector_views(frame.size, 640, thorough=False, rotated=True)
    found = find_faces(frame, detector, views)
    assert len(found) == 1
    # Where the points of the upright picture go when it is turned.
    last = 1023
    x, y = portrait_face.detection.points.T
    expected = {1: (y, last - x), 2: (last - x, last - y), 3: (last - y, x)}[quarter_turns]
    distance = np.linalg.norm(found[0].points - np.stack(expected, axis=1), axis=1)
    assert distance.max() < 0.06 * portrait_face.box.width


def test_a_face_that_fills_the_picture_is_found_whole(detector: YuNet, portrait_face: Face) -> None:
    box = portrait_face.box
    rows = slice(int(box.top), int(box.bottom))
    tight = picture("P001")[rows, int(box.left) : int(box.right)]
    for zoom in (0.2, 1.0, 4.0):
        image = cv2.resize(tight, None, fx=zoom, fy=zoom).astype(np.uint8)
        ((middle, width),) = look(frame_of(image), detector)
        assert abs(middle - 0.5) < 0.12
        assert width > 0.75


@pytest.mark.parametrize("part", ["left", "right", "top", "bottom"])
def test_a_face_cut_by_the_border_is_found(detector: YuNet, portrait_face: Face, part: str) -> None:
    image, box = picture("P001"), portrait_face.box
    x = int(box.left + 0.3 * box.width)
    y = int(box.top + 0.3 * box.height)
    cuts = {
        "left": image[:, x:],
        "right": image[:, : int(box.right - 0.3 * box.width)],
        "top": image[y:],
        "bottom": image[: int(box.bottom - 0.3 * box.height)],
    }
    assert len(look(frame_of(np.ascontiguousarray(cuts[part])), detector)) == 1


def test_a_small_face_in_a_large_picture_is_found(detector: YuNet) -> None:
    large = np.full((1500, 2600, 3), 90, np.uint8)
    large[1200:1280, 2300:2380] = picture("P001", longest=80)
    ((middle, width),) = look(frame_of(large), detector)
    assert abs(middle - 2340 / 2600) < 0.01
    assert width * 2600 < 60


def test_every_face_of_a_sheet_is_found_once(detector: YuNet) -> None:
    sheet = frame_of(picture("P002", "emotions_sheet", 1600))
    assert len(look(sheet, detector)) == 16
