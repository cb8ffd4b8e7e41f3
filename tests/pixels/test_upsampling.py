"""Samples of an upsampled picture are the values between the pixels of the original."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.geometry import affine
from engine.pixels.align import frame_crop
from engine.pixels.patch_warp import warp_patch
from engine.pixels.planes import region
from engine.pixels.upsampling import DOUBLED_PICTURE, PICTURE_DOUBLED, upsample_2x
from engine.values import Affine, Mask, Patch, Rect
from tests.faces.pictures import frame_of, picture

SIZE = 64
INNER = slice(8, -8)
SHIFTS = np.arange(0, 1, 0.125)


def moved(image: NDArray[np.float32], shift: float) -> NDArray[np.float32]:
    """The picture as it is `shift` pixels further right and down."""
    to_double = affine.compose(affine.shift(shift, shift), PICTURE_DOUBLED)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(upsample_2x(image), to_double, (SIZE, SIZE), flags=flags)
    return np.asarray(sampled, np.float32)


def wave(frequency: float, shift: float = 0.0) -> NDArray[np.float32]:
    """Return a wave across, of that many periods a pixel, seen `shift` pixels further right."""
    row = np.cos(2 * np.pi * frequency * (np.arange(SIZE) + shift))
    return np.tile(row.astype(np.float32), (SIZE, 1))


def error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((got - wanted)[INNER, INNER] ** 2)))


def test_the_maps_lead_to_the_doubled_picture_and_back() -> None:
    there_and_back = affine.compose(PICTURE_DOUBLED, DOUBLED_PICTURE)
    np.testing.assert_allclose(there_and_back, affine.identity(), atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_twice_the_size_and_as_bright(shape: tuple[int, ...]) -> None:
    grey = upsample_2x(np.full(shape, 0.4, np.float32))
    assert grey.shape == (10, 14, *shape[2:])
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, 0.4, atol=1e-6)


def test_a_slope_keeps_its_place() -> None:
    slope = np.add.outer(np.arange(SIZE), 2 * np.arange(SIZE)).astype(np.float32)
    for shift in SHIFTS:
        got = moved(slope, float(shift))[INNER, INNER]
        # OpenCV's bicubic filter is off by up to 0.05 pixels on a slope.
        np.testing.assert_allclose(got, slope[INNER, INNER] + 3 * shift, atol=3 * 0.05)


@pytest.mark.parametrize("frequency", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45])
def test_fine_detail_is_kept_better_than_by_a_bicubic_warp(frequency: float) -> None:
    """Of a wave up to the finest there is, 0.5; coarse ones lose next to nothing either way."""
    ours, bicubic = [], []
    for shift in map(float, SHIFTS):
        wanted = wave(frequency, shift)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        other = cv2.warpAffine(
            wave(frequency), affine.shift(shift, shift), (SIZE, SIZE), flags=flags
        )
        ours.append(error(moved(wave(frequency), shift), wanted))
        bicubic.append(error(np.asarray(other, np.float32), wanted))
    assert float(np.mean(ours)) < max(0.02, 0.95 * float(np.mean(bicubic)))


def disc(size: int) -> Mask:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    mask: Mask = (np.hypot(x, y) < 0.45 * size).astype(np.float32)
    return mask


def turned(density: float, degrees: float, middle: tuple[float, float], size: int) -> Affine:
    """Return a crop of that many pixels a pixel, turned, with `middle` in its own."""
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, degrees, density), np.float64)
    return affine.compose(matrix, affine.shift(*((size - 1) / 2 - np.array(middle))))


@pytest.mark.parametrize(
    ("density", "bound"),
    [(1.0, 43.5), (1.05, 45), (1.2, 49), (1.5, 51), (2.0, 51), (3.0, 51)],
)
@pytest.mark.parametrize("degrees", [0, 2, -20])
@pytest.mark.parametrize("who", ["P006", "P001"])
def test_a_crop_put_back_is_the_picture(
    who: str, degrees: float, density: float, bound: float
) -> None:
    """A picture as sharp as its pixels allow comes back from each place between them."""
    image = picture(who, longest=700)
    middle = (0.5 * image.shape[1] + 0.3, 0.36 * image.shape[0] + 0.15)
    size = int(280 * density)
    to_crop = turned(density, degrees, middle, size)
    frame, whole = frame_of(image), Rect(0, 0, image.shape[1], image.shape[0])
    patch = Patch(frame_crop(frame, to_crop, size), disc(size), to_crop)
    pixels, mask = warp_patch(patch, whole)
    apart = 255 * (pixels - region(frame, whole))[mask == 1]
    assert 10 * np.log10(255**2 / np.mean(apart**2)) > bound
