"""Hands before a face: the patch's mask leaves them out, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.compose.occlusion import hand_silhouette, limit_to_visible, nearer_faces
from engine.geometry import affine
from engine.values import Patch
from tests import people
from tests.hands import hand

SIZE = 160


def patch(to_crop: np.ndarray | None = None) -> Patch:
    """Return a patch whose mask covers the upper half of its crop."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[: SIZE // 2] = 1
    return Patch(
        np.zeros((SIZE, SIZE, 3), np.float32),
        mask,
        affine.identity() if to_crop is None else to_crop,
    )


@pytest.mark.parametrize("turned", [0, 70, 200])
@pytest.mark.parametrize("unit", [10, 30])
def test_a_silhouette_covers_the_bones_and_stays_near_them(turned: float, unit: float) -> None:
    points = hand(80, 80, unit, turned=turned).points
    mask = hand_silhouette(points, SIZE)
    columns, rows = np.rint(points[:, :2]).astype(int).T
    assert mask[rows, columns].min() > 0.85
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.min([np.hypot(x - px, y - py) for px, py, _ in points], axis=0)
    assert mask[away > 0.75 * unit].max() < 0.01
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_a_silhouette_grows_with_its_hand() -> None:
    small, large = (
        float(hand_silhouette(hand(80, 80, unit).points, SIZE).sum()) for unit in (15, 30)
    )
    assert large == pytest.approx(4 * small, rel=0.07)


def test_a_hand_tipped_towards_the_camera_is_shorter_but_as_wide() -> None:
    points = hand(80, 80, 30).points
    tipped = points.copy()
    tipped[:, 1] = 80 + 0.4 * (points[:, 1] - 80)
    tipped[:, 2] = np.sqrt(1 - 0.4**2) * (points[:, 1] - points[0, 1])
    upright, slanted = (hand_silhouette(some, SIZE) > 0.5 for some in (points, tipped))
    across = [int(mask.any(axis=0).sum()) for mask in (upright, slanted)]
    assert across[1] == pytest.approx(across[0], abs=2)
    assert slanted.any(axis=1).sum() < 0.7 * upright.any(axis=1).sum()


def test_open_fingers_leave_gaps() -> None:
    points = hand(80, 80, 30).points
    mask = hand_silhouette(points, SIZE)
    between = (points[8, :2] + points[4, :2]) / 2
    assert mask[int(between[1]), int(between[0])] < 0.05


def test_the_mask_leaves_out_the_hand_and_nothing_else() -> None:
    whole = patch()
    cut = limit_to_visible(whole, [hand(80, 80, 30)])
    shape = hand_silhouette(hand(80, 80, 30).points, SIZE)
    np.testing.assert_allclose(cut.mask, whole.mask * (1 - shape), atol=1e-6)
    assert cut.pixels is whole.pixels
    assert cut.to_crop is whole.to_crop


def test_two_hands_are_both_left_out() -> None:
    one, other = hand(40, 60, 20), hand(120, 60, 20, turned=20)
    both = limit_to_visible(patch(), [one, other]).mask
    each = [limit_to_visible(patch(), [single]).mask for single in (one, other)]
    np.testing.assert_allclose(both, each[0] * each[1], atol=1e-6)


@pytest.mark.parametrize("place", [(80, 1000), (-900, 40), (80, 149)])
def test_a_hand_off_the_mask_changes_nothing(place: tuple[float, float]) -> None:
    whole = patch()
    assert limit_to_visible(whole, [hand(*place, 25)]) is whole


def test_no_hand_changes_nothing() -> None:
    whole = patch()
    assert limit_to_visible(whole, []) is whole


def test_hands_are_where_the_crop_shows_them() -> None:
    motion = np.array([[1.6, 0.9, -60], [-0.9, 1.6, 40]])
    shown = hand(70, 50, 18)
    moved = limit_to_visible(patch(motion), [shown]).mask
    direct = hand_silhouette(affine.apply(motion, shown.points), SIZE)
    np.testing.assert_allclose(moved, patch().mask * (1 - direct), atol=1e-6)


def test_the_larger_of_two_faces_that_overlap_is_nearer() -> None:
    near, far = people.face(10, 10, 50), people.face(40, 30, 30)
    assert nearer_faces(far, (near, far)) == [near]
    assert nearer_faces(near, (near, far)) == []


def test_faces_of_one_size_do_not_hide_each_other() -> None:
    one, other = people.face(10, 10, 40), people.face(30, 10, 40)
    assert nearer_faces(one, (one, other)) == nearer_faces(other, (one, other)) == []


@pytest.mark.parametrize("left", [0, 60])
def test_a_larger_face_elsewhere_hides_nothing(left: float) -> None:
    """Boxes that only touch do not overlap."""
    small, large = people.face(40, 0, 20), people.face(left, 30 if left else 0, 40)
    assert nearer_faces(small, (small, large)) == []


def test_a_face_whose_mesh_is_poor_hides_nothing() -> None:
    near, far = people.face(10, 10, 50), people.face(40, 30, 30)
    for score, hides in ((0.5, True), (0.49, False)):
        unsure = replace(near, mesh=replace(near.mesh, score=score))
        assert (nearer_faces(far, (unsure, far)) == [unsure]) is hides


def test_a_nearer_face_stays_before_a_farther_one() -> None:
    near = people.face(0, 0, 60)
    square = np.array([(20, 10), (60, 10), (60, 50), (20, 50)], np.float32)
    points = np.zeros((468, 3), np.float32)
    points[:, :2] = np.resize(square, (468, 2))
    near = replace(near, mesh=replace(near.mesh, points=points))
    shown = limit_to_visible(patch(), [], [near]).mask
    assert shown[12:48, 22:58].max() == 0
    away = np.ones_like(shown)
    away[6:54, 16:64] = 0
    np.testing.assert_allclose(shown * away, patch().mask * away, atol=0.01)
