"""Restorers of imported packs, such as GFPGAN, GPEN and CodeFormer."""

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
    """Enhancer that runs a restoration network; crops have the network's size.

    Args:
        network: description of the network.
        batches: its graph, of pictures (n, 3, size, size) and optionally a scalar, the fidelity.
        blend: strength of the restored face, 0..1.
        fidelity: from 0, the most restored, to 1, the closest to the input.

    `takes_fidelity` tells whether the network has a fidelity input.

    Raises:
        WeightsError: The network is no restorer.
    """

    def __init__(
        self, network: Network, batches: Batches, *, blend: float = 0.8, fidelity: float = 0.5
    ) -> None:
        if network.role != "restorer" or network.output_range is None:
            raise WeightsError(f"{network.name} cannot restore faces; its role is {network.role}.")
        self.name = network.name
        self.template = template_named(network.input.template)
        self.size = network.input.size
        self._input = network.input
        self._range = network.output_range
        self._batches = batches
        self._mask = np.float32(blend) * box_mask(self.size)
        self._mask.setflags(write=False)
        self._fidelity = fidelity
        self.takes_fidelity = any(spec.is_scalar for spec in batches.session.inputs)

    def enhance(self, targets: Sequence[Aligned]) -> list[Patch]:
        """Return a patch for each target; all go through the network in one batch.

        Its mask is a soft box of the value `blend`, and is read-only.

        Raises:
            ValueError: A crop's side is not `size`.
            RuntimeUnavailable: The network cannot be run, or its output is no picture.
        """
        if not targets:
            return []
        outputs = self._batches.run(*self.inputs(targets))
        return [
            Patch(self._pixels(output), self._mask, target.to_crop)
            for target, output in zip(targets, outputs, strict=True)
        ]

    def inputs(self, targets: Sequence[Aligned]) -> tuple[NDArray[Any], ...]:
        """Return the network's inputs for at least one target, in the network's order.

        Pictures are (n, 3, size, size).

        Raises:
            ValueError: A crop's side is not `size`.
        """
        pictures = self._input.tensor_of_crops([target.pixels for target in targets])
        # Published graphs differ in shape, type and position of the scalar input.
        return tuple(
            np.full([1] * len(spec.shape), self._fidelity, spec.dtype)
            if spec.is_scalar
            else pictures
            for spec in self._batches.session.inputs
        )

    def _pixels(self, output: Tensor) -> Pixels:
        return to_rgb(np.ascontiguousarray(output.transpose(1, 2, 0)), self._range, self.name)
