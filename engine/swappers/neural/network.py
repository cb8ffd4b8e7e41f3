"""Swapping networks of imported packs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import ParameterError, WeightsError
from engine.geometry.templates import template_named
from engine.runtime.batches import Batches
from engine.runtime.image_outputs import to_rgb
from engine.runtime.session import Tensor
from engine.swappers.neural.crop_mask import face_mask
from engine.swappers.neural.pixel_boost import join_phases, require_size, split_phases
from engine.swappers.neural.source_encoding import (
    EMBEDDER,
    SourceEncoder,
    mix_identities,
    require_arcface_embedding,
)
from engine.values import Aligned, Patch, Portrait
from engine.weights.manifest import Network

# Families that take the source as a vector; only a vector can be weighted.
_WEIGHABLE = "inswapper, hyperswap, ghost, simswap or hififace"


class NeuralSwapper:
    """Swapper that runs a network; crops may have any multiple of the network's side.

    Args:
        network: description of the network.
        batches: its graph, of two inputs: pictures (n, 3, side, side), and a source for each.
        encode: encodes portraits as sources.
        source_weight: 0 for the target's identity, 1 for the source's, above 1 to exaggerate it.

    Attributes:
        side: side of the network's crops in pixels.
        needs_embedding: portraits' faces must carry ArcFace embeddings.
        needs_target_embedding: targets must carry ArcFace embeddings.

    Raises:
        WeightsError: The network is no swapper.
        ParameterError: `source_weight` is not 1, and the network takes the source as a picture.
    """

    draws_source = False

    def __init__(
        self,
        network: Network,
        batches: Batches,
        encode: SourceEncoder,
        *,
        source_weight: float = 1.0,
    ) -> None:
        if network.source is None or network.output_range is None:
            raise WeightsError(f"{network.name} cannot swap faces; its role is {network.role}.")
        spec, kind = network.input, network.source.kind
        self.name = network.name
        self.template = template_named(spec.template)
        self.averages = kind != "portrait"
        self.needs_embedding = kind in ("latent", "embedding")
        self.needs_target_embedding = source_weight != 1
        if self.needs_target_embedding and kind == "portrait":
            raise ParameterError(
                f"source_weight is {source_weight:g}, and {self.name} takes the source as a "
                f"picture, which has no weight; allowed: 1, or another swapper ({_WEIGHABLE})."
            )
        self.side = spec.size
        self._batches = batches
        self._encode = encode
        self._weight = source_weight
        self._picture_first = batches.session.inputs[0].name == spec.name
        mean, std = np.array([spec.mean, spec.std], np.float32).reshape(2, 3, 1, 1)
        self._scale, self._shift = 255 / std, mean / std
        self._range = network.output_range

    def require_size(self, size: int) -> None:
        """Raise a ParameterError unless `size` is a multiple of the network's side."""
        require_size(size, self.side, self.name)

    def prepare(self, portraits: Sequence[Portrait]) -> Tensor:
        """Return the encoded source; its identity if `source_weight` is not 1.

        Raises:
            WeightsError: A portrait's face lacks the ArcFace embedding that the network needs.
        """
        identity = self._encode.identity(portraits)
        return identity if self.needs_target_embedding else self._encode.codes(identity[None])[0]

    def swap(self, targets: Sequence[Aligned], sources: Sequence[Tensor]) -> list[Patch]:
        """Return a patch for each target, of its crop's size; all go through in one batch.

        Raises:
            ParameterError: A crop's side is no multiple of the network's.
            WeightsError: A target lacks the ArcFace embedding that a source weight needs.
            RuntimeUnavailable: The network cannot be run, or its output is no picture.
        """
        paired = [source for _, source in zip(targets, sources, strict=True)]
        if not paired:
            return []
        # A second output, if any, is a mask; like FaceFusion, do without it.
        outputs = self._batches.run(*self.inputs(targets, paired))
        ends = np.cumsum([self._phases(target) for target in targets])[:-1]
        return [
            Patch(
                to_rgb(join_phases(output), self._range, self.name),
                face_mask(target),
                target.to_crop,
            )
            for target, output in zip(targets, np.split(outputs, ends), strict=True)
        ]

    def inputs(self, targets: Sequence[Aligned], sources: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the network's inputs for at least one target, in the network's order.

        A row is one phase of a target, the phases of the first target first: pictures
        (n, 3, side, side), and the source (n, ...) of each.

        Raises:
            ParameterError: A crop's side is no multiple of the network's.
            WeightsError: A target lacks the ArcFace embedding that a source weight needs.
        """
        for target in targets:
            self.require_size(target.pixels.shape[0])
        counts = [self._phases(target) for target in targets]
        pictures = np.empty((sum(counts), 3, self.side, self.side), np.float32)
        parts = np.split(pictures, np.cumsum(counts)[:-1])
        for part, target in zip(parts, targets, strict=True):
            views = split_phases(target.pixels, self.side)
            np.multiply(views, self._scale, out=part.reshape(views.shape))
        if self._shift.any():
            pictures -= self._shift
        codes = np.repeat(self._codes(targets, sources), counts, axis=0)
        return (pictures, codes) if self._picture_first else (codes, pictures)

    def _phases(self, target: Aligned) -> int:
        count: int = (target.pixels.shape[0] // self.side) ** 2
        return count

    def _codes(self, targets: Sequence[Aligned], sources: Sequence[Tensor]) -> Tensor:
        """Return the encoded source of each target."""
        if not self.needs_target_embedding:
            return np.stack(sources)
        remedy = f"analyse it with {EMBEDDER}, or set source_weight to 1"
        others = [
            require_arcface_embedding(target.embedding, "a target", remedy) for target in targets
        ]
        return self._encode.codes(mix_identities(np.stack(sources), np.stack(others), self._weight))
