"""Regions: the squares around faces and hands from which landmark networks take their crops.

As in MediaPipe's face landmark graphs, a region is 1.5 times as wide as the face and turned
upright. MediaPipe turns it by the line between the eyes; as that line vanishes in profile, the line
from forehead to chin is used as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.geometry import affine as maps
from engine.geometry.boxes import box_of
from engine.values import Affine, Detection, Face, Mesh, Points

# Outer corners of the eyes in the mesh, at the picture's left and right; forehead and chin.
_LEFT_EYE, _RIGHT_EYE, _TOP, _CHIN = 33, 263, 10, 152
_ZOOM = 1.5


@dataclass(frozen=True, slots=True)
class Region:
    """Square in display space: centre, side, and its rotation in radians."""

    x: float
    y: float
    side: float
    angle: float

    def to_crop(self, size: int) -> Affine:
        """Return the map from display space to a crop of `size` pixels a side, edges on edges."""
        scale = size / self.side
        cos, sin = scale * np.cos(self.angle), scale * np.sin(self.angle)
        linear = np.array([[cos, sin], [-sin, cos]])
        return np.column_stack([linear, (size - 1) / 2 - linear @ [self.x, self.y]])

    def transform(self, motion: Affine) -> Region:
        """Return the region mapped by a similarity."""
        x, y = maps.apply(motion, np.array([[self.x, self.y]]))[0].tolist()
        side, angle = self.side * maps.scale_of(motion), self.angle + maps.angle_of(motion)
        return Region(x, y, side, angle)


def region_around_detection(detection: Detection) -> Region:
    """Return the region in which to look for the landmarks of a detected face."""
    box, points = detection.box, detection.points
    left, right = points[0], points[1]
    return Region(
        (box.left + box.right) / 2,
        (box.top + box.bottom) / 2,
        _ZOOM * max(box.width, box.height),
        _angle(left, right, (left + right) / 2, (points[3] + points[4]) / 2),
    )


def region_around_mesh(mesh: Mesh) -> Region:
    """Return the region in which to look for a face that had this mesh before."""
    angle = _angle(*mesh.points[[_LEFT_EYE, _RIGHT_EYE, _TOP, _CHIN]])
    level = Region(0.0, 0.0, 1.0, angle).to_crop(1)
    box = box_of(maps.apply(level, mesh.points[:, :2]))
    middle = np.array([[(box.left + box.right) / 2, (box.top + box.bottom) / 2]])
    x, y = maps.apply(maps.invert(level), middle)[0]
    return Region(float(x), float(y), _ZOOM * max(box.width, box.height), angle)


def region_around_known(face: Face, detection: Detection) -> Region:
    """Return the region of a face of an earlier frame, moved to its new detection."""
    motion = maps.fit_similarity(face.detection.points, detection.points)
    return region_around_mesh(face.mesh).transform(motion)


def interpolate_region(first: Region, second: Region, share: float) -> Region:
    """Interpolate between two regions by `share`, 0..1; the rotation takes the shorter way."""
    turn = (second.angle - first.angle + np.pi) % (2 * np.pi) - np.pi
    return Region(
        first.x + share * (second.x - first.x),
        first.y + share * (second.y - first.y),
        first.side * (second.side / first.side) ** share,
        float(first.angle + share * turn),
    )


def regions_agree(one: Region, other: Region, tolerance: float) -> bool:
    """Tell whether centres and sides of two regions differ by at most `tolerance` of a side."""
    side = max(one.side, other.side)
    distance = float(np.hypot(one.x - other.x, one.y - other.y))
    return distance <= tolerance * side and abs(one.side - other.side) <= tolerance * side


def pointing_angle(wrist: Points, fingers: Points) -> float:
    """Return the rotation of a hand from pointing up, in radians; points are (2,)."""
    x, y = (fingers - wrist).tolist()
    return float(np.arctan2(x, -y))


def up_vector(angle: float) -> Points:
    """Return the unit vector (2,) that points up in a region with this rotation in radians."""
    return np.array([np.sin(angle), -np.cos(angle)], np.float32)


def _angle(left: Points, right: Points, top: Points, bottom: Points) -> float:
    across, down = right[:2] - left[:2], bottom[:2] - top[:2]
    return float(np.arctan2(across[1] - down[0], across[0] + down[1]))
