"""Where a network's answer counts: away from its crop's border, and on the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.geometry.mesh_topology import OVAL
from engine.pixels.box_mask import box_mask
from engine.pixels.raster import fill_polygons
from engine.pixels.tone import blur, enlarge, smoothstep
from engine.values import Aligned, Mask

_GRID = 128  # side of the grid that the oval is drawn on
_FEATHER = 0.02  # of the crop's side: the oval's blur
_TRUSTED = (0.02, 0.12)  # the mesh's score, from no say to a full one


def face_mask(target: Aligned) -> Mask:
    """The box and the mesh's oval, whichever is less; where the mesh is lost, the box alone."""
    size = target.pixels.shape[0]
    box = box_mask(size)
    trust = float(smoothstep(*_TRUSTED, target.score))
    if trust == 0:
        return box.copy()
    oval = enlarge(1 - trust * (1 - _oval_mask(target, _GRID)), size)
    mask: Mask = np.minimum(box, oval, out=oval)
    return mask


def _oval_mask(target: Aligned, grid: int) -> NDArray[np.float32]:
    """1 well inside the face's contour, 0 on it and outside, soft within."""
    size = target.pixels.shape[0]
    filled = fill_polygons([target.mesh[list(OVAL)]], grid, grid / size)
    return np.clip(2 * blur(filled, _FEATHER * grid) - 1, 0, 1)
