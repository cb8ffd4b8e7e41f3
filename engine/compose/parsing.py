"""Limit patches to chosen regions of a face, found by a face parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final

import numpy as np

from engine.compose.mask_networks import CropNetwork, soften_mask
from engine.errors import ParameterError
from engine.options import FaceRegion
from engine.runtime.batches import Batches
from engine.runtime.session import Tensor
from engine.values import Aligned, Mask, Patch
from engine.weights.manifest import Network

# Classes of CelebAMask-HQ in the order of the BiSeNet trained on it. The others are ears, neck,
# clothes, hair, hat and background.
_CLASSES: Final[Mapping[FaceRegion, int]] = {
    "skin": 1,
    "left-eyebrow": 2,
    "right-eyebrow": 3,
    "left-eye": 4,
    "right-eye": 5,
    "glasses": 6,
    "nose": 10,
    "mouth": 11,
    "upper-lip": 12,
    "lower-lip": 13,
}


class RegionLimiter:
    """Limiter that shows patches on the chosen regions of the swapped face.

    Args:
        network: description of the network; its role must be "parser".
        batches: its graph, from pictures to class scores (n, 19, side, side).
        regions: regions on which patches show, at least one.

    Raises:
        WeightsError: The network's role is another one.
        ParameterError: `regions` is empty.
    """

    def __init__(self, network: Network, batches: Batches, regions: Sequence[FaceRegion]) -> None:
        if not regions:
            raise ParameterError(f"regions is empty; name one or more of {', '.join(_CLASSES)}.")
        self._run = CropNetwork(network, batches, "parser")
        self._shown = frozenset(_CLASSES[region] for region in regions)

    def masks(
        self,
        targets: Sequence[Aligned],  # noqa: ARG002 - as the contract has it
        patches: Sequence[Patch],
    ) -> list[Mask]:
        """Return a mask for each patch, of its size; `targets` are not used.

        Raises:
            RuntimeUnavailable: The network cannot be run, or its output is not finite.
        """
        outputs = self._run([patch.pixels for patch in patches])
        return [
            soften_mask(self._region_mask(scores), len(patch.pixels))
            for patch, scores in zip(patches, outputs, strict=True)
        ]

    def _region_mask(self, scores: Tensor) -> Mask:
        """Return a mask (side, side): 1 where a chosen region has the highest score."""
        # Two maxima are ten times as fast as an argmax over all classes.
        shown = [score for index, score in enumerate(scores) if index in self._shown]
        others = [score for index, score in enumerate(scores) if index not in self._shown]
        mask: Mask = (reduce(np.maximum, shown) > reduce(np.maximum, others)).astype(np.float32)
        return mask
