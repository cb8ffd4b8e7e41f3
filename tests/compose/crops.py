"""Crops and patches that the tests of masks and colours are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from engine.geometry import affine
from engine.geometry.mesh_topology import face_mesh, frontal_points
from engine.values import Aligned, Mask, Patch, Pixels, Points


def frontal_mesh(size: int) -> Points:
    """Return the canonical face from the front, in a crop of `size`."""
    return np.asarray(frontal_points(face_mesh()) * size, np.float32)


def plain(size: int, colour: ArrayLike) -> Pixels:
    """Return a crop of one colour, RGB 0..1."""
    return np.broadcast_to(np.array(colour, np.float32), (size, size, 3)).copy()


def target_of(pixels: Pixels, *, mesh: Points | None = None, score: float = 1.0) -> Aligned:
    size = len(pixels)
    return Aligned(pixels, affine.identity(), frontal_mesh(size) if mesh is None else mesh, score)


def patch_of(pixels: Pixels, mask: Mask | None = None) -> Patch:
    full = np.ones(pixels.shape[:2], np.float32)
    return Patch(pixels, full if mask is None else mask, affine.identity())
