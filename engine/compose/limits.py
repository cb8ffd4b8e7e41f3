"""What several limiters leave of patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from engine.compose.contract import Limiter
from engine.values import Aligned, Patch


def limited(
    targets: Sequence[Aligned], patches: Sequence[Patch], limiters: Sequence[Limiter]
) -> list[Patch]:
    """Each target's patch with the least of its own mask and all limiters', pixel by pixel.

    Every limiter is asked about the patches as they came. Without limiters they are the answer.
    """
    if not limiters:
        return list(patches)
    answers = [limiter.masks(targets, patches) for limiter in limiters]
    return [
        replace(patch, mask=reduce(np.minimum, masks, patch.mask))
        for patch, *masks in zip(patches, *answers, strict=True)
    ]
