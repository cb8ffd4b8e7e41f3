"""What several limiters leave of patches."""

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
    """Each target's patch with the least of its own mask, its bare face's and all limiters'.

    Every limiter is asked about the patches as they came. Where nothing limits a patch, it is the
    answer.
    """
    answers = [limiter.masks(targets, patches) for limiter in limiters]
    return [
        _limit_patch(patch, masks if target.bare is None else (target.bare, *masks))
        for target, patch, *masks in zip(targets, patches, *answers, strict=True)
    ]


def _limit_patch(patch: Patch, masks: Sequence[Mask]) -> Patch:
    """Return the patch with the least of its own mask and `masks`, pixel by pixel."""
    return replace(patch, mask=reduce(np.minimum, masks, patch.mask)) if masks else patch
