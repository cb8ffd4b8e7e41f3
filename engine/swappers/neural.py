"""Swappers that are networks of the packs: all of a face but its alignment is theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import RuntimeUnavailable, WeightsError
from engine.geometry.templates import template_named
from engine.runtime.batches import Batches
from engine.runtime.manifest import Network
from engine.runtime.session import Tensor
from engine.swappers.masks import face_mask
from engine.swappers.polyphase import join, phases, require_size
from engine.swappers.sources import Encoder
from engine.values import Aligned, Patch, Pixels, Portrait


class NeuralSwapper:
    """Satisfies `Swapper`; a crop's side is any whole multiple of the network's.

    Args:
        network: what is known of the network: its input, and the range of its answer.
        batches: its graph, of two inputs: pictures (n, 3, side, side), and a source for each.
        encode: makes the source of a portrait.

    `needs_embedding` tells whether a portrait's face must carry ArcFace's embedding.

    Raises:
        WeightsError: `network` is no swapper.
    """

    def __init__(self, network: Network, batches: Batches, encode: Encoder) -> None:
        if network.answer is None:
            raise WeightsError(f"{network.name} cannot swap faces; its role is {network.role}.")
        spec = network.input
        self.name = network.name
        self.template = template_named(spec.template)
        self._side = spec.size
        self._batches = batches
        self._encode = encode
        self._picture_first = batches.session.inputs[0].name == spec.name
        mean, std = np.array([spec.mean, spec.std], np.float32).reshape(2, 3, 1, 1)
        self._scale, self._shift = 255 / std, mean / std
        self._low, self._high = network.answer
        kind = network.source.kind if network.source else None
        self.needs_embedding = kind in ("latent", "embedding")

    def require_size(self, size: int) -> None:
        """Refuses a crop's side that is no whole multiple of the network's.

        Raises:
            ParameterError: it names the pixel boosts that the network can do.
        """
        require_size(size, self._side, self.name)

    def prepare(self, portrait: Portrait) -> Tensor:
        """What the network takes of the portrait.

        Raises:
            WeightsError: the network needs an embedding, and the face has another one or none.
        """
        return self._encode(portrait)

    def swap(self, targets: Sequence[Aligned], sources: Sequence[Tensor]) -> list[Patch]:
        """A patch for each target, of its crop's size; all go through the network together.

        Raises:
            ParameterError: a crop is no whole multiple of the network's side.
            RuntimeUnavailable: the network cannot be run, or its answer is no picture.
        """
        paired = [source for _, source in zip(targets, sources, strict=True)]
        answers = self._answers([target.pixels for target in targets], paired) if paired else ()
        return [
            Patch(self._picture(answer), face_mask(target), target.to_crop)
            for target, answer in zip(targets, answers, strict=True)
        ]

    def _answers(self, crops: Sequence[Pixels], sources: Sequence[Tensor]) -> Sequence[Tensor]:
        """For each crop the network's answer to each of its phases."""
        for crop in crops:
            self.require_size(crop.shape[0])
        counts = [(crop.shape[0] // self._side) ** 2 for crop in crops]
        ends = np.cumsum(counts)[:-1]
        pictures = np.empty((sum(counts), 3, self._side, self._side), np.float32)
        for part, crop in zip(np.split(pictures, ends), crops, strict=True):
            views = phases(crop, self._side)
            np.multiply(views, self._scale, out=part.reshape(views.shape))
        if self._shift.any():
            pictures -= self._shift
        repeated = np.repeat(np.stack(sources), counts, axis=0)
        pair = (pictures, repeated) if self._picture_first else (repeated, pictures)
        # Where there is a second output, it is a mask; FaceFusion does without it, too.
        return np.split(self._batches.run(*pair)[0], ends)

    def _picture(self, answer: Tensor) -> Pixels:
        """RGB 0..1 of the answers to a crop's phases.

        Raises:
            RuntimeUnavailable: they are not all numbers, as half precision may bring about.
        """
        crop = join(answer)
        if not np.isfinite(crop.sum()):
            raise RuntimeUnavailable(
                f"{self.name} answered with what is no picture (infinite or no number at all); "
                "use the precision fp32, or bring a good copy with `faceswap-engine weights "
                "import PATH`."
            )
        if (self._low, self._high) != (0, 1):
            crop -= np.float32(self._low)
            crop /= np.float32(self._high - self._low)
        return np.clip(crop, 0, 1, out=crop)
