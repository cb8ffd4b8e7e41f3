"""Map faces by affine maps, and interpolate them between two frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.geometry import affine
from engine.geometry.boxes import box_of
from engine.values import Affine, Box, Detection, Face, Landmarks, Mesh, Points


def corners_of(box: Box) -> Points:
    """Return the top left and bottom right corner of a box, (2, 2)."""
    return np.array([[box.left, box.top], [box.right, box.bottom]], np.float32)


def map_detection(detection: Detection, to: Affine) -> Detection:
    """Return a detection mapped by a map that turns by multiples of 90 degrees only."""
    return replace(
        detection,
        box=box_of(affine.apply(to, corners_of(detection.box))),
        points=affine.apply(to, detection.points),
    )


def map_face(face: Face, to: Affine) -> Face:
    """Return a face mapped by a map without rotation."""
    landmarks = face.landmarks
    if landmarks is not None:
        landmarks = replace(landmarks, points=affine.apply(to, landmarks.points))
    return replace(
        face,
        detection=map_detection(face.detection, to),
        mesh=replace(face.mesh, points=affine.apply(to, face.mesh.points)),
        landmarks=landmarks,
    )


def detection_at_mesh(face: Face, mesh: Mesh) -> Detection:
    """Return a face's detection, moved and scaled as its mesh is to become `mesh`."""
    motion = affine.fit_similarity(face.mesh.points[:, :2], mesh.points[:, :2])
    box, scale = face.box, affine.scale_of(motion)
    centre = np.array([[(box.left + box.right) / 2, (box.top + box.bottom) / 2]])
    x, y = affine.apply(motion, centre)[0].tolist()
    half_width, half_height = scale * box.width / 2, scale * box.height / 2
    return Detection(
        Box(x - half_width, y - half_height, x + half_width, y + half_height),
        face.score,
        affine.apply(motion, face.detection.points),
    )


def interpolate_face(one: Face, other: Face, share: float) -> Face:
    """Return the face `share` (0..1) of the way between two, with the first's identity."""
    points = one.mesh.points + np.float32(share) * (other.mesh.points - one.mesh.points)
    score = one.mesh.score + share * (other.mesh.score - one.mesh.score)
    return replace(
        one,
        detection=interpolate_detection(one.detection, other.detection, share),
        mesh=Mesh(points, score),
        landmarks=_interpolate_landmarks(one.landmarks, other.landmarks, share),
    )


def interpolate_detection(one: Detection, other: Detection, share: float) -> Detection:
    """Return the detection `share` (0..1) of the way from one to the other."""

    def mix(a: float, b: float) -> float:
        return a + share * (b - a)

    a, b = one.box, other.box
    return Detection(
        Box(mix(a.left, b.left), mix(a.top, b.top), mix(a.right, b.right), mix(a.bottom, b.bottom)),
        mix(one.score, other.score),
        one.points + np.float32(share) * (other.points - one.points),
    )


def _interpolate_landmarks(
    one: Landmarks | None, other: Landmarks | None, share: float
) -> Landmarks | None:
    if one is None or other is None:
        return one
    return replace(one, points=one.points + np.float32(share) * (other.points - one.points))
