"""What hides a face, such as hands, hair and cups, found by a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compose.networks import CropNetwork, softened
from engine.pixels.tone import resized
from engine.runtime.batches import Batches
from engine.runtime.manifest import Network, Weight
from engine.values import Mask, Pixels


class Occluder:
    """Finds where crops show a bare face, and where something is before it.

    Args:
        network: what is known of the network; its role is "occluder".
        batches: its graph, from pictures to (n, side, side, 1), 1 on what is seen of a face.
        exact: whether the answer is how much of each pixel the face is. Else it tells one from the
            other by its half, and masks get a soft edge (`softened`).

    Raises:
        WeightsError: `network` is no occluder.
    """

    def __init__(self, network: Network | Weight, batches: Batches, *, exact: bool = False) -> None:
        self._ask = CropNetwork(network, batches, "occluder")
        self._sized = resized if exact else softened

    def bare(self, crops: Sequence[Pixels]) -> list[Mask]:
        """Return a mask of each crop's side, 1 where the face is seen.

        Args:
            crops: RGB 0..1, square.

        Raises:
            RuntimeUnavailable: the network cannot be run, or its answer is no mask.
        """
        answers = self._ask(crops)
        return [
            self._sized(np.clip(answer[..., 0], 0, 1), len(crop))
            for answer, crop in zip(answers, crops, strict=True)
        ]
