"""MediaPipe's Face Mesh networks: 468 landmarks of a face in an upright square crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.faces.protocols import MeshLandmarker
from engine.faces.regions import Region
from engine.geometry import affine as maps
from engine.pixels.align import byte_crop, warp_crop
from engine.runtime.session import Session
from engine.values import Bytes, Frame, Mesh

_POINTS = 468
_DEFAULT_SIZE = 192  # if the graph's input has no fixed size
_MIN_SCORE = 0.5


class FaceMeshNetwork:
    """Either of MediaPipe's Face Mesh networks; the first 468 points are the same.

    The plain one takes 192 px (Kartynnik et al.: "Real-time Facial Surface Geometry from Monocular
    Video on Mobile GPUs", 2019). The one with attention takes 256 px (Grishchenko et al.:
    "Attention Mesh", 2020); it is slower, and better on lips and eyelids.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.size = session.inputs[0].shape[-1] or _DEFAULT_SIZE

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        """Return a mesh for each (size, size, 3) RGB crop, in its pixels; z in the same unit."""
        return [self._locate(crop) for crop in crops]

    def _locate(self, crop: Bytes) -> Mesh:
        blob = crop.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        blob *= np.float32(1 / 255)
        landmarks, score = self._session.run(blob)
        return Mesh(landmarks[0, :_POINTS].copy(), float(score[0, 0]))


class FallbackMeshNetwork:
    """Two mesh networks: the plain one replaces a mesh of low score of the one with attention.

    The network with attention is better on lips and eyelids, the plain one on profiles and in the
    dark.
    """

    def __init__(self, attentive: MeshLandmarker, plain: MeshLandmarker) -> None:
        self._attentive = attentive
        self._plain = plain
        self.size = attentive.size

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        """Return the better mesh for each (size, size, 3) RGB crop, in its pixels."""
        meshes = self._attentive.locate(crops)
        return [
            self._better(crop, mesh) if mesh.score < _MIN_SCORE else mesh
            for crop, mesh in zip(crops, meshes, strict=True)
        ]

    def _better(self, crop: Bytes, mesh: Mesh) -> Mesh:
        smaller = maps.rescale(self._plain.size / self.size)
        (other,) = self._plain.locate([warp_crop(crop, smaller, self._plain.size)])
        if other.score <= mesh.score:
            return mesh
        return Mesh(maps.apply(maps.invert(smaller), other.points), other.score)


def locate_in(frame: Frame, regions: Sequence[Region], landmarker: MeshLandmarker) -> list[Mesh]:
    """Return the mesh of the face in each region of a frame, in display space."""
    maps_to = [region.to_crop(landmarker.size) for region in regions]
    crops = [byte_crop(frame, to_crop, landmarker.size) for to_crop in maps_to]
    return [
        Mesh(maps.apply(maps.invert(to_crop), mesh.points), mesh.score)
        for mesh, to_crop in zip(landmarker.locate(crops), maps_to, strict=True)
    ]
