"""What hides a face, such as hands, hair and cups, found by a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compose.networks import CropNetwork, softened
from engine.runtime.batches import Batches
from engine.runtime.manifest import Network
from engine.values import Aligned, Mask, Patch


class Occluder:
    """Satisfies `Limiter`: patches show where their targets show a bare face.

    Args:
        network: what is known of the network; its role is "occluder".
        batches: its graph, from pictures to (n, side, side, 1), 1 on what is seen of a face.

    Raises:
        WeightsError: `network` is no occluder.
    """

    def __init__(self, network: Network, batches: Batches) -> None:
        self._ask = CropNetwork(network, batches, "occluder")

    def masks(
        self,
        targets: Sequence[Aligned],
        patches: Sequence[Patch],  # noqa: ARG002 - as the contract has it
    ) -> list[Mask]:
        """A mask for each target, of its crop's size; the patches are not looked at.

        Raises:
            RuntimeUnavailable: the network cannot be run, or its answer is no mask.
        """
        answers = self._ask([target.pixels for target in targets])
        return [
            softened(np.clip(answer[..., 0], 0, 1), len(target.pixels))
            for target, answer in zip(targets, answers, strict=True)
        ]
