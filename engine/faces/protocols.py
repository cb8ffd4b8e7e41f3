"""Protocols of the networks of an analyser. They take sequences, so that they may batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.faces.regions import Region
from engine.values import (
    Attributes,
    Bytes,
    Detection,
    Embedding,
    Face,
    Frame,
    Hand,
    Mesh,
    Template,
)


class Detector(Protocol):
    """Finds faces in pictures of any size."""

    def detect(self, images: Sequence[Bytes]) -> list[list[Detection]]:
        """Return the faces of each RGB picture, best score first, in its pixels; scores are 0..1.

        The pictures are views of one frame: scaled, with a border, turned.
        """
        ...


class MeshLandmarker(Protocol):
    """Finds the mesh of the face in upright square crops."""

    size: int

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        """Return a mesh for each (size, size, 3) RGB crop, in its pixels."""
        ...


class DenseLandmarker(Protocol):
    """Finds landmarks besides the mesh; faces that have them are aligned by them."""

    def add_landmarks(self, frame: Frame, faces: Sequence[Face]) -> list[Face]:
        """Return the faces of a frame with `landmarks`."""
        ...


class Embedder(Protocol):
    """Turns aligned crops into identity embeddings."""

    name: str
    size: int
    template: Template

    def embed(self, crops: Sequence[Bytes]) -> list[Embedding]:
        """Return a unit-length float32 embedding for each (size, size, 3) RGB crop."""
        ...


class AttributeReader(Protocol):
    """Estimates age, gender or race of the faces in a frame; it aligns the faces itself."""

    provides: frozenset[str]

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Return attributes for each face; fields not in `provides` are None."""
        ...


class HandDetector(Protocol):
    """Finds hands in square pictures."""

    size: int

    def detect(self, images: Sequence[Bytes]) -> list[list[Region]]:
        """Return the regions of hands in each (size, size, 3) RGB picture, best first.

        Regions are in the picture's pixels, turned so that the hand points up in them.
        """
        ...


class HandLandmarker(Protocol):
    """Finds the landmarks of a hand in square crops in which it points up."""

    size: int

    def locate(self, crops: Sequence[Bytes]) -> list[Hand]:
        """Return a hand for each (size, size, 3) RGB crop, in its pixels."""
        ...
