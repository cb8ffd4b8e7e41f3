"""Hands that are found and followed, on made clips of white discs that pass for hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.faces.analyser import FaceAnalyser
from engine.faces.hands import HandFinder, MediaPipeHand, hand_share_on_face, region_around_hand
from engine.faces.palms import BlazePalm
from engine.faces.regions import Region
from engine.geometry import affine
from engine.runtime.session import Session
from engine.values import Analysed, Bytes, Face, Hand, Mesh
from engine.weights.weight_store import WeightStore
from tests import people
from tests.faces.pictures import frame_of, picture, turned
from tests.hands import as_points, hand, thinking, yawn

FACE = (150.0, 60.0, 100.0)  # left, top, side
EVERY = 4
UNIT = 12.0  # of the hand that a disc passes for


def face(left: float = FACE[0], top: float = FACE[1], side: float = FACE[2]) -> Face:
    """Return a face whose mesh fills an ellipse within its box."""
    angles = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    radii = np.sqrt(np.linspace(0, 1, 468))[:, None] * side / 2
    circle = np.stack([np.cos(7 * angles), np.sin(7 * angles)], axis=1) * radii
    middle = np.array((left + side / 2, top + side / 2))
    made = people.face(left, top, side)
    return replace(made, mesh=Mesh(as_points(circle + middle), 1.0))


def clip(spots: Sequence[tuple[float, float] | None], grey: Sequence[int] = ()) -> list[Analysed]:
    """Black frames with a disc at each spot, as bright as `grey` says (else white), and a face."""
    shots = []
    for index, spot in enumerate(spots):
        image = np.zeros((300, 400, 3), np.uint8)
        if spot is not None:
            level = grey[index] if grey else 255
            cv2.circle(image, (round(spot[0]), round(spot[1])), 14, (level, level, level), -1)
        shots.append(Analysed(frame_of(image, index), (face(),)))
    return shots


def disc(image: Bytes) -> tuple[float, float, float, float] | None:
    """Middle, radius and brightness of the disc in a crop."""
    seen = image[..., 0] > 20
    if seen.sum() < 4:
        return None
    y, x = np.nonzero(seen)
    return float(x.mean()), float(y.mean()), float(np.sqrt(len(x) / np.pi)), float(image.max())


class DiscDetector:
    """Takes a disc for a hand."""

    size = 64

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, images: Sequence[Bytes]) -> list[list[Region]]:
        self.looks += len(images)
        seen = [disc(image) for image in images]
        return [[] if one is None else [Region(one[0], one[1], 6 * one[2], 0.0)] for one in seen]


class DiscLandmarker:
    """Sees a hand in a disc, and is as sure of it as the disc is bright."""

    size = 64

    def __init__(self) -> None:
        self.looks = 0

    def locate(self, crops: Sequence[Bytes]) -> list[Hand]:
        self.looks += len(crops)
        return [self._locate(crop) for crop in crops]

    def _locate(self, crop: Bytes) -> Hand:
        seen = disc(crop)
        if seen is None:
            return hand(32, 32, 8, score=0)
        x, y, radius, level = seen
        return hand(x, y, radius * UNIT / 14, score=level / 255)


class Watch:
    """Finder of discs that records its calls."""

    def __init__(self, every: int = EVERY) -> None:
        self.detector, self.landmarker = DiscDetector(), DiscLandmarker()
        self.finder = HandFinder(self.detector, self.landmarker, every)

    def over(
        self, shots: Sequence[Analysed], *, chosen: slice = slice(None)
    ) -> list[tuple[Hand, ...]]:
        result = list(self.finder.add_hands(shots, lambda faces: faces[chosen]))
        assert [one.frame for one in result] == [shot.frame for shot in shots]
        assert [one.faces for one in result] == [shot.faces for shot in shots]
        return [one.hands for one in result]


def middle(one: Hand) -> tuple[float, float]:
    return float(one.points[9, 0]), float(one.points[9, 1])


@pytest.mark.parametrize("every", [1, 3, 5, 50])
@pytest.mark.parametrize("count", [1, 4, 11])
def test_a_moving_hand_is_in_every_frame_where_it_is(every: int, count: int) -> None:
    spots = [(140 + 3 * index, 166 - index) for index in range(count)]
    watch = Watch(every)
    hands = watch.over(clip(spots))
    for spot, (only,) in zip(spots, hands, strict=True):
        np.testing.assert_allclose(middle(only), spot, atol=2)
    assert watch.detector.looks == -(-count // every)


@pytest.mark.parametrize("first", range(10))
def test_a_hand_is_seen_from_the_frame_on_in_which_it_appears(first: int) -> None:
    spots = [None if index < first else (200.0, 160.0) for index in range(12)]
    assert [len(hands) for hands in Watch().over(clip(spots))] == [0] * first + [1] * (12 - first)


@pytest.mark.parametrize("last", range(3, 11))
def test_a_hand_that_leaves_is_gone(last: int) -> None:
    spots = [(200.0, 160.0) if index <= last else None for index in range(12)]
    seen = [len(hands) for hands in Watch().over(clip(spots))]
    # Between two looks of the detector, it has to be followed from an earlier one.
    assert seen == [1] * (last + 1) + [0] * (11 - last)


def test_where_no_hand_is_the_landmark_network_has_no_work() -> None:
    watch = Watch()
    assert watch.over(clip([None] * 10)) == [()] * 10
    assert watch.landmarker.looks == 0
    assert watch.detector.looks == 2


def test_a_hand_that_touches_no_face_costs_nothing_more() -> None:
    watch = Watch()
    assert watch.over(clip([(200.0, 260.0)] * 8)) == [()] * 8
    assert watch.landmarker.looks == 0


def test_a_hand_that_goes_away_from_the_face_is_let_go() -> None:
    spots = [(200.0, 160.0 + 12 * index) for index in range(8)]
    seen = [len(hands) for hands in Watch(every=1).over(clip(spots))]
    assert seen[0] == 1
    assert seen[-1] == 0
    assert seen == sorted(seen, reverse=True)


def test_hands_are_looked_for_at_chosen_faces_alone() -> None:
    watch = Watch()
    assert watch.over(clip([(200.0, 160.0)] * 8), chosen=slice(0)) == [()] * 8
    assert watch.detector.looks == watch.landmarker.looks == 0


def test_two_faces_see_one_hand_once() -> None:
    (shot,) = clip([(200.0, 160.0)])
    watch = Watch()
    assert len(watch.finder.find(shot.frame, (face(), face(180)))) == 1


def test_a_blurred_hand_is_followed_but_not_taken_up() -> None:
    spots = [(200.0, 160.0)] * 12
    dim = [255, 255, 255, 255, *[110] * 4, 255, 255, 255, 255]
    assert [len(hands) for hands in Watch().over(clip(spots, dim))] == [1] * 12
    assert [len(hands) for hands in Watch().over(clip(spots, [110] * 12))] == [0] * 12
    assert not any(Watch().over(clip(spots, [60] * 12)))


def test_a_face_taken_for_a_hand_is_none() -> None:
    (shot,) = clip([(200.0, 110.0)])
    assert Watch().finder.find(shot.frame, (face(),)) == ()
    assert len(Watch().finder.find(shot.frame, (face(top=0),))) == 1


def test_the_share_on_a_face_is_that_of_the_landmarks() -> None:
    assert hand_share_on_face(face(), hand(200, 110, 10)) == 1
    assert hand_share_on_face(face(), hand(10, 10, 10)) == 0
    assert 0.2 < hand_share_on_face(face(), hand(200, 180, 40)) < 0.8


@pytest.mark.parametrize("angle", [-120, 0, 33, 179])
def test_the_region_moves_and_turns_with_its_hand(angle: float) -> None:
    level = region_around_hand(hand(0, 0, 20))
    moved = region_around_hand(hand(70, -30, 50, turned=angle))
    turn = np.radians(angle)
    x, y = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ (
        level.x,
        level.y,
    )
    assert (moved.x, moved.y) == pytest.approx((70 + 2.5 * x, -30 + 2.5 * y), abs=1e-3)
    assert moved.side == pytest.approx(2.5 * level.side)
    assert np.cos(moved.angle - level.angle - turn) == pytest.approx(1)


@pytest.mark.parametrize("angle", [-90, 0, 40])
def test_the_region_holds_the_whole_hand(angle: float) -> None:
    shown = hand(0, 0, 20, turned=angle)
    crop = affine.apply(region_around_hand(shown).to_crop(1), shown.points)[:, :2]
    assert crop.min() > -0.5
    assert crop.max() < 0.5


@pytest.fixture(scope="module")
def finder() -> HandFinder:
    store = WeightStore()
    return HandFinder(
        BlazePalm(Session(store.path("palm_detection"))),
        MediaPipeHand(Session(store.path("hand_landmark"))),
    )


def test_a_hand_before_a_mouth_is_found(finder: HandFinder, analyser: FaceAnalyser) -> None:
    frame = frame_of(yawn())
    (shown,) = faces = analyser.analyse_picture(frame)
    (only,) = finder.find(frame, faces)
    assert only.score > 0.9
    # Finger tips lie on the face, the wrist below it, and the fingers above the wrist.
    tips, wrist = only.points[[8, 12, 16], :2], only.points[0, :2]
    assert (tips[:, 1] < shown.box.bottom).all()
    assert wrist[1] > shown.box.bottom
    assert (tips[:, 1] < wrist[1]).all()


@pytest.mark.parametrize("degrees", [-35, 20])
def test_landmarks_turn_with_the_picture(
    degrees: float, finder: HandFinder, analyser: FaceAnalyser
) -> None:
    level, _ = turned(thinking(), 0, 480)
    slanted, motion = turned(level, degrees, 480)
    first, second = (
        finder.find(frame, analyser.analyse_picture(frame))
        for frame in (frame_of(level), frame_of(slanted))
    )
    moved = affine.apply(motion, first[0].points)[:, :2]
    length = float(np.linalg.norm(moved[9] - moved[0]))
    away = np.linalg.norm(second[0].points[:, :2] - moved, axis=1)
    assert away.mean() < 0.15 * length


@pytest.mark.parametrize("person", ["P001", "P005", "P008"])
def test_a_portrait_has_no_hand(person: str, finder: HandFinder, analyser: FaceAnalyser) -> None:
    frame = frame_of(picture(person))
    assert finder.find(frame, analyser.analyse_picture(frame)) == ()
