"""Which face of one moment is which face of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.geometry import affine as maps
from engine.geometry.boxes import iou
from engine.values import Box, Detection, Face, Landmarks, Mesh

_MAX_DISTANCE = 0.7  # of a face's size, between two sightings
_MAX_GROWTH = 1.6


def pair_boxes(before: Sequence[Box], after: Sequence[Box]) -> list[tuple[int, int]]:
    """Indices of the boxes that show one face, nearest first; each box in one pair at most.

    The distance between centres, in sizes of the larger box, and the difference in size decide.
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


def mixed(one: Face, other: Face, share: float) -> Face:
    """The face `share` (0..1) of the way from one sighting to the other; identity of the first."""
    points = one.mesh.points + np.float32(share) * (other.mesh.points - one.mesh.points)
    score = one.mesh.score + share * (other.mesh.score - one.mesh.score)
    detection = mixed_detection(one.detection, other.detection, share)
    return replace(
        one,
        detection=detection,
        mesh=Mesh(points, score),
        landmarks=_mixed_landmarks(one, other, share),
    )


def _mixed_landmarks(one: Face, other: Face, share: float) -> Landmarks | None:
    if one.landmarks is None or other.landmarks is None:
        return one.landmarks
    points = one.landmarks.points
    motion = np.float32(share) * (other.landmarks.points - points)
    return replace(one.landmarks, points=points + motion)


def mixed_detection(one: Detection, other: Detection, share: float) -> Detection:
    """The detection `share` (0..1) of the way from one to the other."""

    def mix(a: float, b: float) -> float:
        return a + share * (b - a)

    a, b = one.box, other.box
    return Detection(
        Box(
            mix(a.left, b.left),
            mix(a.top, b.top),
            mix(a.right, b.right),
            mix(a.bottom, b.bottom),
        ),
        mix(one.score, other.score),
        one.points + np.float32(share) * (other.points - one.points),
    )


def moved(face: Face, mesh: Mesh) -> Detection:
    """A face's detection, moved and scaled as its mesh has to be to become `mesh`."""
    motion = maps.fit_similarity(face.mesh.points[:, :2], mesh.points[:, :2])
    box, scale = face.box, maps.scale_of(motion)
    middle = np.array([[(box.left + box.right) / 2, (box.top + box.bottom) / 2]])
    x, y = maps.apply(motion, middle)[0].tolist()
    half_width, half_height = scale * box.width / 2, scale * box.height / 2
    return Detection(
        Box(x - half_width, y - half_height, x + half_width, y + half_height),
        face.score,
        maps.apply(motion, face.detection.points),
    )


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
