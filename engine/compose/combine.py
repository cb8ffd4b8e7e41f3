"""Limit patches by several limiters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from engine.compose.limiter import Limiter
from engine.values import Aligned, Mask, Patch


def limit_patches(
    targets: Sequence[Aligned], patches: Sequence[Patch], limiters: Sequence[Limiter]
) -> list[Patch]:
    """Limit each patch to the minimum of its own mask, its target's bare one and all limiters'.

    Each limiter sees the patches as they were given. A patch that nothing limits is returned
    unchanged.
    """
    limits = [limiter.masks(targets, patches) for limiter in limiters]
    return [
        _limit_patch(patch, masks if target.bare is None else (target.bare, *masks))
        for target, patch, *masks in zip(targets, patches, *limits, strict=True)
    ]


def _limit_patch(patch: Patch, masks: Sequence[Mask]) -> Patch:
    """Return the patch with the minimum of its own mask and `masks`."""
    return replace(patch, mask=reduce(np.minimum, masks, patch.mask)) if masks else patch
