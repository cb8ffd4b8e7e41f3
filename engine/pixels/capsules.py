"""Limbs as capsules: what two circles and everything between them cover."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.values import Bytes, Mask, Points

_SUBPIXEL_BITS = 4
_RIM = 0.5  # pixels by which OpenCV draws smooth shapes larger than they are


def fill_capsules(
    ends: NDArray[np.float32], radii: NDArray[np.float32], polygon: Points, size: int
) -> Mask:
    """1 inside any of the capsules or the polygon, 0 outside, on a (size, size) grid.

    Args:
        ends: (n, 2, 2), the two middles of each capsule as x, y in the grid's pixels.
        radii: (n, 2), of its two ends.
        polygon: (m, 2); its convex hull is filled.
        size: the grid's side.

    Edges are smooth by one pixel.
    """
    grid = np.zeros((size, size), np.uint8)
    radii = np.maximum(radii - _RIM, 0)
    _fill(grid, polygon)
    for middles, sizes in zip(ends, radii, strict=True):
        for middle, radius in zip(_fixed(middles).tolist(), _fixed(sizes).tolist(), strict=True):
            cv2.circle(grid, middle, radius, 255, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        along = middles[1] - middles[0]
        across = np.array((-along[1], along[0])) / max(float(np.hypot(*along)), 1e-6)
        wide = sizes[:, None] * across
        _fill(grid, np.concatenate([middles + wide, middles - wide]))
    filled: Mask = grid.astype(np.float32) / np.float32(255)
    return filled


def _fill(grid: Bytes, corners: Points) -> None:
    hull = cv2.convexHull(corners.astype(np.float32))
    cv2.fillConvexPoly(grid, _fixed(hull), 255, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(values: ArrayLike) -> NDArray[np.int32]:
    return np.rint(np.asarray(values, np.float64) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
