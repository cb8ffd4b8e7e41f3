"""Swappers that are networks of the packs: all of a face but its alignment is theirs."""

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

# Families by how they are told of the source: only a vector can be weighted.
_WEIGHABLE = "inswapper, hyperswap, ghost, simswap or hififace"


class NeuralSwapper:
    """Satisfies `Swapper`; a crop's side is any whole multiple of the network's.

    Args:
        network: what is known of the network: its input, and the range of its answer.
        batches: its graph, of two inputs: pictures (n, 3, side, side), and a source for each.
        encode: makes the source of portraits.
        source_weight: from 0, the target's identity, over 1, the source's, to beyond it.

    `side` is the network's; `needs_embedding` tells whether a portrait's face must carry ArcFace's
    embedding, and `needs_target_embedding` whether a target must.

    Raises:
        WeightsError: `network` is no swapper.
        ParameterError: `source_weight` is not 1, and the network looks at the source's picture.
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
        if network.source is None or network.answer is None:
            raise WeightsError(f"{network.name} cannot swap faces; its role is {network.role}.")
        spec, kind = network.input, network.source.kind
        self.name = network.name
        self.template = template_named(spec.template)
        self.averages = kind != "portrait"
        self.needs_embedding = kind in ("latent", "embedding")
        self.needs_target_embedding = source_weight != 1
        if self.needs_target_embedding and kind == "portrait":
            raise ParameterError(
                f"source_weight is {source_weight:g}, and {self.name} looks at the source's "
                f"picture, which has no weight; allowed: 1, or another swapper ({_WEIGHABLE})."
            )
        self.side = spec.size
        self._batches = batches
        self._encode = encode
        self._weight = source_weight
        self._picture_first = batches.session.inputs[0].name == spec.name
        mean, std = np.array([spec.mean, spec.std], np.float32).reshape(2, 3, 1, 1)
        self._scale, self._shift = 255 / std, mean / std
        self._span = network.answer

    def require_size(self, size: int) -> None:
        """Refuses a crop's side that is no whole multiple of the network's.

        Raises:
            ParameterError: it names the pixel boosts that the network can do.
        """
        require_size(size, self.side, self.name)

    def prepare(self, portraits: Sequence[Portrait]) -> Tensor:
        """The portraits' identity, and where no target's is mixed in, as the network takes it.

        Raises:
            WeightsError: an embedding is needed, and a portrait's face has another one or none.
        """
        identity = self._encode.identity(portraits)
        return identity if self.needs_target_embedding else self._encode.codes(identity[None])[0]

    def swap(self, targets: Sequence[Aligned], sources: Sequence[Tensor]) -> list[Patch]:
        """A patch for each target, of its crop's size; all go through the network together.

        Raises:
            ParameterError: a crop is no whole multiple of the network's side.
            WeightsError: a target's embedding is needed, and it has another one or none.
            RuntimeUnavailable: the network cannot be run, or its answer is no picture.
        """
        paired = [source for _, source in zip(targets, sources, strict=True)]
        if not paired:
            return []
        # Where there is a second output, it is a mask; FaceFusion does without it, too.
        answers = self._batches.run(*self.inputs(targets, paired))
        ends = np.cumsum([self._phases(target) for target in targets])[:-1]
        return [
            Patch(
                to_rgb(join_phases(answer), self._span, self.name),
                face_mask(target),
                target.to_crop,
            )
            for target, answer in zip(targets, np.split(answers, ends), strict=True)
        ]

    def inputs(self, targets: Sequence[Aligned], sources: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the network is given for the targets, at least one: its inputs in its own order.

        A row is one phase of a target: pictures (n, 3, side, side) with all phases of the first
        target first, and the source (n, ...) of each.

        Raises:
            ParameterError: a crop is no whole multiple of the network's side.
            WeightsError: a target's embedding is needed, and it has another one or none.
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
        """What the network takes of each target's source."""
        if not self.needs_target_embedding:
            return np.stack(sources)
        remedy = f"analyse it with {EMBEDDER}, or set source_weight to 1"
        others = [
            require_arcface_embedding(target.embedding, "a target", remedy) for target in targets
        ]
        return self._encode.codes(mix_identities(np.stack(sources), np.stack(others), self._weight))
