"""Typical detail of faces in soft light, and its spread, for each part of the face.

Detail far beyond it comes from shadows, glare and coloured light of a picture. The figures are
quantiles of some 170 faces in soft light; `scripts/fit_detail.py` learns them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from engine.pixels.tone import Field
from engine.values import Mask


@dataclass(frozen=True, slots=True, eq=False)
class TypicalDetail:
    """Log detail of faces in soft light, in the canonical layout.

    `tone` and `colour` are medians of its luma (h, w), and of what differs from its luma (h, w, 3).
    Nine faces of ten are at most `darker` and `brighter` by the one side, and `spread` by colour.
    """

    tone: Mask
    darker: Mask
    brighter: Mask
    colour: Field
    spread: Mask


@cache
def typical_detail() -> TypicalDetail:
    """Return the learnt detail, of the side `layout.COARSE`."""
    with (
        files("engine.swappers.mesh").joinpath("typical.npz").open("rb") as file,
        np.load(file) as data,
    ):
        # One half is stored; the other is its mirror image.
        fields = {
            name: np.concatenate([data[name], data[name][:, ::-1]], axis=1).astype(np.float32)
            for name in data.files
        }
    return TypicalDetail(**fields)
