"""Keep hands and nearer faces in front of a swapped face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from engine.geometry import affine
from engine.geometry.boxes import box_of, iou
from engine.pixels.capsules import fill_capsules
from engine.pixels.raster import convex_hull, fill_polygons
from engine.pixels.tone import blur
from engine.values import Face, Hand, Mask, Patch, Points

_WRIST, _PALM = 0, (0, 1, 5, 9, 13, 17)
_KNUCKLES = (5, 9, 17)  # knuckles; their largest distance from the wrist is the size of a hand
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_BONES = (
    *((a, b) for finger in _FINGERS for a, b in pairwise(finger)),
    *((0, 1), (1, 5), (5, 9), (9, 13), (13, 17), (17, 0)),
)
# Radius of a hand at each landmark, of its size: wrist, then each finger to its tip.
_RADII = np.array(
    (
        *(0.2,),
        *(0.2, 0.17, 0.15, 0.13),
        *(0.15, 0.13, 0.12, 0.11),
        *(0.15, 0.13, 0.12, 0.11),
        *(0.15, 0.13, 0.12, 0.11),
        *(0.15, 0.12, 0.11, 0.1),
    ),
    np.float32,
)
_MIN_MESH_SCORE = 0.5  # from which a face is where its mesh is
_FACE_SOFT = 0.03  # sigma of a face's edge, of its height
_SOFT = 0.035  # sigma of a hand's edge, of its size


def limit_to_visible(patch: Patch, hands: Sequence[Hand], nearer: Sequence[Face] = ()) -> Patch:
    """Return a patch with hands and nearer faces left out of its mask.

    Every hand that overlaps the face is taken to be in front of it: a hand behind a head hides its
    palm or fingers, and is not detected. A patch that nothing covers is returned unchanged.
    """
    mask = patch.mask
    for face in nearer:
        points = affine.apply(patch.to_crop, face.mesh.points)
        mask = mask * (1 - _face_silhouette(points, mask.shape[0]))
    for hand in hands:
        points = affine.apply(patch.to_crop, hand.points)
        if _touches(points, mask):
            mask = mask * (1 - hand_silhouette(points, mask.shape[0]))
    return patch if mask is patch.mask else replace(patch, mask=mask)


def nearer_faces(face: Face, faces: Sequence[Face]) -> list[Face]:
    """Return the faces that overlap `face` and are larger: these are nearer to the camera.

    Faces with a poor mesh are left out, as their outline is not known.
    """
    return [
        other
        for other in faces
        if other.box.area > face.box.area
        and other.mesh.score >= _MIN_MESH_SCORE
        and iou(other.box, face.box) > 0
    ]


def _face_silhouette(points: Points, size: int) -> Mask:
    """Return a mask (size, size): 1 on a face with this mesh, fading out beyond it."""
    hull = fill_polygons([convex_hull(points)], size)
    span = float(np.ptp(points[:, 1]))
    return np.clip(2 * blur(hull, max(span * _FACE_SOFT, 0.5)), 0, 1)


def hand_silhouette(points: Points, size: int) -> Mask:
    """Return a soft mask (size, size) of a hand: 1 on it, 0 elsewhere.

    `points` are its landmarks (21, 3) in pixels of the mask; z has the same unit.
    """
    unit = _hand_size(points)
    flat, radii = points[:, :2], unit * _RADII
    bones = np.array(_BONES)
    sharp = fill_capsules(flat[bones], radii[bones], flat[list(_PALM)], size)
    return blur(sharp, max(unit * _SOFT, 0.3))


def _hand_size(points: Points) -> float:
    """Return the largest distance from the wrist to a knuckle, the one least foreshortened."""
    return float(np.linalg.norm(points[list(_KNUCKLES)] - points[_WRIST], axis=1).max())


def _touches(points: Points, mask: Mask) -> bool:
    box, reach = box_of(points), 0.2 * _hand_size(points)
    size = mask.shape[0]
    left, top = max(int(box.left - reach), 0), max(int(box.top - reach), 0)
    right, bottom = min(int(box.right + reach), size), min(int(box.bottom + reach), size)
    return bool(mask[top : max(bottom, top), left : max(right, left)].any())
