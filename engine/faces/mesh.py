"""MediaPipe's Face Mesh: 468 dense landmarks in an upright square crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.faces.contracts import Landmarker
from engine.faces.regions import Region
from engine.geometry import affine as maps
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Bytes, Frame, Mesh


class FaceMesh:
    """Kartynnik, Ablavatski, Grishchenko, Grundmann: "Real-time Facial Surface Geometry", 2019."""

    size = 192

    def __init__(self, session: Session) -> None:
        self._session = session

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        """A mesh for each (192, 192, 3) crop, in that crop's pixels; z in the same unit."""
        if not crops:
            return []
        images = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) / 255
        landmarks, scores = self._session.run(np.ascontiguousarray(images))
        return [
            Mesh(points, float(score))
            for points, score in zip(landmarks, scores[:, 0], strict=True)
        ]


def locate_in(frame: Frame, regions: Sequence[Region], landmarker: Landmarker) -> list[Mesh]:
    """The mesh of the face in each region of a frame, in display space."""
    maps_to = [region.to_crop(landmarker.size) for region in regions]
    crops = [byte_crop(frame, to_crop, landmarker.size) for to_crop in maps_to]
    return [
        Mesh(maps.apply(maps.invert(to_crop), mesh.points), mesh.score)
        for mesh, to_crop in zip(landmarker.locate(crops), maps_to, strict=True)
    ]
