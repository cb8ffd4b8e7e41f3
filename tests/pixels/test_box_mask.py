"""A crop's box is full inside and fades out before the crop ends."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.pixels.box_mask import box_mask

SIZES = (128, 256, 384, 512, 768, 1024)


@pytest.mark.parametrize("size", SIZES)
def test_the_box_is_full_inside_empty_at_the_border_and_even(size: int) -> None:
    mask = box_mask(size)
    assert mask.shape == (size, size)
    assert mask.dtype == np.float32
    assert mask[0].max() == mask[:, 0].max() == mask[-1].max() == mask[:, -1].max() == 0
    middle = slice(round(0.2 * size), round(0.8 * size))
    assert mask[middle, middle].min() > 0.99
    np.testing.assert_array_equal(mask, mask.T)
    np.testing.assert_allclose(mask, mask[::-1, ::-1], atol=1e-6)
    assert (np.diff(mask[size // 2, : size // 2]) >= 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_box_is_that_of_facefusion_but_for_the_border(size: int) -> None:
    blur = int(size * 0.5 * 0.3)
    border = max(blur // 2, 1)
    theirs = np.zeros((size, size), np.float32)
    theirs[border:-border, border:-border] = 1
    theirs = np.asarray(cv2.GaussianBlur(theirs, (0, 0), blur * 0.25), np.float32)
    assert np.abs(box_mask(size) - theirs).max() < 0.08
    assert np.abs(box_mask(size) - theirs).mean() < 0.015


def test_the_box_is_made_once_and_cannot_be_written_to() -> None:
    assert box_mask(256) is box_mask(256)
    with pytest.raises(ValueError, match="read-only"):
        box_mask(256)[0, 0] = 1
