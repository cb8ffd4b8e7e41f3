"""Whose face a mesh is, apart from how the head is turned and what the face does.

A mesh is turned to the front by a rigid fit to the canonical face; two persons' frontal meshes
then differ by identity and by expression. Along each strong mode of expression (jaw, smile, brows)
the difference is taken for expression by as much as expressions vary there and persons do not: the
linear estimate of least error (Wiener) for two independent causes. `scripts/build_expression.py`
learns the modes and the shares from the sixteen expressions of ten synthetic persons.
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

_OPENINGS = (
    (LEFT_EYE_GAP, LEFT_EYE_CORNERS),
    (RIGHT_EYE_GAP, RIGHT_EYE_CORNERS),
    (MOUTH_GAP, MOUTH_CORNERS),
)
_NOSE_DEPTH = 0.55  # how far the nose's tip lies before the eyes, of the distance between them
# A source's eye, its height over its width: closed, and as narrow as it is by itself.
_SHUT = (0.12, 0.18)
_REACH = 0.06  # of the template's side: how far inside the oval the full difference is in force


def frontal(points: Points) -> tuple[Points, NDArray[np.float64]]:
    """Mesh `points` (468, 3) turned to the front in the template's unit square, and the map used.

    The map is a 3-D similarity (3, 4) from the points' space.
    """
    pose = rigid_fit(points, frontal_points(face_mesh()))
    turned: Points = (points @ pose[:, :3].T + pose[:, 3]).astype(np.float32)
    return turned, pose


def yaw(mesh: Points) -> float:
    """Degrees by which the head is turned, positive towards the picture's right; mesh (468, 3).

    From the rotation of the best rigid fit of the canonical face onto the mesh.
    """
    towards = facing(mesh)
    return float(np.degrees(np.arctan2(towards[0], -towards[2])))


def turned_by(mesh: Points, five: Points) -> float:
    """Degrees between where a face looks and the camera, 0 or more.

    A mesh in profile is often drawn half from the front, so the nose's place between the eyes has
    its say, too.

    Args:
        mesh: (468, 3) in an upright picture.
        five: the detection's points (5, 2).
    """
    towards = facing(mesh)
    of_mesh = np.degrees(np.arccos(np.clip(-towards[2], -1, 1)))
    left, right, nose = five[:3].astype(np.float64)
    across = right - left
    apart = max(float(np.hypot(*across)), 1e-6)
    aside = abs(float((nose - (left + right) / 2) @ across)) / apart**2
    return float(max(of_mesh, np.degrees(np.arctan(aside / _NOSE_DEPTH))))


def turned(face: Face) -> float:
    """Return `turned_by` of a face's mesh and five points, in degrees."""
    return turned_by(face.mesh.points, face.detection.points)


def facing(mesh: Points) -> NDArray[np.float64]:
    """Return the unit vector that a face (468, 3) looks along, (3,); the camera looks along z."""
    upright = face_mesh().vertices * np.array((1, -1, -1), np.float32)
    towards = rigid_fit(upright, mesh)[:, :3] @ (0.0, 0.0, -1.0)
    return np.asarray(towards / max(float(np.linalg.norm(towards)), 1e-9), np.float64)


def reshaped(target: Points, source_shape: Points) -> Points:
    """The target's mesh (468, 3) with the source's face shape, in the target's space.

    `source_shape` is `frontal` of the source's mesh. The oval stays where it is, and so do the
    modes of expression; the mouth stays as far open as it is, and so does an eye that closes, or
    that the source closes.
    """
    own, pose = frontal(target)
    weights, (modes, shares) = _weights(), _expression()
    difference = (source_shape - own).reshape(-1)
    # einsum, as BLAS would wake its threads for this in every worker.
    amounts = shares * np.einsum("mk,k->m", modes, difference)
    difference -= np.einsum("mk,m->k", modes, amounts)
    moved = difference.reshape(-1, 3) * weights[:, None]
    for parting, (gap, corners) in zip(_PARTINGS, _OPENINGS, strict=True):
        opening, usual = (openness(shape, gap, corners) for shape in (own, source_shape))
        closing = np.interp(opening / max(usual, 1e-6), (0.5, 0.85), (1.0, 0.0))
        shut = np.interp(usual, _SHUT, (1.0, 0.0))
        share = 1.0 if gap is MOUTH_GAP else float(max(closing, shut))
        moved[parting.vertices] -= np.float32(share) * parting.of(moved)
    back = np.linalg.inv(pose[:, :3])
    return np.asarray(target + moved @ back.T, np.float32)


@cache
def _weights() -> NDArray[np.float32]:
    """How far each vertex takes part, (468,): none on the oval, wholly inside."""
    points = frontal_points(face_mesh())[:, :2]
    gaps = np.linalg.norm(points[:, None] - points[None, list(OVAL)], axis=2).min(axis=1)
    t = np.clip(gaps / _REACH, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Parting:
    """What opens and closes one opening: vertices, the inner pair across it, and their shares."""

    vertices: NDArray[np.intp]
    upper: NDArray[np.intp]
    lower: NDArray[np.intp]
    shares: NDArray[np.float32]

    def of(self, moves: Points) -> Points:
        """The part of these vertices' `moves` (468, 3) that parts the pair, (k, 3).

        Half of it falls to each side, and to the vertices further out alike, so that lids and lips
        keep their own thickness when it is taken back.
        """
        return (moves[self.upper] - moves[self.lower]) * self.shares[:, None]


def _parting(rings: tuple[tuple[int, ...], ...], shares: tuple[float, ...]) -> _Parting:
    inner = rings[0]
    rows = [
        (vertex, inner[-i], inner[i], side * share)
        for ring, share in zip(rings, shares, strict=True)
        for i in range(1, len(ring) // 2)
        for vertex, side in ((ring[i], -0.5), (ring[-i], 0.5))
    ]
    vertices, upper, lower, weights = zip(*rows, strict=True)
    return _Parting(
        np.array(vertices), np.array(upper), np.array(lower), np.array(weights, np.float32)
    )


_PARTINGS = (
    _parting((LEFT_EYE, LEFT_LIDS, LEFT_ORBIT), (1.0, 1.0, 0.5)),
    _parting((RIGHT_EYE, RIGHT_LIDS, RIGHT_ORBIT), (1.0, 1.0, 0.5)),
    _parting(LIPS, (1.0, 1.0, 0.8, 0.5)),
)


@cache
def _expression() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Orthonormal modes of expression (modes, 1404), and how much of each is expression, 0..1."""
    with (
        files("engine.geometry").joinpath("expression.npz").open("rb") as file,
        np.load(file) as data,
    ):
        modes, shares = data["modes"], data["share"]
    return modes.reshape(len(modes), -1), shares
