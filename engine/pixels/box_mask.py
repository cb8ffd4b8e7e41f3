"""The box in a crop, within which an answer to it counts."""

from __future__ import annotations

from functools import lru_cache
from math import erf, sqrt

import numpy as np

from engine.values import Mask

_BLUR = 0.3  # FaceFusion's face mask blur


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


def _normal(x: float) -> float:
    """The normal distribution up to x: a step, blurred by a Gaussian of one."""
    return 0.5 * (1 + erf(x / sqrt(2)))
