"""The target's mouth stays as it is, and only the mouth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.compose.combine import limit_patches
from engine.compose.mouth import MouthLimiter
from engine.compose.paste import paste
from engine.geometry import affine
from engine.geometry.mesh_topology import LEFT_EYE, NOSTRILS, OUTER_LIPS, OVAL, RIGHT_EYE
from engine.pixels.align import frame_crop
from engine.pixels.raster import convex_hull, fill_polygons
from engine.values import Affine, Aligned, Mask, Points
from tests.compose.crops import frontal_mesh, patch_of, plain, target_of
from tests.faces.pictures import frame_of

SIDES = (64, 128, 384, 1024)


def kept(target: Aligned) -> Mask:
    (mask,) = MouthLimiter().masks([target], [patch_of(target.pixels)])
    assert mask.shape == target.pixels.shape[:2]
    assert mask.dtype == np.float32
    assert np.isfinite(mask).all()
    assert mask.min() >= 0
    assert mask.max() <= 1
    return mask


def face(size: int, motion: Affine | None = None, score: float = 1.0) -> Aligned:
    mesh = frontal_mesh(size)
    moved = mesh if motion is None else affine.apply(motion, mesh)
    return target_of(plain(size, (0.5, 0.5, 0.5)), mesh=moved, score=score)


def around(size: int, scale: float, angle: float) -> Affine:
    """Return a turn and a zoom around the middle of a crop."""
    return np.asarray(cv2.getRotationMatrix2D((size / 2, size / 2), angle, scale), np.float64)


def inside(points: Points, size: int) -> NDArray[np.bool_]:
    """Return the pixels of a (size, size) grid that lie wholly in the hull of the points."""
    whole: NDArray[np.bool_] = fill_polygons([convex_hull(points)], size) == 1
    return whole


@pytest.mark.parametrize("angle", [0, 35, -80])
@pytest.mark.parametrize("side", SIDES)
def test_lips_are_left_out_and_the_rest_of_the_face_is_not(side: int, angle: float) -> None:
    target = face(side, around(side, 0.9, angle))
    mask = kept(target)
    assert mask[inside(target.mesh[list(OUTER_LIPS)], side)].max() == 0
    for ring in (LEFT_EYE, RIGHT_EYE, NOSTRILS):
        assert mask[inside(target.mesh[list(ring)], side)].min() > 0.9
    shown = inside(target.mesh[list(OVAL)], side)
    assert mask[shown].mean() > 0.8
    assert mask[~shown].min() == 1


@pytest.mark.parametrize("zoom", [0.4, 0.6])
def test_what_is_left_out_grows_with_the_mouth(zoom: float) -> None:
    small, large = (float((1 - kept(face(512, around(512, s, 0)))).sum()) for s in (zoom, 1.2))
    assert large == pytest.approx(small * (1.2 / zoom) ** 2, rel=0.1)


@pytest.mark.parametrize("side", [128, 384])
def test_pasted_the_mouth_is_the_target_s_bit_for_bit(side: int) -> None:
    rng = np.random.default_rng(5)
    frame = frame_of(rng.integers(0, 256, (300, 320, 3), np.uint8))
    to_crop = affine.compose(affine.shift(-40, -25), affine.rescale(side / 240))
    target = replace(face(side), pixels=frame_crop(frame, to_crop, side), to_crop=to_crop)
    patch = replace(patch_of(plain(side, (0, 1, 0))), to_crop=to_crop)
    whole = paste(frame, [patch])
    result = paste(frame, limit_patches([target], [patch], [MouthLimiter()]))
    points = affine.apply(affine.invert(to_crop), target.mesh)
    lips = inside(points[list(OUTER_LIPS)], 320)[:300]
    eyes = inside(points[list(LEFT_EYE)], 320)[:300]
    assert min(lips.sum(), eyes.sum()) > 100
    for before, swapped, after in zip(frame.planes, whole.planes, result.planes, strict=True):
        np.testing.assert_array_equal(after[lips], before[lips])
        np.testing.assert_array_equal(after[eyes], swapped[eyes])
        assert not np.array_equal(swapped[lips], before[lips])


def test_where_the_mesh_is_a_guess_more_is_left_out() -> None:
    masks = [kept(face(256, score=score)) for score in (1.0, 0.5, 0.4, 0.2, 0.1, 0.0)]
    np.testing.assert_array_equal(masks[0], masks[1])
    for surer, guess in pairwise(masks[1:]):
        assert (guess <= surer + 1e-6).all()
        assert guess.sum() < surer.sum()
    eyes = inside(face(256).mesh[[*LEFT_EYE, *RIGHT_EYE]], 256)
    assert masks[-1][eyes].min() == 1


def test_a_mesh_that_hardly_moves_hardly_changes_the_mask() -> None:
    still = kept(face(384))
    for x in (0.1, 0.2, 0.4):
        moved = kept(face(384, affine.shift(x, -x)))
        assert np.abs(moved - still).max() < 0.15 + 0.3 * x


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_mesh_that_fell_together_or_off_the_crop_leaves_the_face(score: float) -> None:
    nothing = target_of(plain(128, (0, 0, 0)), mesh=np.zeros((468, 3), np.float32), score=score)
    assert kept(nothing).mean() > 0.99
    gone = face(128, affine.shift(500, 0), score)
    assert kept(gone).min() == 1
