"""The oval of a face in a crop, as its mesh has it."""

from __future__ import annotations

from engine.geometry.mesh_topology import OVAL
from engine.pixels.raster import fill_polygons
from engine.pixels.tone import smoothstep
from engine.values import Aligned, Mask

_SCORES = (0.02, 0.12)  # mesh scores between which an oval becomes trustworthy


def draw_oval(target: Aligned, grid: int) -> Mask:
    """Return a mask (grid, grid) of a crop: 1 within the face's oval, 0 outside."""
    return fill_polygons([target.mesh[list(OVAL)]], grid, grid / len(target.pixels))


def oval_trust(score: float) -> float:
    """Return how far the oval of a mesh with this score can be trusted, 0..1."""
    return float(smoothstep(*_SCORES, score))
