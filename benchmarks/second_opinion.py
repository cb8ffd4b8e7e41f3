"""dlib's face recogniser, which the engine does not use; the extra `bench` brings it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.values import Bytes, Mesh

SAME_PERSON = 0.6
# Where the mesh has the five landmarks that dlib's alignment knows: outer and inner corner of the
# eye at the picture's right, the same at its left, and the base of the nose.
CORNERS = (263, 362, 33, 133, 2)
NETWORK = "models/dlib_face_recognition_resnet_model_v1.dat"


@dataclass(frozen=True, slots=True)
class Dlib:
    """King's ResNet: 128 numbers; two pictures of one person lie within 0.6."""

    module: Any
    network: Any

    @classmethod
    def load(cls) -> Dlib | None:
        """The recogniser, or None where the extra is not installed."""
        # The package of the weights imports what newer Pythons no longer have: only look at it.
        package = importlib.util.find_spec("face_recognition_models")
        if package is None or package.origin is None or importlib.util.find_spec("dlib") is None:
            return None
        import dlib  # noqa: PLC0415 - optional

        file = Path(package.origin).parent / NETWORK
        return cls(dlib, dlib.face_recognition_model_v1(str(file)))

    def describe(self, picture: Bytes, mesh: Mesh) -> NDArray[np.float64]:
        """Return the descriptor (128,) of the face in an RGB picture."""
        points = [self.module.point(*np.rint(mesh.points[n, :2]).astype(int)) for n in CORNERS]
        around = self.module.rectangle(0, 0, picture.shape[1], picture.shape[0])
        shape = self.module.full_object_detection(around, points)
        chip = self.module.get_face_chip(np.ascontiguousarray(picture), shape, 150, 0.25)
        return np.array(self.network.compute_face_descriptor(chip))


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(one - other))
