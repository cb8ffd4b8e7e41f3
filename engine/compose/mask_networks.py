"""Run mask networks on crops of any size, and soften their masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.errors import RuntimeUnavailable, WeightsError
from engine.pixels.tone import resize_square, soft_inside
from engine.runtime.batches import Batches
from engine.runtime.portions import portions
from engine.runtime.session import Tensor
from engine.values import Mask, Pixels
from engine.weights.manifest import Network, Role, Weight

_GRID = 256  # side of the grid on which masks are softened
_SOFT = 5.0  # sigma of the blur there, as in FaceFusion


class CropNetwork:
    """Runs a network on square crops of any size, in batches.

    Raises:
        WeightsError: The network's role is not `role`.
    """

    def __init__(self, network: Network | Weight, batches: Batches, role: Role) -> None:
        if network.role != role:
            raise WeightsError(
                f"{network.name} is not a network of the role {role}; its role is {network.role}. "
                "Name another network, or auto."
            )
        self._name = network.name
        self._input = network.input
        self._batches = batches

    def __call__(self, crops: Sequence[Pixels]) -> Iterator[Tensor]:
        """Yield the network's first output for each crop, RGB 0..1. Batches run as needed.

        Raises:
            RuntimeUnavailable: The network cannot be run, or its output is not finite.
        """
        size = self._input.size
        for part in portions([size for _ in crops]):
            yield from self._run_batch([resize_square(crop, size) for crop in crops[part]])

    def _run_batch(self, crops: Sequence[Pixels]) -> Tensor:
        outputs = self._batches.run(self._input.tensor_of_crops(crops))
        if not np.isfinite(outputs.sum()):
            raise RuntimeUnavailable(
                f"{self._name} returned a mask that is not finite (inf or NaN); import a good copy "
                "with `faceswap-engine weights import PATH`."
            )
        return outputs


def soften_mask(mask: Mask, size: int) -> Mask:
    """Return a square mask, resize_square to (size, size), with a soft edge inside its own.

    The edge is FaceFusion's, but its width is relative to the face; FaceFusion's is in pixels of
    the crop.
    """
    return resize_square(soft_inside(resize_square(mask, _GRID), _SOFT), size)
