"""Boxes and pixel rectangles: overlap, non-maximum suppression, bounds of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.values import Box, Points, Rect


def iou(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes, 0..1; 0 if both are empty."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    common = max(width, 0.0) * max(height, 0.0)
    union = one.area + other.area - common
    return common / union if union > 0 else 0.0


def contained_share(inner: Box, outer: Box) -> float:
    """Return the share of the inner box's area that lies in the outer box; 0 if it is empty."""
    width = min(inner.right, outer.right) - max(inner.left, outer.left)
    height = min(inner.bottom, outer.bottom) - max(inner.top, outer.top)
    return max(width, 0.0) * max(height, 0.0) / inner.area if inner.area > 0 else 0.0


def pairwise_iou(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection over union of all pairs of boxes, (n, m).

    `boxes` is (n, 4) and `others` is (m, 4); rows are left, top, right, bottom.
    """
    a, b = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    area_a = np.clip(a[..., 2:] - a[..., :2], 0, None).prod(axis=-1)
    area_b = np.clip(b[..., 2:] - b[..., :2], 0, None).prod(axis=-1)
    union = area_a + area_b - common
    overlap: NDArray[np.float64] = np.divide(
        common, union, out=np.zeros_like(common), where=union > 0
    )
    return overlap


def nms(boxes: ArrayLike, scores: ArrayLike, threshold: float) -> NDArray[np.intp]:
    """Return the indices of the boxes that non-maximum suppression keeps, best score first.

    A box is removed if its IoU with a better one is above `threshold`. `boxes` is (n, 4): left,
    top, right, bottom; `scores` is (n,). Of equal scores the earlier wins.
    """
    rows = np.asarray(boxes, np.float64).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    indices: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        indices.append(int(best))
        order = rest[pairwise_iou(rows[best : best + 1], rows[rest])[0] <= threshold]
    return np.array(indices, np.intp)


def box_of(points: Points) -> Box:
    """Return the bounding box of points (n, 2) or (n, 3)."""
    left, top = points[:, :2].min(axis=0)
    right, bottom = points[:, :2].max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))


def rect_around(region: Points | Box, margin: float, size: tuple[int, int]) -> Rect:
    """Return the pixels within `margin` of points or a box, clipped to a picture.

    `size` is the (width, height) of the picture. For a region outside the picture, the result is
    the nearest row or column of pixels, so it is never empty.
    """
    box = region if isinstance(region, Box) else box_of(region)
    left, right = _span(box.left - margin, box.right + margin, size[0])
    top, bottom = _span(box.top - margin, box.bottom + margin, size[1])
    return Rect(left, top, right, bottom)


def union(rects: Sequence[Rect]) -> Rect:
    """Return the smallest rectangle that contains all of one or more rectangles."""
    return Rect(
        min(rect.left for rect in rects),
        min(rect.top for rect in rects),
        max(rect.right for rect in rects),
        max(rect.bottom for rect in rects),
    )


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = int(np.clip(np.floor(low), 0, size - 1))
    return first, int(np.clip(np.ceil(high) + 1, first + 1, size))
