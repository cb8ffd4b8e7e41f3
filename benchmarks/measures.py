"""Measures of the benchmarks on meshes and crops: arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.geometry import mesh_topology as topology
from engine.values import Points

EYES = (*topology.LEFT_EYE, *topology.RIGHT_EYE)
_EYE_CORNERS = (topology.LEFT_EYE_CORNERS, topology.RIGHT_EYE_CORNERS)
_EYE_GAPS = (topology.LEFT_EYE_GAP, topology.RIGHT_EYE_GAP)
_BROWS = (topology.LEFT_BROW, topology.RIGHT_BROW)
LIPS = (*topology.INNER_LIPS, *topology.OUTER_LIPS)


def eye_distance(mesh: Points) -> float:
    """Pixels between the middles of the eyes; never less than one."""
    left = mesh[list(topology.LEFT_EYE_CORNERS), :2].mean(axis=0)
    right = mesh[list(topology.RIGHT_EYE_CORNERS), :2].mean(axis=0)
    return max(float(np.linalg.norm(right - left)), 1.0)


def shift(one: Points, other: Points) -> float:
    """Pixels between the middles of two meshes."""
    return float(np.linalg.norm(one[:, :2].mean(axis=0) - other[:, :2].mean(axis=0)))


def landmark_error(wanted: Points, got: Points, indices: tuple[int, ...] | None = None) -> float:
    """Mean distance between two meshes (468, 2 or 3) in the plane, in eye distances."""
    chosen = slice(None) if indices is None else list(indices)
    gaps = np.linalg.norm(wanted[chosen, :2] - got[chosen, :2], axis=1)
    return float(gaps.mean()) / eye_distance(wanted)


def eye_opening(mesh: Points) -> float:
    """Mean height over width of the two eyes."""
    left = topology.openness(mesh, topology.LEFT_EYE_GAP, topology.LEFT_EYE_CORNERS)
    right = topology.openness(mesh, topology.RIGHT_EYE_GAP, topology.RIGHT_EYE_CORNERS)
    return (left + right) / 2


def mouth_opening(mesh: Points) -> float:
    """Height over width of the gap between the lips."""
    return topology.openness(mesh, topology.MOUTH_GAP, topology.MOUTH_CORNERS)


@dataclass(frozen=True, slots=True)
class Expression:
    """Expression of a face by its mesh, in eye distances.

    `mouth` is the height of the gap between the lips, `smile` the distance between the mouth's
    corners, `brows` the height of the brows above the eyes, `lids` the height of the eyes'
    openings; the last two are means over both sides.
    """

    mouth: float
    smile: float
    brows: float
    lids: float


def expression(mesh: Points) -> Expression:
    """Return the expression of a mesh (468, 2 or 3), along and across the line of the eyes."""
    unit = eye_distance(mesh)
    plane = mesh[:, :2].astype(np.float64)
    eyes = [plane[list(corners)].mean(axis=0) for corners in _EYE_CORNERS]
    across = (eyes[1] - eyes[0]) / max(float(np.linalg.norm(eyes[1] - eyes[0])), 1e-6)
    up = np.array((across[1], -across[0]))
    brows = [plane[list(brow)].mean(axis=0) for brow in _BROWS]
    corners = plane[list(topology.MOUTH_CORNERS)]
    return Expression(
        mouth=_gap(plane, topology.MOUTH_GAP) / unit,
        smile=float(np.linalg.norm(corners[1] - corners[0])) / unit,
        brows=float(np.mean([(brow - eye) @ up for brow, eye in zip(brows, eyes, strict=True)]))
        / unit,
        lids=float(np.mean([_gap(plane, gap) for gap in _EYE_GAPS])) / unit,
    )


def _gap(plane: NDArray[np.float64], pairs: tuple[tuple[int, int], ...]) -> float:
    return float(np.mean([np.linalg.norm(plane[one] - plane[other]) for one, other in pairs]))


def tone_steps(tones: NDArray[np.float64]) -> float:
    """Standard deviation of the steps from frame to frame of a tone (t,)."""
    return float(np.diff(tones).std())


def flicker(crops: NDArray[np.float32]) -> float:
    """Mean absolute second difference over time of crops (t, h, w, 3), 0..1.

    Motion at an even pace cancels; what jumps from frame to frame does not.
    """
    second = crops[2:] - 2 * crops[1:-1] + crops[:-2]
    return float(np.abs(second).mean())


def jitter(meshes: NDArray[np.float32]) -> float:
    """Return the same of meshes (t, 468, 2 or 3), as a share of the distance between the eyes."""
    plane = meshes[..., :2]
    second = np.linalg.norm(plane[2:] - 2 * plane[1:-1] + plane[:-2], axis=-1)
    return float(second.mean()) / float(np.mean([eye_distance(mesh) for mesh in meshes]))
