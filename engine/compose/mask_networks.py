"""What limiters that are networks share: crops of any side go in, soft masks come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.errors import RuntimeUnavailable, WeightsError
from engine.pixels.tone import blur, resize_square
from engine.runtime.batches import Batches
from engine.runtime.portions import portions
from engine.runtime.session import Tensor
from engine.values import Mask, Pixels
from engine.weights.manifest import Network, Role, Weight

_GRID = 256  # side of the grid that masks are softened on
_SOFT = 5.0  # the blur's sigma there: FaceFusion's


class CropNetwork:
    """Asks a network about square crops of any side, as many of a call together as fit.

    Raises:
        WeightsError: the network's role is another one than `role`.
    """

    def __init__(self, network: Network | Weight, batches: Batches, role: Role) -> None:
        if network.role != role:
            raise WeightsError(
                f"{network.name} is no {role}; its role is {network.role}. Name another network, "
                "or auto."
            )
        self._name = network.name
        self._input = network.input
        self._batches = batches

    def __call__(self, crops: Sequence[Pixels]) -> Iterator[Tensor]:
        """The network's first answer to each crop, RGB 0..1; its next ones may be asked for later.

        Raises:
            RuntimeUnavailable: the network cannot be run, or answers what is no number.
        """
        size = self._input.size
        for part in portions([size for _ in crops]):
            yield from self._together([resize_square(crop, size) for crop in crops[part]])

    def _together(self, crops: Sequence[Pixels]) -> Tensor:
        answers = self._batches.run(self._input.tensor_of_crops(crops))
        if not np.isfinite(answers.sum()):
            raise RuntimeUnavailable(
                f"{self._name} answered with what is no mask (infinite or no number at all); "
                "bring a good copy with `faceswap-engine weights import PATH`."
            )
        return answers


def soften_mask(mask: Mask, size: int) -> Mask:
    """A square mask of any side with a soft edge inside of its own, on a (size, size) grid.

    As in FaceFusion: a Gaussian blur, and of that the upper half, stretched to 0..1. Here the edge
    is as wide in a large crop as in a small one, measured by the face: FaceFusion blurs by the
    crop's pixels.
    """
    soft = np.clip(2 * blur(resize_square(mask, _GRID), _SOFT) - 1, 0, 1)
    return resize_square(soft, size)
