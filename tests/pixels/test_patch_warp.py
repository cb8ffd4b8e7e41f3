"""A patch's mask lies where its face lies, whatever crop it is asked for in."""

from __future__ import annotations

import numpy as np
import pytest

from engine.geometry import affine
from engine.pixels.patch_warp import warp_patch_mask
from engine.values import Affine, Mask, Patch
from tests.doubles import soft_mask


def crop_of(scale: float, angle: float, size: int) -> Affine:
    """The crop of that scale and angle whose middle is display's (300, 200)."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, (size - 1) / 2 - linear @ [300, 200]])


def patch_of(mask: Mask, to_crop: Affine) -> Patch:
    return Patch(np.zeros((*mask.shape, 3), np.float32), mask, to_crop)


def test_in_its_own_crop_a_mask_is_itself() -> None:
    mask = np.random.default_rng(0).random((96, 96), np.float32)
    to_crop = crop_of(0.7, 0.3, 96)
    np.testing.assert_allclose(
        warp_patch_mask(patch_of(mask, to_crop), to_crop, 96), mask, atol=1e-5
    )


@pytest.mark.parametrize("scale", [0.3, 0.8, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
def test_a_pixel_tells_of_the_same_place(scale: float, angle: float) -> None:
    """A ramp over display's x and y is that ramp in every crop of it."""
    own, size = crop_of(0.9, -0.2, 400), 160
    other = crop_of(scale, angle, size)

    def ramp(to_crop: Affine, side: int) -> Mask:
        y, x = np.mgrid[:side, :side].reshape(2, -1).astype(np.float64)
        places = affine.apply(affine.invert(to_crop), np.stack([x, y], axis=1))
        slope = 0.5 + (places - [300, 200]) @ [0.0007, 0.0004]
        return slope.reshape(side, side).astype(np.float32)

    found = warp_patch_mask(patch_of(ramp(own, 400), own), other, size)
    assert found.dtype == np.float32
    y, x = np.mgrid[:size, :size].reshape(2, -1).astype(np.float64)
    within = affine.apply(
        affine.compose(affine.invert(other), own), np.stack([x, y], axis=1)
    ).reshape(size, size, 2)
    known = np.abs(within - 199.5).max(axis=2) < 190
    np.testing.assert_allclose(found[known], ramp(other, size)[known], atol=2e-4)
    # Bilinear samples see a pixel past the border, and a pixel of the crop is as wide as it is.
    reach = 1 + 0.9 / scale
    assert not found[np.abs(within - 199.5).max(axis=2) > 199.5 + reach].any()


@pytest.mark.parametrize("finer", [1.5, 2.0, 3.3, 7.0])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_fine_stripes_turn_grey_in_a_coarser_crop(finer: float, angle: float) -> None:
    side = 512
    stripes = np.zeros((side, side), np.float32)
    stripes[:, ::2] = 1
    size = int(0.6 * side / finer)
    found = warp_patch_mask(
        patch_of(stripes, crop_of(finer, 0, side)), crop_of(1.0, angle, size), size
    )
    np.testing.assert_allclose(found, 0.5, atol=0.2 if finer < 2 else 0.1)


def test_a_soft_mask_keeps_its_share_of_the_picture() -> None:
    patch = patch_of(soft_mask(256), crop_of(1.3, 0.2, 256))
    area = float(patch.mask.sum()) / 1.3**2
    for scale in (0.4, 1.0, 2.5):
        found = warp_patch_mask(patch, crop_of(scale, -0.7, 800), 800)
        assert float(found.sum()) / scale**2 == pytest.approx(area, rel=2e-3)


def test_a_crop_somewhere_else_sees_none_of_it() -> None:
    patch = patch_of(np.ones((64, 64), np.float32), crop_of(1.0, 0, 64))
    away = affine.compose(affine.shift(500, 0), crop_of(1.0, 0, 64))
    assert not warp_patch_mask(patch, away, 64).any()
