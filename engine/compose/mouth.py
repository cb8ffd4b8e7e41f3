"""Keep the target's own mouth, with its lips and teeth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.geometry.mesh_topology import OUTER_LIPS
from engine.pixels.raster import convex_hull, fill_polygons
from engine.pixels.tone import blur, resize_square, smoothstep
from engine.values import Aligned, Mask, Patch

_GRID = 128  # side of the grid on which the mouth is drawn
_SOFT = 0.09  # sigma of the blur, of the mouth's larger side
# Values of the blurred mouth between which the swap fades out. The upper one is reached one sigma
# beyond the lips, so that the corners of the mouth, where the blur is weak, are kept.
_EDGE = (0.01, 0.12)
_SCORE_RAMP = (0.0, 0.5)  # mesh scores between which `_DOUBT` falls to 1
_DOUBT = 3.0  # factor of the blur where the mesh is lost


class MouthLimiter:
    """Limiter that hides patches on the target's mouth, as located by its mesh.

    The lower the mesh's score, as in profile, the wider and softer the hidden part is.
    """

    def masks(
        self,
        targets: Sequence[Aligned],
        patches: Sequence[Patch],  # noqa: ARG002 - as the contract has it
    ) -> list[Mask]:
        """Return a mask for each target, of its crop's size; `patches` are not used."""
        return [_mask_without_mouth(target) for target in targets]


def _mask_without_mouth(target: Aligned) -> Mask:
    """Return a mask that is 0 on and near the lips, and 1 elsewhere."""
    size = len(target.pixels)
    lips = convex_hull(target.mesh[list(OUTER_LIPS)])
    scale = _GRID / size
    span = float(np.ptp(lips, axis=0).max()) * scale
    width = _DOUBT + (1 - _DOUBT) * float(smoothstep(*_SCORE_RAMP, target.score))
    near = blur(fill_polygons([lips], _GRID, scale), max(_SOFT * width * span, 0.5))
    return resize_square(1 - smoothstep(*_EDGE, near), size)
