"""Find what covers a face, such as hands, hair and cups, with a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compose.mask_networks import CropNetwork, soften_mask
from engine.pixels.face_oval import draw_oval, oval_trust
from engine.pixels.tone import blur, resize_square
from engine.runtime.batches import Batches
from engine.values import Aligned, Mask
from engine.weights.manifest import Network, Weight

_REACH = 0.02  # of the crop's side: how far the output is used beyond the face's oval


class Occluder:
    """Finds which parts of a face are bare in a crop, and which are covered.

    Args:
        network: description of the network; its role must be "occluder".
        batches: its graph, from pictures to masks (n, side, side, 1), 1 on bare parts of a face.
        within_face: True if the output is the bare share of each pixel, and is meaningless beyond
            the face's oval. False if values above 0.5 are a face and all else is not; masks then
            get a soft edge (`soften_mask`).

    Raises:
        WeightsError: The network's role is another one.
    """

    def __init__(
        self, network: Network | Weight, batches: Batches, *, within_face: bool = False
    ) -> None:
        self._run = CropNetwork(network, batches, "occluder")
        self._within_face = within_face

    def bare_masks(self, targets: Sequence[Aligned]) -> list[Mask]:
        """Return a mask for each crop, of its size: 1 where the face is bare.

        Raises:
            RuntimeUnavailable: The network cannot be run, or its output is not finite.
        """
        outputs = self._run([target.pixels for target in targets])
        return [
            self._mask(np.clip(output[..., 0], 0, 1), target)
            for output, target in zip(outputs, targets, strict=True)
        ]

    def _mask(self, bare: Mask, target: Aligned) -> Mask:
        size = len(target.pixels)
        if not self._within_face:
            return soften_mask(bare, size)
        return resize_square(np.maximum(bare, 1 - _near_face(target, len(bare))), size)


def _near_face(target: Aligned, side: int) -> Mask:
    """Return a mask (side, side): 1 on and near a face, 0 elsewhere; 0 if its mesh is lost."""
    oval = draw_oval(target, side)
    near = np.clip(3 * blur(oval, _REACH * side), 0, 1)
    return np.asarray(np.float32(oval_trust(target.score)) * near, np.float32)
