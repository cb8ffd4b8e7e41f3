"""What the benchmarks measure on meshes and crops; arrays in, numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.geometry import face_mesh as topology
from engine.values import Points

EYES = (*topology.LEFT_EYE, *topology.RIGHT_EYE)
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


def flicker(crops: NDArray[np.float32]) -> float:
    """Mean absolute second difference over time of crops (t, h, w, 3), 0..1.

    Motion at an even pace cancels; what jumps from frame to frame does not.
    """
    second = crops[2:] - 2 * crops[1:-1] + crops[:-2]
    return float(np.abs(second).mean())


def jitter(meshes: NDArray[np.float32]) -> float:
    """The same of meshes (t, 468, 2 or 3), as a share of the distance between the eyes."""
    plane = meshes[..., :2]
    second = np.linalg.norm(plane[2:] - 2 * plane[1:-1] + plane[:-2], axis=-1)
    return float(second.mean()) / float(np.mean([eye_distance(mesh) for mesh in meshes]))
