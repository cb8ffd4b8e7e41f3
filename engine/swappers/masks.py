"""Where a network's answer counts: away from its crop's border, and on the face."""

from __future__ import annotations

from functools import lru_cache
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from engine.geometry.face_mesh import OVAL
from engine.pixels.raster import fill_polygons
from engine.pixels.tone import blur, enlarge, smoothstep
from engine.values import Aligned, Mask

_BLUR = 0.3  # FaceFusion's face mask blur
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
    oval = enlarge(1 - trust * (1 - _oval(target, _GRID)), size)
    mask: Mask = np.minimum(box, oval, out=oval)
    return mask


@lru_cache(maxsize=8)
def box_mask(size: int) -> Mask:
    """A soft square: 1 in the middle, 0 at the crop's border, (size, size), read-only.

    As FaceFusion's box with a blur of 0.3 and no padding (a border of 0 half as wide as the blur,
    then a Gaussian of a quarter of the blur), but brought down to 0 at the border, where it leaves
    some two percent.
    """
    width = max(int(size * 0.5 * _BLUR), 2)
    border, sigma = max(width // 2, 1), width / 4
    rise = np.array([_normal((i + 0.5 - border) / sigma) for i in range(size)])
    rise = np.clip((rise - rise[0]) / (1 - rise[0]), 0, 1)
    profile = rise * rise[::-1]
    mask: Mask = np.outer(profile, profile).astype(np.float32)
    mask.setflags(write=False)
    return mask


def _oval(target: Aligned, grid: int) -> NDArray[np.float32]:
    """1 well inside the face's contour, 0 on it and outside, soft within."""
    size = target.pixels.shape[0]
    filled = fill_polygons([target.mesh[list(OVAL)]], grid, grid / size)
    return np.clip(2 * blur(filled, _FEATHER * grid) - 1, 0, 1)


def _normal(x: float) -> float:
    """The normal distribution up to x: a step, blurred by a Gaussian of one."""
    return 0.5 * (1 + erf(x / sqrt(2)))
