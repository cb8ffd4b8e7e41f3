"""Enhancers that are networks of the packs: they draw a face anew from what they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsError
from engine.geometry.templates import template_named
from engine.pixels.box_mask import box_mask
from engine.runtime.batches import Batches
from engine.runtime.image_outputs import to_rgb
from engine.runtime.session import Tensor
from engine.values import Aligned, Patch, Pixels
from engine.weights.manifest import Network


class Restorer:
    """Satisfies `Enhancer`; its crops have the network's side.

    Args:
        network: what is known of the network: its input, and the range of its answer.
        batches: its graph, of pictures (n, 3, size, size) and perhaps one setting, the fidelity.
        blend: how much of the answer shows, 0..1.
        fidelity: from 0, the network's own idea of the face, to 1, what it was shown.

    `takes_fidelity` tells whether the network has such a setting.

    Raises:
        WeightsError: `network` is no restorer.
    """

    def __init__(
        self, network: Network, batches: Batches, *, blend: float = 0.8, fidelity: float = 0.5
    ) -> None:
        if network.role != "restorer" or network.answer is None:
            raise WeightsError(f"{network.name} cannot restore faces; its role is {network.role}.")
        self.name = network.name
        self.template = template_named(network.input.template)
        self.size = network.input.size
        self._input = network.input
        self._span = network.answer
        self._batches = batches
        self._mask = np.float32(blend) * box_mask(self.size)
        self._mask.setflags(write=False)
        self._fidelity = fidelity
        self.takes_fidelity = any(spec.is_scalar for spec in batches.session.inputs)

    def enhance(self, targets: Sequence[Aligned]) -> list[Patch]:
        """A patch for each target; all go through the network together.

        Its mask is a soft box of the height `blend`, which is not to be written to.

        Raises:
            ValueError: a crop's side is not `size`.
            RuntimeUnavailable: the network cannot be run, or its answer is no picture.
        """
        if not targets:
            return []
        answers = self._batches.run(*self.inputs(targets))
        return [
            Patch(self._pixels(answer), self._mask, target.to_crop)
            for target, answer in zip(targets, answers, strict=True)
        ]

    def inputs(self, targets: Sequence[Aligned]) -> tuple[NDArray[Any], ...]:
        """What the network is given for the targets, at least one: its inputs in its own order.

        Pictures are (n, 3, size, size). Raises as `enhance` does.
        """
        pictures = self._input.tensor_of_crops([target.pixels for target in targets])
        # Published graphs differ in shape and type of the setting, and in which input it is.
        return tuple(
            np.full([1] * len(spec.shape), self._fidelity, spec.dtype)
            if spec.is_scalar
            else pictures
            for spec in self._batches.session.inputs
        )

    def _pixels(self, answer: Tensor) -> Pixels:
        return to_rgb(np.ascontiguousarray(answer.transpose(1, 2, 0)), self._span, self.name)
