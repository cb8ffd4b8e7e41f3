"""Source encodings: a person as swapping networks take it."""

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

EMBEDDER: Final = "w600k_r50"  # the embedder that all swappers of the packs were trained with
_LENGTH = 512
_MIN_LENGTH = 1e-5  # shorter vectors are rounding errors of unit vectors that cancel


class SourceEncoder(Protocol):
    """Encodes portraits of one person for a network, in two steps: identity, then code.

    In between, an identity may be mixed with another (`mix_identities`), unless it is a picture.
    """

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        """Return the identity of one or more portraits of one person.

        Raises:
            WeightsError: A portrait's face lacks the ArcFace embedding that is needed.
        """
        ...

    def codes(self, identities: Tensor) -> Tensor:
        """Return the codes (n, ...) that the network takes for n >= 1 identities (n, ...)."""
        ...


@dataclass(frozen=True, slots=True)
class _EmbeddingEncoder:
    """Passes on ArcFace embeddings, (n, 512), of unit length."""

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        return mean_embedding(portraits)

    def codes(self, identities: Tensor) -> Tensor:
        return identities


EMBEDDING_ENCODER: Final[SourceEncoder] = _EmbeddingEncoder()


@dataclass(frozen=True, slots=True, eq=False)
class EmapEncoder:
    """Maps embeddings to inswapper's latents, (n, 512), of unit length.

    This follows InsightFace's `INSwapper.get`; FaceFusion omits the second normalisation. `emap` is
    the matrix (512, 512) in the network's file.
    """

    emap: Tensor

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        return mean_embedding(portraits)

    def codes(self, identities: Tensor) -> Tensor:
        return _normalise(identities @ self.emap)


@dataclass(frozen=True, slots=True, eq=False)
class CropEncoder:
    """Cuts the face out of the first portrait, (3, side, side).

    `spec` has the crop's size, scaling and template; `points` returns a face's five points (5, 2).
    """

    spec: InputSpec
    points: Callable[[Face], Points]

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        return self.picture(portraits[0])

    def codes(self, identities: Tensor) -> Tensor:
        return identities

    def picture(self, portrait: Portrait) -> Tensor:
        """Return a portrait's face as an input of the network, (3, side, side)."""
        size = self.spec.size
        goal = in_pixels(template_named(self.spec.template), size)
        to_crop = fit_similarity(self.points(portrait.face), goal)
        crop = warp_crop(portrait.pixels, to_crop, size)
        tensor: Tensor = self.spec.tensor([np.rint(crop * 255).astype(np.uint8)])[0]
        return tensor


@dataclass(frozen=True, slots=True, eq=False)
class ConverterEncoder:
    """Converts ArcFace embeddings to another network's, (n, 512), of unit length if `unit`.

    Converters were trained on ArcFace's raw output, not on unit vectors. So the portraits are
    embedded again, once, and the mean is not normalised.
    """

    embedder: Session
    crop: CropEncoder
    converter: Batches
    unit: bool

    def identity(self, portraits: Sequence[Portrait]) -> Tensor:
        raw = [self.embedder.run(self.crop.picture(one)[None])[0][0] for one in portraits]
        mean: Tensor = np.mean(raw, axis=0)
        return mean

    def codes(self, identities: Tensor) -> Tensor:
        converted = self.converter.run(identities)
        return _normalise(converted) if self.unit else converted


def mean_embedding(portraits: Sequence[Portrait]) -> Tensor:
    """Return the mean of the portraits' ArcFace embeddings, (512,), normalised.

    Raises:
        WeightsError: A face has no embedding, or one of another length.
    """
    found = [
        require_arcface_embedding(
            portrait.face.embedding, f"the portrait {portrait.name}", f"analyse it with {EMBEDDER}"
        )
        for portrait in portraits
    ]
    return _normalise(np.mean(found, axis=0))


def require_arcface_embedding(found: Embedding | None, whose: str, remedy: str) -> Embedding:
    """Return an embedding if it is ArcFace's, (512,).

    Raises:
        WeightsError: It is None, or of another length; the message names `whose` it is, and ends
            with `remedy`.
    """
    if found is None or found.shape != (_LENGTH,):
        has = "none" if found is None else f"one of {found.size}"
        raise WeightsError(
            f"The swapper needs the embedding of {_LENGTH} numbers that {EMBEDDER} gives, and "
            f"{whose} has {has}; {remedy}."
        )
    return found


def mix_identities(identities: Tensor, others: Tensor, weight: float) -> Tensor:
    """Mix identities (n, 512) with `others` (n, 512), row by row.

    Unit vectors are mixed: `weight` of the identity, and 1 - `weight` of the other. A weight above
    1 moves the identity away from the other. The length stays the identity's. If the two parts
    cancel, the identity is unchanged.
    """
    directions = weight * _normalise(identities) + (1 - weight) * _normalise(others)
    cancelled = np.linalg.norm(directions, axis=-1, keepdims=True) < _MIN_LENGTH
    towards = _normalise(np.where(cancelled, identities, directions))
    moved: Tensor = np.linalg.norm(identities, axis=-1, keepdims=True) * towards
    return moved


def _normalise(vectors: Tensor) -> Tensor:
    """Normalise vectors (..., d)."""
    unit: Tensor = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit.astype(np.float32, copy=False)
