"""Palms: a palm written into the detector's output is found at its place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.faces.palms import BlazePalm, anchors, decode, region_around_palm
from engine.faces.regions import Region
from engine.geometry import affine
from engine.geometry.boxes import box_of
from engine.runtime.session import Session
from engine.values import Points
from engine.weights.weight_store import WeightStore
from tests.hands import hand, thinking

KNUCKLES = [0, 5, 9, 13, 17, 1, 2]


class PalmSession(Session):
    """Answers as the network would of a palm at some rows."""

    def __init__(self, rows: dict[int, tuple[Points, float]]) -> None:
        self.boxes = np.zeros((1, 2016, 18), np.float32)
        self.scores = np.zeros((1, 2016, 1), np.float32)
        for row, (points, score) in rows.items():
            box = box_of(points)
            flat = np.array([[box.left + box.right, box.top + box.bottom]]) / 2
            places = np.concatenate([flat, points]) + 0.5 - anchors()[row]
            self.boxes[0, row, :2], self.boxes[0, row, 4:] = places[0], places[1:].ravel()
            self.boxes[0, row, 2:4] = box.width, box.height
            self.scores[0, row] = score

    def run(self, *arrays: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        assert arrays[0].shape == (1, 3, 192, 192)
        return [self.boxes, self.scores]


def palm(x: float, y: float, angle: float = 0) -> Points:
    return np.asarray(hand(x, y, 24, turned=angle).points[KNUCKLES, :2])


def found(planted: dict[int, tuple[Points, float]]) -> list[Region]:
    (regions,) = BlazePalm(PalmSession(planted)).detect([np.zeros((192, 192, 3), np.uint8)])
    return regions


@pytest.fixture(scope="module")
def detector() -> BlazePalm:
    return BlazePalm(Session(WeightStore().path("palm_detection")))


def test_anchors_are_the_centres_of_cells() -> None:
    places, counts = np.unique(anchors(), axis=0, return_counts=True)
    assert len(anchors()) == 2016
    assert sorted(set(counts.tolist())) == [2, 6]
    np.testing.assert_allclose(places.mean(axis=0), 96)
    np.testing.assert_allclose(anchors()[[0, 1, 2, 1152]], [[4, 4], [4, 4], [12, 4], [8, 8]])


@pytest.mark.parametrize("row", [0, 700, 1151, 1152, 2015])
def test_decoding_finds_what_was_encoded(row: int) -> None:
    points = palm(100, 90, 30)
    session = PalmSession({row: (points, 1)})
    boxes, spots = decode(session.boxes[0, [row]], anchors()[[row]])
    box = box_of(points)
    np.testing.assert_allclose(boxes[0], [box.left, box.top, box.right, box.bottom], atol=1e-4)
    np.testing.assert_allclose(spots[0], points, atol=1e-4)


def test_one_palm_seen_by_many_anchors_is_one() -> None:
    regions = found({row: (palm(60 + row % 3, 70), 0.6 + row / 1e4) for row in range(500, 520)})
    assert len(regions) == 1


def test_palms_apart_come_best_first() -> None:
    left, right = palm(40, 90), palm(150, 90)
    regions = found({3: (left, 0.7), 4: (right, 0.9), 5: (palm(90, 20), 0.4)})
    assert [region.x > 96 for region in regions] == [True, False]


@pytest.mark.parametrize("angle", [-170, -60, 0, 45, 120])
def test_the_hand_points_up_in_its_region(angle: float) -> None:
    points = palm(100, 90, angle)
    region = region_around_palm(box_of(points), points)
    wrist, knuckle = affine.apply(region.to_crop(224), points[[0, 2]])
    assert knuckle[0] == pytest.approx(wrist[0], abs=0.1)
    assert knuckle[1] < wrist[1]


@pytest.mark.parametrize("angle", [-90, 0, 90, 180])
def test_the_region_holds_the_whole_hand(angle: float) -> None:
    shown = hand(100, 90, 24, turned=angle).points[:, :2]
    region = region_around_palm(box_of(shown[KNUCKLES]), shown[KNUCKLES])
    crop = affine.apply(region.to_crop(1), shown)
    assert crop.min() > -0.5
    assert crop.max() < 0.5


def test_a_hand_that_points_up_is_found(detector: BlazePalm) -> None:
    small = cv2.resize(thinking(), (192, 192), interpolation=cv2.INTER_AREA)
    (regions,) = detector.detect([small.astype(np.uint8)])
    assert len(regions) == 1
    assert abs(np.degrees(regions[0].angle)) < 60
    assert regions[0].y > 96


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_hands(detector: BlazePalm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert detector.detect([rng.integers(0, 256, (192, 192, 3), dtype=np.uint8)]) == [[]]
