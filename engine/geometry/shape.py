"""Face shape of a mesh, separated from head pose and expression.

A rigid fit to the canonical face makes a mesh frontal. The frontal meshes of two persons differ by
identity and by expression. Along each strong mode of expression (jaw, smile, brows), a share of the
difference is attributed to expression: the variance of expressions over that of expressions and
persons, which is the linear estimate of least error (Wiener) for two independent causes.
`scripts/build_expression.py` learns modes and shares from sixteen expressions of ten synthetic
persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from engine.geometry.mesh_topology import (
    LEFT_EYE,
    LEFT_EYE_CORNERS,
    LEFT_EYE_GAP,
    LEFT_LIDS,
    LEFT_ORBIT,
    LIPS,
    MOUTH_CORNERS,
    MOUTH_GAP,
    OVAL,
    RIGHT_EYE,
    RIGHT_EYE_CORNERS,
    RIGHT_EYE_GAP,
    RIGHT_LIDS,
    RIGHT_ORBIT,
    face_mesh,
    frontal_points,
    openness,
    rigid_fit,
)
from engine.values import Face, Points

_GAPS = (
    (LEFT_EYE_GAP, LEFT_EYE_CORNERS),
    (RIGHT_EYE_GAP, RIGHT_EYE_CORNERS),
    (MOUTH_GAP, MOUTH_CORNERS),
)
_NOSE_DEPTH = 0.55  # depth of the nose tip before the eyes, over the distance between the eyes
# Openness of a source's eye: closed, and a narrow eye that is open.
_SHUT = (0.12, 0.18)
_REACH = 0.06  # distance inside the oval from which a vertex moves fully, over the template's side


def to_frontal(points: Points) -> tuple[Points, NDArray[np.float64]]:
    """Return a mesh (468, 3) rotated to the front in the template's unit square, and the map.

    The map is a 3-D similarity (3, 4) from the space of `points`.
    """
    pose = rigid_fit(points, frontal_points(face_mesh()))
    turned: Points = (points @ pose[:, :3].T + pose[:, 3]).astype(np.float32)
    return turned, pose


def yaw(mesh: Points) -> float:
    """Return the head's yaw in degrees, positive towards the picture's right; mesh (468, 3).

    It comes from the best rigid fit of the canonical face to the mesh.
    """
    towards = face_direction(mesh)
    return float(np.degrees(np.arctan2(towards[0], -towards[2])))


def angle_to_camera(mesh: Points, five: Points) -> float:
    """Return the angle in degrees between a face's direction and the camera, 0 or more.

    A mesh in profile is often estimated as half frontal. So the angle is at least the one that
    the nose's position between the eyes gives.

    Args:
        mesh: (468, 3) in an upright picture.
        five: the detection's five points (5, 2).
    """
    towards = face_direction(mesh)
    of_mesh = np.degrees(np.arccos(np.clip(-towards[2], -1, 1)))
    left, right, nose = five[:3].astype(np.float64)
    across = right - left
    apart = max(float(np.hypot(*across)), 1e-6)
    aside = abs(float((nose - (left + right) / 2) @ across)) / apart**2
    return float(max(of_mesh, np.degrees(np.arctan(aside / _NOSE_DEPTH))))


def face_angle(face: Face) -> float:
    """Return `angle_to_camera` of a face's mesh and five points, in degrees."""
    return angle_to_camera(face.mesh.points, face.detection.points)


def face_direction(mesh: Points) -> NDArray[np.float64]:
    """Return the unit vector (3,) of a face's direction; mesh (468, 3), camera along z."""
    upright = face_mesh().vertices * np.array((1, -1, -1), np.float32)
    towards = rigid_fit(upright, mesh)[:, :3] @ (0.0, 0.0, -1.0)
    return np.asarray(towards / max(float(np.linalg.norm(towards)), 1e-9), np.float64)


