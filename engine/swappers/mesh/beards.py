"""Find beards: decide for the whole face, then mark all of the beard.

A decision per pixel would leave parts of a beard, as it continues beyond the mesh, under the chin
and beside the jaw. The decision is a logistic regression on traits of the lower face: darkness, hue
and texture, relative to cheeks and nose of the same face. `scripts/fit_beards.py` fits its weights
to some 600 faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from engine.pixels.raster import fill_polygons
from engine.pixels.tone import blur, luma, smoothstep
from engine.swappers.mesh.layout import COARSE, layout, layout_points
from engine.swappers.mesh.light import FLOOR
from engine.values import Mask

# Rings of mesh vertices around a moustache, a chin beard and a full beard.
_MOUSTACHE = (98, 2, 327, 426, 436, 287, 291, 270, 269, 267, 0, 37, 39, 40, 61, 57, 216, 206)
_CHIN = (
    *(212, 57, 61, 91, 181, 84, 17, 314, 405, 321, 291, 287, 432),
    *(394, 379, 378, 400, 377, 152, 148, 176, 149, 150, 169),
)
_FULL = (
    *(177, 215, 212, 216, 206, 203, 98, 2, 327, 423, 426, 436, 432, 435, 401),
    *(397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172),
)
_REACH = (5.0, 4.0)  # cells that hair may go beyond the ring of a moustache, a chin's beard
_DECIDED = (0.0, 1.0)  # log odds, from no beard to one
_HAIR = (0.55, 0.95)  # relative to the mean likeness to hair within the ring, from skin to hair
_MOST = 2.5  # log units at which a trait is clipped
_CELL = 4  # side of the cells over which the decision averages
_ROWS, _COLUMNS = slice(12, 22), slice(2, 12)  # of those, the left half of the lower face
# Heights in the layout: of cheeks and nose, where no beard grows, and of the lower face.
_CHEEKS = (0.62, 0.55)
_LOWER = (0.5, 0.58)
_FEW = 30  # cells


def find_beard(own: NDArray[np.float32], shown: Mask) -> Mask:
    """Return the mask of a face's beard, (COARSE, COARSE): 0 no beard, 1 surely one.

    Args:
        own: a face in the layout, RGB 0..1 (COARSE, COARSE, 3).
        shown: visibility of each part, 0 where something covers it, 0..1.
    """
    traits = beard_traits(own, shown)
    model = _model()
    odds = decision_traits(traits, shown) @ model.decision[:-1] + model.decision[-1]
    sure = smoothstep(*_DECIDED, odds)
    hair: Mask = np.zeros_like(shown)
    if not sure.any():
        return hair
    likeness = _hair_likeness(traits, model.hair)
    for zone, share in zip(_zones(), sure, strict=True):
        hair = np.maximum(hair, share * _fill_beard(likeness, zone))
    return hair


def beard_traits(own: NDArray[np.float32], shown: Mask) -> NDArray[np.float32]:
    """Return traits that differ between hair and skin, (COARSE, COARSE, 8).

    They are log units relative to the face's cheeks.
    """
    plan = layout(COARSE)
    logs = np.log(own + np.float32(FLOOR))
    sure = _cheeks() * shown > 0.5
    if sure.sum() < _FEW:
        sure = plan.skin * plan.centre > 0.5
    tone = luma(logs)
    red, blue = logs[..., 0] - tone, logs[..., 2] - tone
    fine, coarse = tone - blur(tone, 1.0), blur(tone, 1.0) - blur(tone, 2.5)
    rough = [np.log(blur(np.abs(band), 1.5) + np.float32(0.01)) for band in (fine, coarse)]
    off = [trait - np.median(trait[sure]) for trait in (tone, red, blue, *rough)]
    traits = np.clip(np.stack(off, axis=-1), -_MOST, _MOST)
    return np.concatenate([traits, np.abs(traits[..., :3])], axis=-1).astype(np.float32)


def decision_traits(traits: NDArray[np.float32], shown: Mask) -> NDArray[np.float32]:
    """Return the traits by which a face's beard is decided, (k,), averaged over both halves.

    A part hidden on one side is taken from the other; a part hidden on both is 0.
    """
    weights = shown[..., None] + np.float32(0.02)
    values, known = _cells(traits * weights), _cells(weights)
    both = known + known[:, ::-1]
    shared = (values + values[:, ::-1]) / both * np.clip(both, 0, 1)
    return np.asarray(shared[_ROWS, _COLUMNS].reshape(-1), np.float32)


def hair_traits(traits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the traits by which hair is distinguished from skin, (COARSE, COARSE, 8)."""
    return np.asarray(blur(traits, 2.0), np.float32)


def beard_rings() -> tuple[Mask, Mask, Mask]:
    """Return masks of the least extent of a moustache, a chin beard and a full beard."""
    points = layout_points(COARSE)
    moustache, chin, full = (
        fill_polygons([points[list(ring)]], COARSE) for ring in (_MOUSTACHE, _CHIN, _FULL)
    )
    return moustache, chin, np.maximum(full, np.maximum(moustache, chin))


def _cells(fields: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of square cells of a grid (COARSE, COARSE, k)."""
    count = COARSE // _CELL
    cells = fields.reshape(count, _CELL, count, _CELL, -1).mean(axis=(1, 3))
    return np.asarray(cells, np.float32)


def _hair_likeness(traits: NDArray[np.float32], weights: NDArray[np.float32]) -> Mask:
    """Return the probability that each part is hair, 0..1."""
    odds = blur(np.asarray(hair_traits(traits) @ weights[:-1], np.float32), 1.0) + weights[-1]
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def _fill_beard(likeness: Mask, zone: tuple[Mask, Mask]) -> Mask:
    """Return the mask of a whole beard: its ring, and strands of hair beside it."""
    ring, reach = zone
    usual = float((likeness * ring).sum() / ring.sum())
    strands = smoothstep(_HAIR[0] * usual, _HAIR[1] * usual, likeness) * reach
    grown = np.maximum(blur(ring, 1.0), strands)
    return np.asarray(np.clip(1.3 * blur(grown, 1.0), 0, 1), np.float32)


@cache
def _cheeks() -> Mask:
    """Return the mask of cheeks and nose, where no beard grows."""
    plan = layout(COARSE)
    rows = np.linspace(0, 1, COARSE, dtype=np.float32)[:, None]
    return np.asarray(smoothstep(*_CHEEKS, rows) * plan.skin * (1 - plan.forehead), np.float32)


@cache
def _zones() -> tuple[tuple[Mask, Mask], ...]:
    """Return two masks for each kind of beard: its ring, and the reach of strands beside it."""
    moustache, chin, full = beard_rings()
    rows = np.linspace(0, 1, COARSE, dtype=np.float32)[:, None]
    lower = smoothstep(*_LOWER, rows) * np.ones_like(full)
    both = np.maximum(moustache, chin)
    return (
        (moustache, np.clip(3 * blur(moustache, _REACH[0]), 0, 1) * lower),
        (both, np.clip(2.5 * blur(both, _REACH[1]), 0, 1) * lower),
        (full, lower),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """Weights of the regressions, the bias last.

    Attributes:
        decision: of the three kinds of beard, (k + 1, 3).
        hair: of the likeness to hair, (9,).
    """

    decision: NDArray[np.float32]
    hair: NDArray[np.float32]


@cache
def _model() -> _Model:
    with (
        files("engine.swappers.mesh").joinpath("beards.npz").open("rb") as file,
        np.load(file) as data,
    ):
        return _Model(data["decision"], data["hair"])
