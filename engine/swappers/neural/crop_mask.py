"""Mask of a swapping network's output: away from the crop's border, and within the face."""

from __future__ import annotations

import numpy as np

from engine.pixels.box_mask import box_mask
from engine.pixels.face_oval import draw_oval, oval_trust
from engine.pixels.tone import enlarge, soft_inside
from engine.values import Aligned, Mask

_GRID = 128  # side of the grid on which the oval is drawn
_FEATHER = 0.02  # sigma of the oval's edge, of the crop's side


def face_mask(target: Aligned) -> Mask:
    """Return the minimum of a soft box and the face's oval; the box alone if the mesh is lost."""
    size = target.pixels.shape[0]
    box = box_mask(size)
    trust = oval_trust(target.score)
    if trust == 0:
        return box.copy()
    oval = enlarge(1 - trust * (1 - soft_inside(draw_oval(target, _GRID), _FEATHER * _GRID)), size)
    mask: Mask = np.minimum(box, oval, out=oval)
    return mask
