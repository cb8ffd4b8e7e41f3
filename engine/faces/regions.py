"""The square around a face or hand that a landmark network looks at, and how it follows it.

After MediaPipe's face landmark graphs: turned upright, as wide as one and a half times the face.
MediaPipe turns it by the line between the eyes alone; that line shrinks to nothing in profile, so
here the line from the forehead down counts, too.
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
    """A square in display space: centre, side, and the angle in radians by which it is turned."""

    x: float
    y: float
    side: float
    angle: float

    def to_crop(self, size: int) -> Affine:
        """The map from display space to the crop of `size` pixels a side, its edges on edges."""
        scale = size / self.side
        cos, sin = scale * np.cos(self.angle), scale * np.sin(self.angle)
        linear = np.array([[cos, sin], [-sin, cos]])
        return np.column_stack([linear, (size - 1) / 2 - linear @ [self.x, self.y]])

    def transform(self, motion: Affine) -> Region:
        """The region where a similarity takes it."""
        x, y = maps.apply(motion, np.array([[self.x, self.y]]))[0].tolist()
        side, angle = self.side * maps.scale_of(motion), self.angle + maps.angle_of(motion)
        return Region(x, y, side, angle)


def region_around_detection(detection: Detection) -> Region:
    """Where the landmark network should look for a face that a detector found."""
    box, points = detection.box, detection.points
    left, right = points[0], points[1]
    return Region(
        (box.left + box.right) / 2,
        (box.top + box.bottom) / 2,
        _ZOOM * max(box.width, box.height),
        _angle(left, right, (left + right) / 2, (points[3] + points[4]) / 2),
    )


def region_around_mesh(mesh: Mesh) -> Region:
    """Where the landmark network should look for a face of which it saw these landmarks."""
    angle = _angle(*mesh.points[[_LEFT_EYE, _RIGHT_EYE, _TOP, _CHIN]])
    level = Region(0.0, 0.0, 1.0, angle).to_crop(1)
    box = box_of(maps.apply(level, mesh.points[:, :2]))
    middle = np.array([[(box.left + box.right) / 2, (box.top + box.bottom) / 2]])
    x, y = maps.apply(maps.invert(level), middle)[0]
    return Region(float(x), float(y), _ZOOM * max(box.width, box.height), angle)


def region_around_known(face: Face, detection: Detection) -> Region:
    """Where to look for a known face that a detector found anew: its region, moved along."""
    motion = maps.fit_similarity(face.detection.points, detection.points)
    return region_around_mesh(face.mesh).transform(motion)


def interpolate_region(first: Region, second: Region, share: float) -> Region:
    """The region `share` (0..1) of the way from the first to the second, turning the short way."""
    turn = (second.angle - first.angle + np.pi) % (2 * np.pi) - np.pi
    return Region(
        first.x + share * (second.x - first.x),
        first.y + share * (second.y - first.y),
        first.side * (second.side / first.side) ** share,
        float(first.angle + share * turn),
    )


def regions_agree(one: Region, other: Region, tolerance: float) -> bool:
    """Whether two regions show one face: centres within `tolerance` of a side, sides likewise."""
    side = max(one.side, other.side)
    distance = float(np.hypot(one.x - other.x, one.y - other.y))
    return distance <= tolerance * side and abs(one.side - other.side) <= tolerance * side


def pointing_angle(wrist: Points, fingers: Points) -> float:
    """The angle in radians by which a hand is turned from pointing up; points are (2,)."""
    x, y = (fingers - wrist).tolist()
    return float(np.arctan2(x, -y))


def up_vector(angle: float) -> Points:
    """Where up is, as x and y, in what is turned by an angle."""
    return np.array([np.sin(angle), -np.cos(angle)], np.float32)


def _angle(left: Points, right: Points, top: Points, bottom: Points) -> float:
    across, down = right[:2] - left[:2], bottom[:2] - top[:2]
    return float(np.arctan2(across[1] - down[0], across[0] + down[1]))
