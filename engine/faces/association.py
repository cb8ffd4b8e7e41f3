"""Pair the face boxes of two frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.geometry.boxes import iou
from engine.values import Box

_MAX_DISTANCE = 0.7  # between the centres of one face in two frames, of its size
_MAX_GROWTH = 1.6


def pair_boxes(before: Sequence[Box], after: Sequence[Box]) -> list[tuple[int, int]]:
    """Return index pairs of boxes that contain the same face, nearest first.

    The cost of a pair grows with the distance between the centres, in sizes of the larger box, with
    the difference in size, and with 1 - IoU. Each box is in at most one pair.
    """
    costs = sorted(
        (cost, i, j)
        for i, one in enumerate(before)
        for j, other in enumerate(after)
        if (cost := _cost(one, other)) is not None
    )
    pairs: list[tuple[int, int]] = []
    for _, i, j in costs:
        if all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs


def _cost(one: Box, other: Box) -> float | None:
    sizes = np.sqrt(one.area), np.sqrt(other.area)
    if min(sizes) <= 0:
        return None
    growth = float(max(sizes) / min(sizes))
    distance = float(
        np.hypot(
            one.left + one.right - other.left - other.right,
            one.top + one.bottom - other.top - other.bottom,
        )
        / 2
        / max(sizes)
    )
    if distance > _MAX_DISTANCE or growth > _MAX_GROWTH:
        return None
    return distance + (growth - 1) + (1 - iou(one, other))