def transfer_shape(target: Points, source_shape: Points) -> Points:
    """Return the target's mesh (468, 3) with the source's face shape, in the target's space.

    The oval and the modes of expression keep their position. The openness of the mouth stays, and
    so does that of an eye that is closed in the target or the source.

    Args:
        target: mesh (468, 3).
        source_shape: the source's mesh (468, 3) after `to_frontal`.
    """
    own, pose = to_frontal(target)
    weights, (modes, shares) = _weights(), _expression()
    difference = (source_shape - own).reshape(-1)
    # einsum, because BLAS would start its threads for it in every worker.
    amounts = shares * np.einsum("mk,k->m", modes, difference)
    difference -= np.einsum("mk,m->k", modes, amounts)
    moved = difference.reshape(-1, 3) * weights[:, None]
    for opening, (gap, corners) in zip(_OPENINGS, _GAPS, strict=True):
        own_openness, usual = (openness(shape, gap, corners) for shape in (own, source_shape))
        closing = np.interp(own_openness / max(usual, 1e-6), (0.5, 0.85), (1.0, 0.0))
        shut = np.interp(usual, _SHUT, (1.0, 0.0))
        share = 1.0 if gap is MOUTH_GAP else float(max(closing, shut))
        moved[opening.vertices] -= np.float32(share) * opening.part_of(moved)
    back = np.linalg.inv(pose[:, :3])
    return np.asarray(target + moved @ back.T, np.float32)


@cache
def _weights() -> NDArray[np.float32]:
    """Return the weight of each vertex, (468,): 0 on the oval, 1 inside."""
    points = frontal_points(face_mesh())[:, :2]
    gaps = np.linalg.norm(points[:, None] - points[None, list(OVAL)], axis=2).min(axis=1)
    t = np.clip(gaps / _REACH, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Opening:
    """Vertices around an eye or the mouth, and the pairs across it that open and close it.

    Attributes:
        vertices: (k,) indices.
        upper: (k,) index of the upper inner vertex of each vertex's pair.
        lower: (k,) index of the lower inner vertex.
        shares: (k,) share of the change of the pair's distance by which a vertex moves.
    """

    vertices: NDArray[np.intp]
    upper: NDArray[np.intp]
    lower: NDArray[np.intp]
    shares: NDArray[np.float32]

    def part_of(self, moves: Points) -> Points:
        """Return the part (k, 3) of `moves` (468, 3) that changes the openness.

        Half of it belongs to each side. Vertices farther outside have the same part, so that lids
        and lips keep their thickness when it is subtracted.
        """
        return (moves[self.upper] - moves[self.lower]) * self.shares[:, None]


def _opening(rings: tuple[tuple[int, ...], ...], shares: tuple[float, ...]) -> _Opening:
    inner = rings[0]
    rows = [
        (vertex, inner[-i], inner[i], side * share)
        for ring, share in zip(rings, shares, strict=True)
        for i in range(1, len(ring) // 2)
        for vertex, side in ((ring[i], -0.5), (ring[-i], 0.5))
    ]
    vertices, upper, lower, weights = zip(*rows, strict=True)
    return _Opening(
        np.array(vertices), np.array(upper), np.array(lower), np.array(weights, np.float32)
    )


_OPENINGS = (
    _opening((LEFT_EYE, LEFT_LIDS, LEFT_ORBIT), (1.0, 1.0, 0.5)),
    _opening((RIGHT_EYE, RIGHT_LIDS, RIGHT_ORBIT), (1.0, 1.0, 0.5)),
    _opening(LIPS, (1.0, 1.0, 0.8, 0.5)),
)


@cache
def _expression() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return orthonormal modes of expression (m, 1404), and their shares (m,), 0..1."""
    with (
        files("engine.geometry").joinpath("expression.npz").open("rb") as file,
        np.load(file) as data,
    ):
        modes, shares = data["modes"], data["share"]
    return modes.reshape(len(modes), -1), shares
