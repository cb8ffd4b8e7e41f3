"""What swapping networks take of the person to put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from engine.errors import WeightsError
from engine.geometry.affine import fit_similarity
from engine.geometry.templates import in_pixels, template_named
from engine.pixels.align import warp_crop
from engine.runtime.manifest import InputSpec
from engine.runtime.session import Session, Tensor
from engine.values import Face, Points, Portrait

Encoder: TypeAlias = Callable[[Portrait], Tensor]

EMBEDDER: Final = "w600k_r50"  # whose space all of the packs' swappers were trained in
_LENGTH = 512


def embedding(portrait: Portrait) -> Tensor:
    """The face's ArcFace embedding, (512,) of unit length.

    Raises:
        WeightsError: the face has none, or one of another length.
    """
    found = portrait.face.embedding
    if found is None or found.shape != (_LENGTH,):
        has = "none" if found is None else f"one of {found.size}"
        raise WeightsError(
            f"The swapper needs the embedding of {_LENGTH} numbers that {EMBEDDER} gives, and the "
            f"portrait {portrait.name} has {has}; analyse it with {EMBEDDER}."
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """The embedding in inswapper's own space, (512,) of unit length.

    As InsightFace's `INSwapper.get` has it; FaceFusion leaves out the second normalisation. `emap`
    is (512, 512).
    """

    emap: Tensor

    def __call__(self, portrait: Portrait) -> Tensor:
        return _unit(_unit(embedding(portrait)) @ self.emap)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The face cut out of the portrait as `spec` says, (3, side, side).

    `points` tells the five points (5, 2) that a face is aligned by.
    """

    spec: InputSpec
    points: Callable[[Face], Points]

    def __call__(self, portrait: Portrait) -> Tensor:
        size = self.spec.size
        goal = in_pixels(template_named(self.spec.template), size)
        to_crop = fit_similarity(self.points(portrait.face), goal)
        crop = warp_crop(portrait.pixels, to_crop, size)
        tensor: Tensor = self.spec.tensor([np.rint(crop * 255).astype(np.uint8)])[0]
        return tensor


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """ArcFace's answer as another network's, (512,), of unit length if `unit`.

    The converters were trained on ArcFace's answers as they come, before they are brought to unit
    length: so the portrait is read anew.
    """

    embedder: Session
    crop: Cut
    converter: Session
    unit: bool

    def __call__(self, portrait: Portrait) -> Tensor:
        raw = self.embedder.run(self.crop(portrait)[None])[0]
        converted = self.converter.run(raw)[0][0]
        return _unit(converted) if self.unit else converted


def _unit(vector: Tensor) -> Tensor:
    return (vector / np.linalg.norm(vector)).astype(np.float32)
