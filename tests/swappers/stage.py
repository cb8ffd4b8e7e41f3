"""Analysed pictures of the synthetic people, and swaps, for the tests of swappers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from people import person

from engine.compose.paste import paste
from engine.faces.analyser import FaceAnalyser
from engine.geometry.shape import yaw
from engine.networks.pool import NetworkPool
from engine.options import PIXEL_BOOSTS, Compute, SwapOptions
from engine.pipeline.stages import align
from engine.pixels.planes import region_bytes
from engine.swappers.neural.network import NeuralSwapper
from engine.swappers.neural.pixel_boost import supports_size
from engine.swappers.swapper import Swapper
from engine.values import Aligned, Bytes, Embedding, Face, Frame, Patch, Pixels, Portrait, Rect
from engine.weights.weight_store import WeightStore
from tests.faces.pictures import frame_of, picture


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture and the face in it."""

    name: str
    picture: Bytes
    face: Face

    @property
    def frame(self) -> Frame:
        return frame_of(self.picture)

    @property
    def portrait(self) -> Portrait:
        return Portrait(self.name, (self.picture / np.float32(255)).astype(np.float32), self.face)

    @property
    def embedding(self) -> Embedding:
        assert self.face.embedding is not None
        return self.face.embedding

    def repainted(self, picture: Pixels) -> Shot:
        """Return the same face in other colours, RGB 0..1."""
        return replace(self, picture=np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))


@cache
def cell(who: str, expression: str) -> Bytes:
    """One cell of a person's sheet of expressions."""
    return np.ascontiguousarray(person(who).expressions()[expression])


@dataclass
class Stage:
    """Every picture is analysed, and every source prepared, once a session."""

    analyser: FaceAnalyser
    _shots: dict[tuple[str, str], Shot] = field(default_factory=dict)
    _sources: dict[tuple[str, str], Any] = field(default_factory=dict)

    def faces(self, image: Bytes) -> tuple[Face, ...]:
        return self.analyser.analyse_picture(frame_of(image))

    def shot(self, who: str, what: str = "portrait") -> Shot:
        """A person's portrait, one of their expressions, or them "turned" by some 60 degrees."""
        key = (who, what)
        if key not in self._shots:
            self._shots[key] = self._analysed(who, what)
        return self._shots[key]

    def _analysed(self, who: str, what: str) -> Shot:
        name = f"{who} {what}"
        if what == "turned":
            image = picture(who, "character_sheet", 1800)
            likely = (face for face in self.faces(image) if face.mesh.score > 0.9)
            turned = [face for face in likely if 50 < abs(yaw(face.mesh.points)) < 66]
            return Shot(name, image, max(turned, key=lambda face: face.box.area))
        image = picture(who, longest=700) if what == "portrait" else cell(who, what)
        return Shot(name, image, max(self.faces(image), key=lambda face: face.box.area))

    def source(self, swapper: Swapper[Any], who: str) -> Any:
        """Return a person's portrait, prepared."""
        key = (swapper.name, who)
        if key not in self._sources:
            self._sources[key] = swapper.prepare([self.portrait(swapper, who)])
        return self._sources[key]

    def portrait(self, swapper: Swapper[Any], who: str) -> Portrait:
        """Return a person's portrait with an embedding as long as the swapper wants it."""
        found = self.shot(who).portrait
        if isinstance(swapper, NeuralSwapper):
            longer = np.pad(self.shot(who).embedding, (0, 512 - 128))
            return replace(found, face=replace(found.face, embedding=longer))
        return found

    def result(self, swapper: Swapper[Any], who: str, target: Shot, size: int = 256) -> Shot:
        """Return a person's portrait swapped onto the target, and analysed anew."""
        frame = paste(target.frame, [patch_of(swapper, self.source(swapper, who), target, size)])
        image = region_bytes(frame, Rect(0, 0, *frame.size))
        (face,) = self.faces(image)
        return Shot(f"{who} on {target.name}", image, face)


def installed(packs: WeightStore, name: str, source_weight: float = 1.0) -> Swapper[Any]:
    """A swapper as the engine makes it."""
    networks = NetworkPool(packs, 1).on(Compute("cpu")).swapping
    return networks.choose(name, SwapOptions(pixel_boost=None, source_weight=source_weight)).swapper


def fitting(swapper: Swapper[Any], size: int) -> int:
    """Return the least side of a crop from this one up that the swapper can do."""
    if not isinstance(swapper, NeuralSwapper):
        return size
    return next(
        boost for boost in PIXEL_BOOSTS if boost >= size and supports_size(boost, swapper.side)
    )


def aligned(swapper: Swapper[Any], target: Shot, size: int = 256) -> Aligned:
    return align(target.frame, target.face, swapper.template, fitting(swapper, size))


def patch_of(swapper: Swapper[Any], source: Any, target: Shot, size: int = 256) -> Patch:
    (patch,) = swapper.swap([aligned(swapper, target, size)], [source])
    return patch


def blended(target: Aligned, patch: Patch) -> Pixels:
    """Return the crop with the patch in it."""
    shown: Pixels = target.pixels + patch.mask[..., None] * (patch.pixels - target.pixels)
    return shown
