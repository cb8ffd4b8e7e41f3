"""Warp patches from their crops back into the picture, without aliasing.

Pixel centres have integer coordinates, in the picture and in the crop.
"""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np

from engine.geometry import affine
from engine.pixels.upsampling import PICTURE_DOUBLED, upsample_2x
from engine.values import Affine, Mask, Patch, Pixels, Rect

# Reach of a bilinear sample in pixels: a mask pixel has no influence beyond it.
_REACH = 1.0
# Pixels beyond the mask that doubling, the bilinear warp and the chroma filters read.
_MARGIN = 8
# Rounding in float64 may bring a scale of 1 slightly above 1; it must not double the samples.
_ROUNDING = 1e-6


def patch_extent(patch: Patch, size: tuple[int, int]) -> Rect | None:
    """Return the pixels of a picture of `size` (width, height) that a patch's mask can touch.

    The rectangle includes a border of one pixel, which the chroma filter reads. Return None if the
    mask touches no pixel: it is empty, or lies outside the picture.
    """
    rows = np.flatnonzero(patch.mask.any(axis=1))
    columns = np.flatnonzero(patch.mask.any(axis=0))
    if not rows.size:
        return None
    left, right = columns[0] - _REACH, columns[-1] + _REACH
    top, bottom = rows[0] - _REACH, rows[-1] + _REACH
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    in_picture = affine.apply(affine.invert(patch.to_crop), corners)
    low = np.ceil(in_picture.min(axis=0)) - 1
    high = np.floor(in_picture.max(axis=0)) + 2
    width, height = size
    rect = Rect(
        left=int(np.clip(low[0], 0, width)),
        top=int(np.clip(low[1], 0, height)),
        right=int(np.clip(high[0], 0, width)),
        bottom=int(np.clip(high[1], 0, height)),
    )
    return rect if rect.width > 0 and rect.height > 0 else None


def warp_patch(patch: Patch, rect: Rect) -> tuple[Pixels, Mask]:
    """Return the patch's pixels and mask as they appear in `rect` of the picture, in its size.

    Pixels are sampled from a sharpened picture of twice the size; beyond the crop its border is
    repeated. The mask is sampled bilinearly; beyond the crop it is 0. A crop with a higher
    resolution than the picture is sampled several times a pixel and averaged, so that it does not
    alias.
    """
    density = max(1, round(affine.scale_of(patch.to_crop)))
    left, top, right, bottom = _mask_bounds(patch.mask)
    to_crop = affine.compose(
        affine.shift(rect.left, rect.top), patch.to_crop, affine.shift(-left, -top)
    )
    size = (rect.width, rect.height)
    pixels = _warp_pixels(patch.pixels[top:bottom, left:right], to_crop, size, density)
    mask = _warp_mask(patch.mask[top:bottom, left:right], to_crop, size, density)
    return np.clip(pixels, 0, 1, out=pixels), mask


def warp_patch_mask(patch: Patch, to_crop: Affine, size: int) -> Mask:
    """Return the patch's mask as it appears in another crop of the same picture, (size, size).

    `to_crop` maps display space to that crop. The mask is sampled bilinearly. If it has the higher
    resolution, it is sampled several times a pixel and averaged. Beyond the patch's crop it is 0.

    Raises:
        ValueError: `to_crop` is singular.
    """
    between = affine.compose(affine.invert(to_crop), patch.to_crop)
    density = max(1, math.ceil(affine.scale_of(between) - _ROUNDING))
    return _warp_mask(patch.mask, between, (size, size), density)


def _mask_bounds(mask: Mask) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the non-zero mask, with the margin that is sampled."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0, 0, mask.shape[1], mask.shape[0]
    left, top = max(int(columns[0]) - _MARGIN, 0), max(int(rows[0]) - _MARGIN, 0)
    return left, top, int(columns[-1]) + 1 + _MARGIN, int(rows[-1]) + 1 + _MARGIN


def _undo_box(pixels: Pixels, density: int) -> Pixels:
    """Undo the blur of averaging `density` samples a pixel in each direction.

    The mean of k samples spread over a pixel has the variance (1 - 1/k²) / 12. A three-tap filter
    of the same variance, negative, makes the response flat to the third order.
    """
    side = (1 - 1 / density**2) / 24
    taps = np.array([-side, 1 + 2 * side, -side])
    return cast("Pixels", cv2.sepFilter2D(pixels, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))


def _warp_pixels(pixels: Pixels, to_crop: Affine, size: tuple[int, int], density: int) -> Pixels:
    """Return `pixels` warped to `size`; a fourth channel is added for speed.

    OpenCV warps four channels faster than three.
    """
    double = upsample_2x(cast("Pixels", cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)))
    to_double = affine.compose(to_crop, PICTURE_DOUBLED)
    warped = _warp(double, to_double, size, density, cv2.BORDER_REPLICATE)
    warped = cast("Pixels", cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB))
    return _undo_box(warped, density) if density > 1 else warped


def _warp_mask(mask: Mask, to_crop: Affine, size: tuple[int, int], density: int) -> Mask:
    """Return `mask` warped to `size` bilinearly, 0 beyond its border."""
    warped = _warp(mask, to_crop, size, density, cv2.BORDER_CONSTANT)
    return np.clip(warped, 0, 1, out=warped)


def _warp(
    picture: Pixels | Mask, to_crop: Affine, size: tuple[int, int], density: int, border: int
) -> Pixels | Mask:
    """Return `picture` warped bilinearly; a pixel is the mean of `density`² samples."""
    width, height = size
    fine = cv2.warpAffine(
        picture,
        affine.compose(affine.rescale(1 / density), to_crop),
        (width * density, height * density),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
    )
    if density > 1:
        fine = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
    return cast("Pixels | Mask", fine)
