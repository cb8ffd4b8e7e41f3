"""Rasterise limbs as capsules, the convex hulls of two circles."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.values import Bytes, Mask, Points

_SUBPIXEL_BITS = 4
_RIM = 0.5  # pixels by which OpenCV draws anti-aliased shapes too large


def fill_capsules(
    ends: NDArray[np.float32], radii: NDArray[np.float32], polygon: Points, size: int
) -> Mask:
    """Return a mask (size, size): 1 inside a capsule or the polygon, 0 outside, anti-aliased.

    Args:
        ends: (n, 2, 2) centres of the two circles of each capsule, x and y in pixels.
        radii: (n, 2) radii of the two circles, in pixels.
        polygon: (m, 2) points; their convex hull is filled.
        size: side of the mask.
    """
    grid = np.zeros((size, size), np.uint8)
    radii = np.maximum(radii - _RIM, 0)
    _fill(grid, polygon)
    for middles, sizes in zip(ends, radii, strict=True):
        for middle, radius in zip(
            _to_fixed_point(middles).tolist(), _to_fixed_point(sizes).tolist(), strict=True
        ):
            cv2.circle(grid, middle, radius, 255, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        along = middles[1] - middles[0]
        across = np.array((-along[1], along[0])) / max(float(np.hypot(*along)), 1e-6)
        wide = sizes[:, None] * across
        _fill(grid, np.concatenate([middles + wide, middles - wide]))
    filled: Mask = grid.astype(np.float32) / np.float32(255)
    return filled


def _fill(grid: Bytes, corners: Points) -> None:
    hull = cv2.convexHull(corners.astype(np.float32))
    cv2.fillConvexPoly(grid, _to_fixed_point(hull), 255, cv2.LINE_AA, _SUBPIXEL_BITS)


def _to_fixed_point(values: ArrayLike) -> NDArray[np.int32]:
    return np.rint(np.asarray(values, np.float64) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
