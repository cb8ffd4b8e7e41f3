"""Five points and frontalness from dense landmarks."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from engine.values import Face, Landmarks, LandmarkScheme, Mesh, Points

Indices: TypeAlias = tuple[int, ...]

# Indices of MediaPipe's mesh. "Left" is the picture's left.
_LEFT_EYE: Indices = (33, 133, 159, 145)
_RIGHT_EYE: Indices = (362, 263, 386, 374)
_NOSE: Indices = (4,)
_LEFT_MOUTH: Indices = (61,)
_RIGHT_MOUTH: Indices = (291,)
_LEFT_CHEEK, _RIGHT_CHEEK, _NOSE_TIP = 234, 454, 1
_MIN_MESH_SCORE = 0.5  # for an alignment by the mesh
# Indices of the five points in other schemes: 2d106 has one landmark for each, 3d68 six an eye.
_FIVE: dict[LandmarkScheme, tuple[Indices, ...]] = {
    "2d106": ((38,), (88,), (86,), (52,), (61,)),
    "3d68": (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,)),
}


def five_points_of_mesh(mesh: Mesh) -> Points:
    """Return centres of the eyes, tip of the nose and corners of the mouth, (5, 2)."""
    groups = (_LEFT_EYE, _RIGHT_EYE, _NOSE, _LEFT_MOUTH, _RIGHT_MOUTH)
    return _group_means(mesh.points, groups)


def five_points_of_landmarks(landmarks: Landmarks) -> Points:
    """Return the five points of landmarks of another scheme, (5, 2)."""
    return _group_means(landmarks.points, _FIVE[landmarks.scheme])


def alignment_points(face: Face) -> Points:
    """Return the five points by which a face is aligned, (5, 2).

    These are points of its landmarks if it has any, else of its mesh if that is good, else those of
    its detection.
    """
    if face.landmarks is not None:
        return five_points_of_landmarks(face.landmarks)
    good = face.mesh.score >= _MIN_MESH_SCORE
    return five_points_of_mesh(face.mesh) if good else face.detection.points


def _group_means(points: Points, groups: tuple[Indices, ...]) -> Points:
    return np.stack([points[list(group), :2].mean(axis=0) for group in groups])


def frontalness(mesh: Mesh) -> float:
    """Return 1 for a face that looks at the camera, falling to 0 where one cheek is hidden.

    It is measured by the position of the nose's tip between the cheeks.
    """
    left, right, nose = mesh.points[[_LEFT_CHEEK, _RIGHT_CHEEK, _NOSE_TIP], :2].astype(np.float64)
    across = right - left
    width = float(across @ across)
    if width == 0:
        return 0.0
    place = float((nose - left) @ across) / width
    return float(np.clip(1 - abs(2 * place - 1), 0, 1))
