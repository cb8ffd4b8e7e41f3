#!/usr/bin/env python3
"""Rebuild the modes of expression that `engine/geometry/shape.py` separates from identity.

    python scripts/build_expression.py             # write engine/geometry/expression.npz
    python scripts/build_expression.py --check     # compare with the file, write nothing

The landmarks of the synthetic people of `openpeople` (sixteen expressions, a portrait and a selfie
of each of ten persons) are turned to the front. A person's differences from their own face at rest
are expression, and so are the mirror images of these; their strongest principal components are the
modes. `share` is the part of a difference along a mode that is expression: expression's variance
over that of expression and of differences between two persons.

Needs the packages of the group `dev`. On one machine the file's bytes are the same each time. On
another the networks' and the decomposition's last bits may differ, so the check compares values.
"""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import numpy as np
from canonical_face import npz_bytes
from numpy.typing import NDArray
from people import Person, people, read

from engine.faces.analyser import FaceAnalyser
from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork
from engine.faces.yunet import YuNet
from engine.geometry.mesh_topology import face_mesh
from engine.geometry.shape import to_frontal
from engine.options import AnalysisOptions
from engine.runtime.session import Session
from engine.values import Bytes, Colour, Frame, PixelFormat, Points
from engine.weights.weight_store import WeightStore

OUTPUT = Path(__file__).resolve().parent.parent / "engine" / "geometry" / "expression.npz"
MODES = 10
TOLERANCE = 1e-3  # of a mode's unit length, and of a share

Shapes = NDArray[np.float64]  # (n, 468, 3), turned to the front, in the template's unit square


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One person's frontal shapes: expressions (16, 468, 3), portrait and selfie (468, 3)."""

    expressions: Shapes
    portrait: NDArray[np.float64]
    selfie: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """`modes` (k, 468, 3) float32, orthonormal as rows of (k, 1404); `share` (k,) float32, 0..1."""

    modes: NDArray[np.float32]
    share: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        return npz_bytes({"modes": self.modes, "share": self.share})

    @classmethod
    def from_bytes(cls, data: bytes) -> Expression:
        with np.load(io.BytesIO(data)) as arrays:
            return cls(arrays["modes"], arrays["share"])

    def distance(self, other: Expression) -> float:
        """Return the largest difference of modes, up to their signs, or of shares; inf by shape."""
        if self.modes.shape != other.modes.shape:
            return float("inf")
        gaps = [
            min(float(np.linalg.norm(a - b)), float(np.linalg.norm(a + b)))
            for a, b in zip(self.modes, other.modes, strict=True)
        ]
        return max(*gaps, float(np.abs(self.share - other.share).max()))


def analyser() -> FaceAnalyser:
    """Detector and landmark networks as the engine composes them, and nothing else."""
    store = WeightStore()
    names = ("yunet", "face_mesh_478", "face_mesh")
    detector, attentive, plain = (Session(store.path(name)) for name in names)
    meshes = FallbackMeshNetwork(FaceMeshNetwork(attentive), FaceMeshNetwork(plain))
    return FaceAnalyser(YuNet(detector), meshes, None, None, AnalysisOptions())


def picture_frame(picture: Bytes) -> Frame:
    """Return an RGB picture as a frame of three planes."""
    planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3))
    form, colour = PixelFormat("gbrp", "rgb", 8), Colour(matrix="rgb", full_range=True)
    return Frame(0, 0, Fraction(1, 25), planes, form, colour)


def largest_mesh(picture: Bytes, faces: FaceAnalyser, name: str) -> Points:
    """Return the largest face's landmarks in the picture's pixels, (468, 3).

    Raises:
        LookupError: no face is found.
    """
    found = faces.analyse_picture(picture_frame(picture))
    if not found:
        raise LookupError(f"{name} shows no face.")
    points: Points = max(found, key=lambda face: face.box.area).mesh.points
    return points


def frontal_shape(picture: Bytes, faces: FaceAnalyser, name: str) -> NDArray[np.float64]:
    """Return the largest face's frontal landmarks, (468, 3); raise as `largest_mesh` does."""
    return to_frontal(largest_mesh(picture, faces, name))[0].astype(np.float64)


def shown(person: Person, faces: FaceAnalyser) -> Shown:
    expressions = [
        frontal_shape(cell, faces, f"{person.name} {name}")
        for name, cell in person.expressions().items()
    ]
    return Shown(
        np.array(expressions),
        frontal_shape(read(person.portrait), faces, str(person.portrait)),
        frontal_shape(read(person.selfie), faces, str(person.selfie)),
    )


def deviations(person: Shown) -> Shapes:
    """Return the motion of a face: expressions and selfie, less the face at rest; (17, 468, 3).

    The rest is between the portrait, which may smile, and the median of the expressions.
    """
    rest = (np.median(person.expressions, axis=0) + person.portrait) / 2
    return np.concatenate([person.expressions, person.selfie[None]]) - rest


def learn(persons: list[Shown], count: int = MODES) -> Expression:
    """Return the `count` strongest modes, strongest first; the largest part of each is positive."""
    done = np.concatenate([deviations(person) for person in persons])
    mirrored = (done * (-1, 1, 1))[:, face_mesh().mirror]
    rows = np.concatenate([done, mirrored]).reshape(2 * len(done), -1)
    _, sizes, components = np.linalg.svd(rows, full_matrices=False)
    modes = components[:count]
    largest = np.abs(modes).argmax(axis=1)
    modes *= np.sign(modes[np.arange(len(modes)), largest])[:, None]
    variance = sizes[:count] ** 2 / len(rows)
    portraits = np.array([person.portrait.reshape(-1) for person in persons])
    between = np.array([one - other for one, other in permutations(portraits, 2)])
    of_persons = ((between @ modes.T) ** 2).mean(axis=0)
    share = variance / (variance + of_persons)
    return Expression(
        modes.reshape(-1, *done.shape[1:]).astype(np.float32), share.astype(np.float32)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild the modes of expression.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write or check")
    options = parser.parse_args()
    faces = analyser()
    made = learn([shown(person, faces) for person in people()])
    known = Expression.from_bytes(options.output.read_bytes()) if options.output.is_file() else None
    distance = float("inf") if known is None else made.distance(known)
    if not options.check:
        options.output.write_bytes(made.to_bytes())
    print(f"{options.output}: {len(made.modes)} modes, off by {distance:.2g} from the file before")
    return 1 if options.check and distance > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
