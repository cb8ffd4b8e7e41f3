"""What swapping networks take of the person to put in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from engine.errors import WeightsError
from engine.geometry.affine import fit_similarity
from engine.geometry.templates import in_pixels, template_named
from engine.pixels.align import warp_crop
from engine.runtime.batches import Batches
from engine.runtime.session import Session, Tensor
from engine.values import Embedding, Face, Points, Portrait
from engine.weights.manifest import InputSpec

EMBEDDER: Final = "w600k_r50"  # whose space all of the packs' swappers were trained in
_LENGTH = 512
_MIN_LENGTH = 1e-5  # a length that the rounding of vectors of unit length may leave


class SourceEncoder(Protocol):
    """Finds who is shown, and says it as a network wants to be told.

    Between the two steps an identity may be moved towards another, see `mixed`; that of a network
    that looks at the picture itself may not.
    """

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        """Who one or more portraits of one person show.

        Raises:
            WeightsError: an embedding is needed, and a portrait's face has another one or none.
        """
        ...

    def codes(self, identities: Tensor) -> Tensor:
        """What the network takes of each of n >= 1 identities (n, ...), as (n, ...)."""
        ...


@dataclass(frozen=True, slots=True)
class _EmbeddingEncoder:
    """ArcFace's embeddings, (n, 512) of unit length, as they are."""

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        return mean_embedding(portraits)

    def codes(self, identities: Tensor) -> Tensor:
        return identities


EMBEDDING_ENCODER: Final[SourceEncoder] = _EmbeddingEncoder()


@dataclass(frozen=True, slots=True, eq=False)
class EmapEncoder:
    """The embeddings in inswapper's own space, (n, 512) of unit length.

    As InsightFace's `INSwapper.get` has it; FaceFusion leaves out the second normalisation. `emap`
    is (512, 512).
    """

    emap: Tensor

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        return mean_embedding(portraits)

    def codes(self, identities: Tensor) -> Tensor:
        return _normalise(identities @ self.emap)


@dataclass(frozen=True, slots=True, eq=False)
class CropEncoder:
    """The face cut out of the first portrait as `spec` says, (3, side, side).

    `points` tells the five points (5, 2) that a face is aligned by.
    """

    spec: InputSpec
    points: Callable[[Face], Points]

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        return self.picture(portraits[0])

    def codes(self, identities: Tensor) -> Tensor:
        return identities

    def picture(self, portrait: Portrait) -> Tensor:
        """One portrait's face as the network's input, (3, side, side)."""
        size = self.spec.size
        goal = in_pixels(template_named(self.spec.template), size)
        to_crop = fit_similarity(self.points(portrait.face), goal)
        crop = warp_crop(portrait.pixels, to_crop, size)
        tensor: Tensor = self.spec.tensor([np.rint(crop * 255).astype(np.uint8)])[0]
        return tensor


@dataclass(frozen=True, slots=True, eq=False)
class ConverterEncoder:
    """ArcFace's answers as another network's, (n, 512), of unit length if `unit`.

    The converters were trained on ArcFace's answers as they come, before they are brought to unit
    length: so the portraits are read anew, and their mean is taken as it is. That is done once; the
    converter is asked for every target whose identity is mixed in, by several threads.
    """

    embedder: Session
    crop: CropEncoder
    converter: Batches
    unit: bool

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        answers = [self.embedder.run(self.crop.picture(one)[None])[0][0] for one in portraits]
        mean: Tensor = np.mean(answers, axis=0)
        return mean

    def codes(self, identities: Tensor) -> Tensor:
        converted = self.converter.run(identities)
        return _normalise(converted) if self.unit else converted


def mean_embedding(portraits: Sequence[Portrait]) -> Tensor:
    """The mean of the portraits' ArcFace embeddings, (512,) brought to unit length.

    Raises:
        WeightsError: a face has none, or one of another length.
    """
    found = [
        require_arcface_embedding(
            portrait.face.embedding, f"the portrait {portrait.name}", f"analyse it with {EMBEDDER}"
        )
        for portrait in portraits
    ]
    return _normalise(np.mean(found, axis=0))


def require_arcface_embedding(found: Embedding | None, whose: str, remedy: str) -> Embedding:
    """An embedding that is to be ArcFace's, (512,).

    Raises:
        WeightsError: it is none, or of another length; the sentence ends with the remedy.
    """
    if found is None or found.shape != (_LENGTH,):
        has = "none" if found is None else f"one of {found.size}"
        raise WeightsError(
            f"The swapper needs the embedding of {_LENGTH} numbers that {EMBEDDER} gives, and "
            f"{whose} has {has}; {remedy}."
        )
    return found


def mix_identities(identities: Tensor, others: Tensor, weight: float) -> Tensor:
    """Identities (n, 512), each moved towards the one beside it in `others` (n, 512).

    Directions are mixed: `weight` of the identity's, and the rest of the other's; a weight over 1
    moves it away from the other. Lengths stay the identities'. Where the two parts take each other
    away, no direction is left, and the identity stays as it is.
    """
    directions = weight * _normalise(identities) + (1 - weight) * _normalise(others)
    cancelled = np.linalg.norm(directions, axis=-1, keepdims=True) < _MIN_LENGTH
    towards = _normalise(np.where(cancelled, identities, directions))
    moved: Tensor = np.linalg.norm(identities, axis=-1, keepdims=True) * towards
    return moved


def _normalise(vectors: Tensor) -> Tensor:
    """Vectors (..., d) brought to unit length."""
    unit: Tensor = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit.astype(np.float32, copy=False)
