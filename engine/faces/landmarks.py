"""What can be told from dense landmarks: the five alignment points, the way a face looks."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from engine.values import Landmarks, LandmarkScheme, Mesh, Points

Indices: TypeAlias = tuple[int, ...]

# Landmark numbers of MediaPipe's canonical face model. "Left" is the picture's left.
_LEFT_EYE: Indices = (33, 133, 159, 145)
_RIGHT_EYE: Indices = (362, 263, 386, 374)
_NOSE: Indices = (4,)
_LEFT_MOUTH: Indices = (61,)
_RIGHT_MOUTH: Indices = (291,)
_LEFT_CHEEK, _RIGHT_CHEEK, _NOSE_TIP = 234, 454, 1
# The five in other schemes: InsightFace's 106 have a number for each, the 68 have six an eye.
_FIVE: dict[LandmarkScheme, tuple[Indices, ...]] = {
    "2d106": ((38,), (88,), (86,), (52,), (61,)),
    "3d68": (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,)),
}


def five_points_of_mesh(mesh: Mesh) -> Points:
    """Middles of the eyes, nose tip, mouth corners: (5, 2), as in `Detection.points`."""
    groups = (_LEFT_EYE, _RIGHT_EYE, _NOSE, _LEFT_MOUTH, _RIGHT_MOUTH)
    return _group_means(mesh.points, groups)


def five_points_of_landmarks(landmarks: Landmarks) -> Points:
    """The same of landmarks of another scheme, (5, 2)."""
    return _group_means(landmarks.points, _FIVE[landmarks.scheme])


def _group_means(points: Points, groups: tuple[Indices, ...]) -> Points:
    return np.stack([points[list(group), :2].mean(axis=0) for group in groups])


def frontalness(mesh: Mesh) -> float:
    """1 where the face looks into the camera, 0 where one cheek is out of sight.

    The nose tip's place between the two cheeks, seen across the face.
    """
    left, right, nose = mesh.points[[_LEFT_CHEEK, _RIGHT_CHEEK, _NOSE_TIP], :2].astype(np.float64)
    across = right - left
    width = float(across @ across)
    if width == 0:
        return 0.0
    place = float((nose - left) @ across) / width
    return float(np.clip(1 - abs(2 * place - 1), 0, 1))
