"""InsightFace's dense landmark networks: 106 points in the plane, or 68 in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.faces.imported import box_to_crop, run_batch
from engine.geometry import affine as maps
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Bytes, Face, Frame, Landmarks, LandmarkScheme, Points
from engine.weights.manifest import InputSpec

_COUNTS: dict[LandmarkScheme, int] = {"2d106": 106, "3d68": 68}


class DenseLandmarks:
    """The networks 2d106det and 1k3d68, which take an upright crop around a face's box.

    1k3d68 returns 1,103 points in space; the last 68 are those of iBUG's 300-W.
    """

    def __init__(self, session: Session, input: InputSpec, scheme: LandmarkScheme) -> None:  # noqa: A002
        self._session = session
        self._input = input
        self.scheme = scheme
        self.size = input.size

    def add_landmarks(self, frame: Frame, faces: Sequence[Face]) -> list[Face]:
        """Return the faces of a frame with `landmarks`, in display space."""
        boxes = [box_to_crop(face.box, self.size) for face in faces]
        found = self.locate([byte_crop(frame, to_crop, self.size) for to_crop in boxes])
        return [
            replace(face, landmarks=Landmarks(self.scheme, maps.apply(maps.invert(box), points)))
            for face, box, points in zip(faces, boxes, found, strict=True)
        ]

    def locate(self, crops: Sequence[Bytes]) -> list[Points]:
        """Return the landmarks, (106, 2) or (68, 3), in the pixels of each (size, size, 3) crop."""
        if not crops:
            return []
        raw = run_batch(self._session, self._input.tensor(crops))
        points = raw.reshape(len(crops), -1, int(self.scheme[0]))[:, -_COUNTS[self.scheme] :]
        # The network's unit is half the crop's side; its origin is the crop's centre.
        points = points * np.float32(self.size // 2)
        points[..., :2] += self.size // 2
        return list(points)
