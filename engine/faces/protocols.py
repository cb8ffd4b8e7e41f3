"""What the analyser is composed of. Sequences in, lists out: batching is theirs to use."""

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
        """Faces of each picture, best score first, in that picture's pixels."""
        ...


class MeshLandmarker(Protocol):
    """Finds the dense landmarks in upright square crops."""

    size: int

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        """A mesh for each (size, size, 3) crop, in that crop's pixels."""
        ...


class DenseLandmarker(Protocol):
    """Adds landmarks of another scheme than the mesh's, by which faces are then aligned."""

    def mark(self, frame: Frame, faces: Sequence[Face]) -> list[Face]:
        """The same faces of a frame with `landmarks`."""
        ...


class Embedder(Protocol):
    """Turns aligned crops into identity embeddings."""

    name: str
    size: int
    template: Template

    def embed(self, crops: Sequence[Bytes]) -> list[Embedding]:
        """A unit-length float32 embedding for each (size, size, 3) crop."""
        ...


class AttributeReader(Protocol):
    """Reads age, gender or race off the faces in a frame, aligning them as its networks need."""

    provides: frozenset[str]

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Attributes for each face; fields it does not provide are None."""
        ...


class HandDetector(Protocol):
    """Finds hands in square pictures."""

    size: int

    def detect(self, images: Sequence[Bytes]) -> list[list[Region]]:
        """Where the hands of each (size, size, 3) picture are, best first, in its pixels.

        A region is turned so that the hand points up in it.
        """
        ...


class HandLandmarker(Protocol):
    """Finds a hand's landmarks in square crops in which it points up."""

    size: int

    def locate(self, crops: Sequence[Bytes]) -> list[Hand]:
        """A hand for each (size, size, 3) crop, in that crop's pixels."""
        ...
