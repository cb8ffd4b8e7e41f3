"""Cut the portrait of a face out of a picture."""

from __future__ import annotations

import numpy as np

from engine.faces.motion import corners_of, map_face
from engine.geometry.boxes import box_of, rect_around
from engine.pixels.align import crop_rect
from engine.values import Face, Frame, Portrait

_MARGIN = 1.0  # of the face's longer side, kept around it: no template reaches further
_MAX_SIDE = 3072  # longest side in pixels: its face of a third of that is larger than any crop


def cut_portrait(name: str, picture: Frame, face: Face) -> Portrait:
    """Return a face with its surroundings, at most 3072 pixels a side."""
    points = np.concatenate([face.mesh.points[:, :2], corners_of(face.box)])
    extent = box_of(points)
    margin = _MARGIN * max(extent.width, extent.height)
    pixels, to_portrait = crop_rect(picture, rect_around(extent, margin, picture.size), _MAX_SIDE)
    return Portrait(name, pixels, map_face(face, to_portrait))
