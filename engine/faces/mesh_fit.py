"""Tell whether a face's mesh fits what the detector found; in profile it does not."""

from __future__ import annotations

import numpy as np

from engine.geometry.boxes import box_of
from engine.geometry.shape import face_angle
from engine.pixels.tone import smoothstep
from engine.values import Face

# The eyes' distance over the root of the box's area, of a face that looks at the camera: the median
# of 300 pictures.
_EYES_APART = 0.40
# Degrees by which a head is turned away. Beyond the second, a mesh is drawn beyond the silhouette.
_TURNED = (57.0, 62.0)
# Distance of the mesh's middle from the box's, of the mesh's size: 0.05 in 99 of 100 pictures.
_ASIDE = (0.11, 0.15)


def turned_away(face: Face) -> float:
    """Return the degrees between where a face looks and the camera, 0 or more.

    `turned_by` underestimates profiles, of which the mesh is half drawn from the front. The eyes'
    distance in the box does not: it falls with the cosine.
    """
    five, box = face.detection.points, face.box
    apart = float(np.linalg.norm(five[1] - five[0])) / max(float(np.sqrt(box.area)), 1e-6)
    by_eyes = float(np.degrees(np.arccos(min(apart / _EYES_APART, 1.0))))
    return max(face_angle(face), by_eyes)


def mesh_trust(face: Face, size: tuple[int, int]) -> float:
    """Return how far a face may be drawn by its mesh, 0..1: its score, and 0 in profile.

    Args:
        face: a face in a picture.
        size: the picture's width and height. A box ends at its border and a mesh does not, so of a
            face that is cut by it, the two are not compared.
    """
    fits = 1 - float(smoothstep(*_TURNED, turned_away(face)))
    if not _is_cut(face, size):
        fits *= 1 - float(smoothstep(*_ASIDE, _aside(face)))
    return face.mesh.score * fits


def _is_cut(face: Face, size: tuple[int, int]) -> bool:
    mesh, (width, height) = box_of(face.mesh.points[:, :2]), size
    return mesh.left < 0 or mesh.top < 0 or mesh.right > width - 1 or mesh.bottom > height - 1


def _aside(face: Face) -> float:
    """Return how far the mesh's middle lies beside the box's along the eyes' line, of its size."""
    mesh, box = box_of(face.mesh.points[:, :2]), face.box
    off = np.array((mesh.left + mesh.right - box.left - box.right, mesh.top + mesh.bottom))
    off[1] -= box.top + box.bottom
    left, right = face.detection.points[:2].astype(np.float64)
    along = (right - left) / max(float(np.linalg.norm(right - left)), 1e-6)
    return abs(float(off @ along)) / 2 / max(float(np.sqrt(mesh.area)), 1e-6)
