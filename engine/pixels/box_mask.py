"""Soft box mask of a crop, which hides a network's output at the border."""

from __future__ import annotations

from functools import lru_cache
from math import erf, sqrt

import numpy as np

from engine.values import Mask

_BLUR = 0.3  # FaceFusion's face mask blur


@lru_cache(maxsize=8)
def box_mask(size: int) -> Mask:
    """Return a soft square mask (size, size), 1 in the middle and 0 at the border, read-only.

    It is FaceFusion's box mask with a blur of 0.3 and no padding: a border of 0 half as wide as the
    blur, then a Gaussian of a quarter of the blur. It is rescaled to 0 at the border, where
    FaceFusion's mask is about 0.02.
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
    """Return the cumulative normal distribution: a step blurred by a Gaussian of sigma 1."""
    return 0.5 * (1 + erf(x / sqrt(2)))
