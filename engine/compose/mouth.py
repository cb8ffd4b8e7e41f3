"""The target's own mouth, lips and teeth and all, left as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.geometry.mesh_topology import OUTER_LIPS
from engine.pixels.raster import convex_hull, fill_polygons
from engine.pixels.tone import blur, resize_square, smoothstep
from engine.values import Aligned, Mask, Patch

_GRID = 128  # side of the grid that the mouth is drawn on
_SOFT = 0.09  # the blur's sigma, of the mouth's larger side
# Of the blurred mouth, from all of the swap to none: what is above the upper bound reaches as far
# as a sigma beyond the lips, and holds the corners of the mouth, where a blur leaves little.
_EDGE = (0.01, 0.12)
_SCORE_RAMP = (0.0, 0.5)  # the mesh's score, from a guess to a sure place
_DOUBT = 3.0  # how much wider the mouth is taken where its place is a guess


class MouthLimiter:
    """Satisfies `Limiter`: patches show but for the mouth, as the target's mesh has it.

    In profile the mesh is unsure, but the mouth is still near its lips: so a wider and softer part
    is left out there.
    """

    def masks(
        self,
        targets: Sequence[Aligned],
        patches: Sequence[Patch],  # noqa: ARG002 - as the contract has it
    ) -> list[Mask]:
        """A mask for each target, of its crop's size; the patches are not looked at."""
        return [_mask_without_mouth(target) for target in targets]


def _mask_without_mouth(target: Aligned) -> Mask:
    """0 on the lips and a little around them, 1 away from them."""
    size = len(target.pixels)
    lips = convex_hull(target.mesh[list(OUTER_LIPS)])
    scale = _GRID / size
    span = float(np.ptp(lips, axis=0).max()) * scale
    width = _DOUBT + (1 - _DOUBT) * float(smoothstep(*_SCORE_RAMP, target.score))
    near = blur(fill_polygons([lips], _GRID, scale), max(_SOFT * width * span, 0.5))
    return resize_square(1 - smoothstep(*_EDGE, near), size)
