"""Measure how well a mesh fits its detection; in profile it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.geometry.boxes import box_of
from engine.geometry.shape import face_angle
from engine.pixels.tone import smoothstep
from engine.values import Face

# Distance of the eyes over the root of the box's area in a frontal face: median of 300 pictures.
_EYES_APART = 0.40
# Degrees from the camera between which trust falls to 0. Beyond, the mesh leaves the silhouette.
_TURNED = (57.0, 62.0)
# Distance of the mesh's centre from the box's, of the mesh's size: 0.05 at most in 99 of 100
# pictures.
_ASIDE = (0.11, 0.15)


@dataclass(frozen=True, slots=True)
class MeshFit:
    """Fit of a mesh to its face.

    Attributes:
        turned: the angle between the face's direction and the camera, in degrees.
        facing: 1 for a face that is turned so little that its mesh fits, 0 in profile.
        shape: 1 for a mesh that lies where the face was detected, 0 for one beside it.
        score: score of the mesh, 0..1.
    """

    turned: float
    facing: float
    shape: float
    score: float

    @property
    def trust(self) -> float:
        """Trust that the mesh can draw the face, 0..1."""
        return self.score * (self.facing * self.shape)

    @property
    def turn_limits(self) -> bool:
        """True if the turn of the face lowers the trust more than anything else does."""
        return self.facing < min(self.shape, self.score)


def turned_away(face: Face) -> float:
    """Return the angle in degrees between a face's direction and the camera, 0 or more.

    The mesh alone underestimates profiles, as the network draws them half frontal. The distance of
    the detected eyes, which falls with the cosine, does not.
    """
    five, box = face.detection.points, face.box
    apart = float(np.linalg.norm(five[1] - five[0])) / max(float(np.sqrt(box.area)), 1e-6)
    by_eyes = float(np.degrees(np.arccos(min(apart / _EYES_APART, 1.0))))
    return max(face_angle(face), by_eyes)


def mesh_trust(face: Face, size: tuple[int, int]) -> float:
    """Return how well a face can be drawn by its mesh, 0..1: the mesh's score, and 0 in profile.

    Args:
        face: a face in a picture.
        size: the picture's width and height. Mesh and box are not compared if the picture's border
            cuts the face, as a box ends there and a mesh does not.
    """
    return mesh_fit(face, size).trust


def mesh_fit(face: Face, size: tuple[int, int]) -> MeshFit:
    """Return how well a mesh fits its face; the arguments are those of `mesh_trust`."""
    turned = turned_away(face)
    facing = 1 - float(smoothstep(*_TURNED, turned))
    shape = 1.0 if _is_cut(face, size) else 1 - float(smoothstep(*_ASIDE, _aside(face)))
    return MeshFit(turned, facing, shape, face.mesh.score)


def _is_cut(face: Face, size: tuple[int, int]) -> bool:
    mesh, (width, height) = box_of(face.mesh.points[:, :2]), size
    return mesh.left < 0 or mesh.top < 0 or mesh.right > width - 1 or mesh.bottom > height - 1


def _aside(face: Face) -> float:
    """Return the distance of the centres of mesh and box along the eyes, of the mesh's size."""
    mesh, box = box_of(face.mesh.points[:, :2]), face.box
    off = np.array((mesh.left + mesh.right - box.left - box.right, mesh.top + mesh.bottom))
    off[1] -= box.top + box.bottom
    left, right = face.detection.points[:2].astype(np.float64)
    along = (right - left) / max(float(np.linalg.norm(right - left)), 1e-6)
    return abs(float(off @ along)) / 2 / max(float(np.sqrt(mesh.area)), 1e-6)
