"""Masks on coarse grids: facial features, skin without beard, and parts that stay the target's."""

from __future__ import annotations

import numpy as np

from engine.geometry.mesh_topology import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_EYE_CORNERS,
    LEFT_EYE_GAP,
    LEFT_LIDS,
    LEFT_ORBIT,
    NOSTRILS,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_EYE_CORNERS,
    RIGHT_EYE_GAP,
    RIGHT_LIDS,
    RIGHT_ORBIT,
    openness,
)
from engine.pixels.raster import convex_hull, fill_polygons
from engine.pixels.tone import Field, blur, luma, smoothstep
from engine.values import Mask, Points

_FEATURES = (LEFT_BROW, RIGHT_BROW, LEFT_LIDS, RIGHT_LIDS, OUTER_LIPS, NOSTRILS)
_BEARD = (
    *(177, 137, 123, 50, 36, 203, 98, 2, 327, 423, 266, 280, 352, 366, 401),
    *(397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172),
)
_DARK = (0.55, 0.95)  # log units below lit skin, from which a pixel is not skin
# Values of a blurred opening: its edge moves inwards, as the lashes are the source's.
_EDGE = (0.52, 0.97)
_CLOSING = (0.45, 0.8)  # openness relative to the source's, from closed to open
_EYES = (
    (LEFT_ORBIT, LEFT_EYE_GAP, LEFT_EYE_CORNERS),
    (RIGHT_ORBIT, RIGHT_EYE_GAP, RIGHT_EYE_CORNERS),
)


def eye_openings(points: Points) -> tuple[float, float]:
    """Return the openness of the left and the right eye: height over width."""
    left, right = (openness(points, gap, corners) for _, gap, corners in _EYES)
    return left, right


def feature_mask(points: Points, grid: int, scale: float = 1.0) -> Mask:
    """Return a mask (grid, grid) of brows, lids, lips and nostrils; `scale` maps points to it."""
    return fill_polygons((convex_hull(points[list(ring)]) for ring in _FEATURES), grid, scale)


def beardless_mask(points: Points, grid: int, scale: float) -> Mask:
    """Return a mask (grid, grid): 1 outside the beard area of jaw and lips, lower inside it."""
    beard = fill_polygons([points[list(_BEARD)]], grid, scale)
    return np.asarray(1 - 0.7 * blur(beard, grid / 32), np.float32)


def dark_parts(rest: Field, skin: Mask) -> Mask:
    """Return a mask of parts much darker than lit skin: hair, beards, objects.

    Args:
        rest: log RGB relative to the light, (h, w, 3).
        skin: where the layout has skin, 0..1 (h, w).
    """
    dark = smoothstep(*_DARK, -luma(rest)) * skin
    return np.asarray(np.clip(1.3 * blur(dark, rest.shape[0] / 36), 0, 1), np.float32)


def target_parts_mask(
    points: Points, own: Points, source_eyes: tuple[float, float], grid: int, scale: float
) -> Mask:
    """Return a mask (grid, grid) of the parts that stay the target's.

    These are the eyeballs, the inside of the mouth, and the lids of a closing eye.

    Args:
        points: the mesh as it is drawn.
        own: the target's own mesh, for the openness of its eyes.
        source_eyes: `eye_openings` of the source.
        grid: side of the mask.
        scale: scale from both meshes to the grid.
    """
    openings = (LEFT_EYE, RIGHT_EYE, INNER_LIPS)
    opened = fill_polygons((points[list(ring)] for ring in openings), grid, scale)
    mask = smoothstep(*_EDGE, blur(opened, grid * 0.01))
    for (ring, _, _), opening, usual in zip(_EYES, eye_openings(own), source_eyes, strict=True):
        closed = 1 - float(smoothstep(*_CLOSING, opening / max(usual, 0.05)))
        if closed > 0.02:
            lids = blur(fill_polygons([points[list(ring)]], grid, scale), grid * 0.02)
            mask = np.maximum(mask, closed * np.clip(1.3 * lids, 0, 1))
    return mask
