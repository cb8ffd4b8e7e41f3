"""The parts of a face that a swap is to show on, told apart by a network."""

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

# The classes of CelebAMask-HQ in the order of the BiSeNet that was trained on them; ears, neck,
# clothes, hair, hat and the background are the others.
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
    """Satisfies `Limiter`: patches show on the chosen regions of the swapped face.

    Args:
        network: what is known of the network; its role is "parser".
        batches: its graph, from pictures to (n, 19, side, side), a score for each class.
        regions: at least one.

    Raises:
        WeightsError: `network` is no parser.
        ParameterError: `regions` is empty.
    """

    def __init__(self, network: Network, batches: Batches, regions: Sequence[FaceRegion]) -> None:
        if not regions:
            raise ParameterError(f"regions is empty; name one or more of {', '.join(_CLASSES)}.")
        self._ask = CropNetwork(network, batches, "parser")
        self._shown = frozenset(_CLASSES[region] for region in regions)

    def masks(
        self,
        targets: Sequence[Aligned],  # noqa: ARG002 - as the contract has it
        patches: Sequence[Patch],
    ) -> list[Mask]:
        """A mask for each patch, of its size; the targets are not looked at.

        Raises:
            RuntimeUnavailable: the network cannot be run, or its answer is no mask.
        """
        answers = self._ask([patch.pixels for patch in patches])
        return [
            soften_mask(self._of(scores), len(patch.pixels))
            for patch, scores in zip(patches, answers, strict=True)
        ]

    def _of(self, scores: Tensor) -> Mask:
        """1 where one of the regions has the best score of all, (side, side)."""
        # The best of either side is found ten times as fast as which one is the best of all.
        shown = [score for index, score in enumerate(scores) if index in self._shown]
        others = [score for index, score in enumerate(scores) if index not in self._shown]
        mask: Mask = (reduce(np.maximum, shown) > reduce(np.maximum, others)).astype(np.float32)
        return mask
