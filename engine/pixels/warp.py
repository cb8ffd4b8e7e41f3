"""Patches carried back to where their crops came from, without aliasing.

Pixel centres are whole numbers, in the picture and in the map alike.
"""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np

from engine.geometry import affine
from engine.pixels.upsampling import PICTURE_DOUBLED, doubled
from engine.values import Affine, Mask, Patch, Pixels, Rect

# The side of the neighbourhood that a sample reads: a mask of zeros is still zero past it.
_REACH = 1.0
# Pixels beyond the mask that doubling and a bilinear warp of it, and chroma filters, look at.
_MARGIN = 8
# A scale of 1 may come out of float64 a little above it, and is not sampled twice a pixel for that.
_ROUNDING = 1e-6


def extent(patch: Patch, size: tuple[int, int]) -> Rect | None:
    """The whole pixels of a picture of `size` (width, height) that a patch's mask can touch.

    One more pixel lies around them, for chroma is filtered there. None where the mask touches
    none: it is empty, or lies outside of the picture.
    """
    rows = np.flatnonzero(patch.mask.any(axis=1))
    columns = np.flatnonzero(patch.mask.any(axis=0))
    if not rows.size:
        return None
    left, right = columns[0] - _REACH, columns[-1] + _REACH
    top, bottom = rows[0] - _REACH, rows[-1] + _REACH
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    placed = affine.apply(affine.invert(patch.to_crop), corners)
    low = np.ceil(placed.min(axis=0)) - 1
    high = np.floor(placed.max(axis=0)) + 2
    width, height = size
    rect = Rect(
        left=int(np.clip(low[0], 0, width)),
        top=int(np.clip(low[1], 0, height)),
        right=int(np.clip(high[0], 0, width)),
        bottom=int(np.clip(high[1], 0, height)),
    )
    return rect if rect.width > 0 and rect.height > 0 else None


def place(patch: Patch, rect: Rect) -> tuple[Pixels, Mask]:
    """The patch as it lies in `rect` of the picture: pixels and mask of the rect's size.

    Pixels are sampled sharply and continue past the crop's border; the mask is sampled bilinearly
    and ends there. A crop finer than its place is sampled several times a pixel and
    averaged, so that it does not alias.
    """
    density = max(1, round(affine.scale_of(patch.to_crop)))
    left, top, right, bottom = _masked(patch.mask)
    to_crop = affine.compose(
        affine.shift(rect.left, rect.top), patch.to_crop, affine.shift(-left, -top)
    )
    size = (rect.width, rect.height)
    pixels = _warp_pixels(patch.pixels[top:bottom, left:right], to_crop, size, density)
    mask = _warp_mask(patch.mask[top:bottom, left:right], to_crop, size, density)
    return np.clip(pixels, 0, 1, out=pixels), mask


def carried(patch: Patch, to_crop: Affine, size: int) -> Mask:
    """The patch's mask as it lies in another crop of the same picture, (size, size).

    `to_crop` leads from display space to that crop. The mask is sampled bilinearly, several times
    a pixel and averaged where it is the finer of the two; beyond the patch's crop it is 0.

    Raises:
        ValueError: `to_crop` flattens the plane.
    """
    between = affine.compose(affine.invert(to_crop), patch.to_crop)
    density = max(1, math.ceil(affine.scale_of(between) - _ROUNDING))
    return _warp_mask(patch.mask, between, (size, size), density)


def _masked(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what the mask shows, and of what sampling it looks at."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0, 0, mask.shape[1], mask.shape[0]
    left, top = max(int(columns[0]) - _MARGIN, 0), max(int(rows[0]) - _MARGIN, 0)
    return left, top, int(columns[-1]) + 1 + _MARGIN, int(rows[-1]) + 1 + _MARGIN


def _undo_box(pixels: Pixels, density: int) -> Pixels:
    """Pixels made by averaging `density` samples each way, with the softening taken out again.

    The mean of k samples spread over a pixel has the variance (1 - 1/k²) / 12; a three-tap filter
    of the same variance, negative, makes the response flat to the third order.
    """
    side = (1 - 1 / density**2) / 24
    taps = np.array([-side, 1 + 2 * side, -side])
    return cast("Pixels", cv2.sepFilter2D(pixels, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))


def _warp_pixels(pixels: Pixels, to_crop: Affine, size: tuple[int, int], density: int) -> Pixels:
    """A fourth channel goes along, as OpenCV warps four channels faster than three."""
    double = doubled(cast("Pixels", cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)))
    to_double = affine.compose(to_crop, PICTURE_DOUBLED)
    placed = _warp(double, to_double, size, density, cv2.BORDER_REPLICATE)
    placed = cast("Pixels", cv2.cvtColor(placed, cv2.COLOR_RGBA2RGB))
    return _undo_box(placed, density) if density > 1 else placed


def _warp_mask(mask: Mask, to_crop: Affine, size: tuple[int, int], density: int) -> Mask:
    """Bilinear, and 0 beyond the mask."""
    placed = _warp(mask, to_crop, size, density, cv2.BORDER_CONSTANT)
    return np.clip(placed, 0, 1, out=placed)


def _warp(
    picture: Pixels | Mask, to_crop: Affine, size: tuple[int, int], density: int, border: int
) -> Pixels | Mask:
    """Bilinear, the mean of `density` samples each way for each pixel of the answer."""
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
