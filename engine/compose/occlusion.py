"""What is before a face stays before it."""

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
_KNUCKLES = (5, 9, 17)  # knuckles whose distance from the wrist is the measure of a hand
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_BONES = (
    *((a, b) for finger in _FINGERS for a, b in pairwise(finger)),
    *((0, 1), (1, 5), (5, 9), (9, 13), (13, 17), (17, 0)),
)
# Radius of the flesh at each landmark, in that measure: wrist, then each finger to its tip.
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
_MIN_MESH_SCORE = 0.5  # mesh score from which a face is known to be where its mesh is
_FACE_SOFT = 0.03  # the edge's blur, of the face's height
_SOFT = 0.035  # the edge's blur, in the same measure


def limit_to_visible(patch: Patch, hands: Sequence[Hand], nearer: Sequence[Face] = ()) -> Patch:
    """The patch with a mask that leaves out hands and nearer faces; the very patch where none is.

    Whatever hand lies over the face counts as before it: hands behind a head hide the palm or the
    fingers, and are not found.
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
    """Those of `faces` that overlap `face` and are larger, as what stands before it is.

    Faces of a poor mesh are left out: where they lie is not known well.
    """
    return [
        other
        for other in faces
        if other.box.area > face.box.area
        and other.mesh.score >= _MIN_MESH_SCORE
        and iou(other.box, face.box) > 0
    ]


def _face_silhouette(points: Points, size: int) -> Mask:
    """1 on a face with this mesh, fading out beyond it, on a (size, size) grid."""
    hull = fill_polygons([convex_hull(points)], size)
    span = float(np.ptp(points[:, 1]))
    return np.clip(2 * blur(hull, max(span * _FACE_SOFT, 0.5)), 0, 1)


def hand_silhouette(points: Points, size: int) -> Mask:
    """1 on a hand with these landmarks (21, 3), 0 off it, soft between, on a (size, size) grid.

    x and y are pixels of the grid, and z has their unit.
    """
    measure = _hand_size(points)
    flat, radii = points[:, :2], measure * _RADII
    bones = np.array(_BONES)
    sharp = fill_capsules(flat[bones], radii[bones], flat[list(_PALM)], size)
    return blur(sharp, max(measure * _SOFT, 0.3))


def _hand_size(points: Points) -> float:
    """From the wrist to the knuckles; the longest, as a hand is foreshortened at most."""
    return float(np.linalg.norm(points[list(_KNUCKLES)] - points[_WRIST], axis=1).max())


def _touches(points: Points, mask: Mask) -> bool:
    box, reach = box_of(points), 0.2 * _hand_size(points)
    size = mask.shape[0]
    left, top = max(int(box.left - reach), 0), max(int(box.top - reach), 0)
    right, bottom = min(int(box.right + reach), size), min(int(box.bottom + reach), size)
    return bool(mask[top : max(bottom, top), left : max(right, left)].any())
