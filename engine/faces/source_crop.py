"""The part of a picture that says who is to be put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.geometry import affine as maps
from engine.geometry.boxes import box_of, rect_around
from engine.pixels.align import crop_rect
from engine.values import Affine, Box, Face, Frame, Portrait

_MARGIN = 1.0  # of the face's longer side, left on each of its sides: no template reaches further
_MAX_SIDE = (
    3072  # pixels of the part's side: a face of a third of that holds all that a swapper takes
)


def cut_portrait(name: str, picture: Frame, face: Face) -> Portrait:
    """The face with its surroundings, whatever the size of the picture that it is cut from."""
    points = np.concatenate([face.mesh.points[:, :2], _corners(face.box)])
    extent = box_of(points)
    margin = _MARGIN * max(extent.width, extent.height)
    pixels, to_portrait = crop_rect(picture, rect_around(extent, margin, picture.size), _MAX_SIDE)
    return Portrait(name, pixels, placed(face, to_portrait))


def placed(face: Face, to: Affine) -> Face:
    """A face where a map without a turn takes it."""
    detection, marks = face.detection, face.landmarks
    return replace(
        face,
        detection=replace(
            detection,
            box=box_of(maps.apply(to, _corners(detection.box))),
            points=maps.apply(to, detection.points),
        ),
        mesh=replace(face.mesh, points=maps.apply(to, face.mesh.points)),
        landmarks=None if marks is None else replace(marks, points=maps.apply(to, marks.points)),
    )


def _corners(box: Box) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([[box.left, box.top], [box.right, box.bottom]], np.float32)
