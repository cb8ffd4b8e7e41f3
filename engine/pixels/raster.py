"""Rasterise meshes and polygons, and sample textures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.values import Mask, Points

_SUBPIXEL_BITS = 4
_SAMPLES = 4  # subsamples along each side of a pixel; small moves cause small changes


def draw_triangles(
    points: NDArray[np.float32], triangles: NDArray[np.intp], order: NDArray[np.intp], size: int
) -> NDArray[np.int16]:
    """Return the index of the triangle that covers each pixel, (size, size); -1 for none.

    Args:
        points: (n, 2) vertices in pixels.
        triangles: (m, 3) vertex indices, m < 32768.
        order: indices of the triangles to draw; later ones cover earlier ones (far to near).
        size: side of the grid.
    """
    ids = np.full((size, size), -1, np.int16)
    corners = np.rint(points[triangles] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    for triangle in order.tolist():
        cv2.fillConvexPoly(
            ids, corners[triangle], triangle, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS
        )
    return ids


def interpolate(
    ids: NDArray[np.int16],
    points: NDArray[np.float32],
    triangles: NDArray[np.intp],
    values: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Interpolate vertex `values` (n, k) linearly over the drawn triangles: (size, size, k).

    `ids` is the result of `draw_triangles`. Pixels that no triangle covers are 0.
    """
    corners = points[triangles].astype(np.float64)
    base = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2)
    area = np.linalg.det(base)
    # A degenerate triangle has no inverse; its few pixels get its mean.
    flat = np.abs(area) < 1e-3
    base[flat] = np.eye(3)
    planes = np.linalg.solve(base, values[triangles].astype(np.float64))
    planes[flat] = 0
    planes[flat, 2] = values[triangles][flat].mean(axis=1)
    ys, xs = np.nonzero(ids >= 0)
    covering = ids[ys, xs]
    chosen = planes.astype(np.float32)[covering]
    spread = chosen[:, 0] * xs[:, None] + chosen[:, 1] * ys[:, None] + chosen[:, 2]
    # OpenCV also draws the outline of a triangle, where values must not be extrapolated.
    corner_values = values[triangles].astype(np.float32)
    low, high = corner_values.min(axis=1), corner_values.max(axis=1)
    grid = np.zeros((*ids.shape, values.shape[1]), np.float32)
    grid[ys, xs] = np.clip(spread, low[covering], high[covering])
    return grid


def fill_polygons(rings: Iterable[Points], size: int, scale: float = 1.0) -> Mask:
    """Return a mask (size, size): the share of each pixel that lies in a polygon, 0..1.

    `rings` are corners (n, 2 or 3), multiplied by `scale`. Pixel centres have integer coordinates
    before and after.
    """
    mask = np.zeros((size * _SAMPLES, size * _SAMPLES), np.uint8)
    for ring in rings:
        corners = (ring[:, :2] + 0.5) * (scale * _SAMPLES) - 0.5
        corners = np.rint(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
    small = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
    filled: Mask = small.astype(np.float32) / np.float32(255)
    return filled


def convex_hull(points: Points) -> Points:
    """Return the corners (m, 2) of the convex hull of `points` (n, 2)."""
    hull = cv2.convexHull(np.ascontiguousarray(points[:, :2], np.float32))
    return hull[:, 0].astype(np.float32)


def inside_distance(mask: Mask) -> Mask:
    """Return each pixel's distance to the nearest pixel outside `mask` (< 0.5), in pixels."""
    binary = (mask >= 0.5).astype(np.uint8)
    return cast("Mask", cv2.distanceTransform(binary, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def close_gaps(mask: Mask, radius: float) -> Mask:
    """Close gaps of up to twice `radius` pixels in a mask (a morphological closing)."""
    across = 2 * round(radius) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    return cast("Mask", cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc))


def sample_map(
    texture: NDArray[np.float32], map_x: NDArray[np.float32], map_y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Sample `texture` (h, w, c) bilinearly at coordinates `map_x`, `map_y`; outside it is 0.

    Pixel centres have integer coordinates.
    """
    return cast(
        "NDArray[np.float32]",
        cv2.remap(
            texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
        ),
    )


def displace(pixels: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample each pixel of `pixels` (h, w, c) at an offset `by` (h, w, 2); the border repeats."""
    height, width = pixels.shape[:2]
    xs = np.arange(width, dtype=np.float32)[None] + by[..., 0]
    ys = np.arange(height, dtype=np.float32)[:, None] + by[..., 1]
    return cast(
        "NDArray[np.float32]",
        cv2.remap(pixels, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
    )
