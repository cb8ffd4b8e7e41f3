"""What hides a face, such as hands, hair and cups, found by a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compose.mask_networks import CropNetwork, soften_mask
from engine.geometry.mesh_topology import OVAL
from engine.pixels.raster import fill_polygons
from engine.pixels.tone import blur, resize_square, smoothstep
from engine.runtime.batches import Batches
from engine.values import Aligned, Mask
from engine.weights.manifest import Network, Weight

_REACH = 0.02  # of the crop's side, by which the answer counts beyond the face's outline
_TRUSTED = (0.02, 0.12)  # the mesh's score, from an outline that is lost to one that is known


class Occluder:
    """Finds where crops show a bare face, and where something is before it.

    Args:
        network: what is known of the network; its role is "occluder".
        batches: its graph, from pictures to (n, side, side, 1), 1 on what is seen of a face.
        within_face: whether the answer is how much of each pixel the face is, and means nothing
            beyond the face's outline. Else it tells a face from all else by its half, and masks
            get a soft edge (`softened`).

    Raises:
        WeightsError: `network` is no occluder.
    """

    def __init__(
        self, network: Network | Weight, batches: Batches, *, within_face: bool = False
    ) -> None:
        self._ask = CropNetwork(network, batches, "occluder")
        self._within_face = within_face

    def bare_masks(self, targets: Sequence[Aligned]) -> list[Mask]:
        """Return a mask of each crop's side, 1 where the face is seen.

        Raises:
            RuntimeUnavailable: the network cannot be run, or its answer is no mask.
        """
        answers = self._ask([target.pixels for target in targets])
        return [
            self._mask(np.clip(answer[..., 0], 0, 1), target)
            for answer, target in zip(answers, targets, strict=True)
        ]

    def _mask(self, answer: Mask, target: Aligned) -> Mask:
        size = len(target.pixels)
        if not self._within_face:
            return soften_mask(answer, size)
        return resize_square(np.maximum(answer, 1 - _near_face(target, len(answer))), size)


def _near_face(target: Aligned, side: int) -> Mask:
    """Return 1 on a face and close to it, 0 further off, (side, side); 0 where its mesh is lost."""
    trust = np.float32(smoothstep(*_TRUSTED, target.score))
    oval = fill_polygons([target.mesh[list(OVAL)]], side, side / len(target.pixels))
    return np.asarray(trust * np.clip(3 * blur(oval, _REACH * side), 0, 1), np.float32)
