"""Canonical layout: the texture space (UV layout) of all faces.

Texture coordinates are the frontal points of the mesh (`geometry.mesh_topology.frontal_points`).
The layout is symmetric: its left half is the mirror image of its right half.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.geometry.mesh_topology import (
    INNER_LIPS,
    LEFT_BROW,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    face_mesh,
    frontal_points,
    signed_areas,
    vertex_normals,
)
from engine.pixels.raster import (
    convex_hull,
    draw_triangles,
    fill_polygons,
    inside_distance,
    interpolate,
    sample_map,
)
from engine.pixels.tone import blur, shrink, smoothstep
from engine.swappers.mesh.light import light_basis
from engine.swappers.mesh.masks import beardless_mask, feature_mask
from engine.values import Mask, Points

COARSE = 96  # side of the grid on which light is computed
_SMALL = 160  # side that a crop is shrunk to before its face is unwrapped
_VISIBLE = (0.15, 0.4)  # `texel_density`, from hidden to visible
_MIDDLE = (0.06, 0.12)  # half the width of a strip along the middle line, of the side
# Width of the fade along the oval, of the side: broad on the forehead, which carries little
# identity and differs most in shine and hairline.
_SEAM, _BROAD_SEAM = 0.016, 0.045


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Geometry and masks of the canonical face at one side; masks are (side, side)."""

    points: Points
    ids: NDArray[np.int16]
    basis: NDArray[np.float32]  # `light_basis`
    skin: Mask
    centre: Mask  # cheeks, nose and chin, where skin is sure to show
    hairline: Mask  # where hair may cover the face
    forehead: Mask  # above the brows
    rim: Mask  # along the oval
    browless: Mask  # 0 on the brows
    lipless: Mask  # 0 on the mouth
    outside_mouth: Mask  # 0 between the lips, which an open mouth parts
    seam: Mask  # opacity: fades out along the oval
    off_middle: Mask  # 0 on the middle line, where the halves meet
    beardless: Mask  # lower on jaw and lips, where beards grow


@cache
def layout_points(side: int) -> Points:
    """Return the layout's vertices in pixels of a texture of `side`, (468, 2)."""
    return (frontal_points(face_mesh())[:, :2] * side - 0.5).astype(np.float32)


@cache
def layout(side: int) -> Layout:
    """Return the canonical layout with its masks, (side, side)."""
    mesh = face_mesh()
    frontal = frontal_points(mesh)
    points = layout_points(side)
    order = np.argsort(-frontal[mesh.triangles, 2].mean(axis=1))
    ids = draw_triangles(points, mesh.triangles, order, side)
    normals = interpolate(ids, points, mesh.triangles, vertex_normals(frontal, mesh))
    marked = np.clip(blur(feature_mask(points, side), side * 0.012) * 2, 0, 1)
    oval = fill_polygons([points[list(OVAL)]], side)
    brows = fill_polygons((convex_hull(points[list(r)]) for r in (LEFT_BROW, RIGHT_BROW)), side)
    browless = 1 - np.clip(blur(brows, side * 0.02) * 5, 0, 1)
    rows = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    width = _SEAM + (_BROAD_SEAM - _SEAM) * smoothstep(0.33, 0.2, rows)
    seam = smoothstep(0.0, 1.0, inside_distance(oval) / (width * side))
    mouth = fill_polygons([convex_hull(points[list(OUTER_LIPS)])], side)
    lips = fill_polygons([points[list(INNER_LIPS)]], side)
    ys, xs = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j].astype(np.float32)
    radius = np.hypot((xs - 0.5) * 1.05, (ys - 0.5) * 0.85).astype(np.float32)
    rim = oval * (1 - smoothstep(0.05, 0.17, inside_distance(oval) / side))
    forehead = oval * smoothstep(0.30, 0.24, ys)
    upper = np.maximum(rim * smoothstep(0.66, 0.5, ys), forehead)
    return Layout(
        points=points,
        ids=ids,
        basis=light_basis(normals),
        skin=oval * (1 - marked),
        centre=smoothstep(0.42, 0.30, radius),
        hairline=upper,
        forehead=forehead,
        rim=rim,
        browless=browless,
        lipless=1 - np.clip(blur(mouth, side * 0.01) * 2, 0, 1),
        outside_mouth=1 - np.clip(blur(lips, side * 0.003) * 1.5, 0, 1),
        seam=seam,
        off_middle=smoothstep(*_MIDDLE, np.abs(xs - 0.5)),
        beardless=beardless_mask(points, side, 1.0),
    )


def unwrap(
    pixels: NDArray[np.float32], points: Points, side: int
) -> tuple[NDArray[np.float32], Mask]:
    """Unwrap a face into the layout.

    Args:
        pixels: RGB 0..1 (h, w, 3).
        points: the face's mesh in these pixels, (468, 3).
        side: the layout's side.

    Returns:
        RGB (side, side, 3), and the visibility of each texel, 0..1 (side, side).
    """
    where = _interpolate_vertices(
        np.concatenate([points[:, :2], texel_density(points)], axis=1), side
    )
    xs, ys = where[..., 0], where[..., 1]
    height, width = pixels.shape[:2]
    inside = (xs >= 0) & (xs <= width - 1) & (ys >= 0) & (ys <= height - 1)
    seen = smoothstep(*_VISIBLE, where[..., 2]) * inside
    return sample_map(pixels, xs, ys), smoothstep(0.5, 1.0, blur(seen, side * 0.008))


def unwrap_crop(pixels: NDArray[np.float32], points: Points) -> tuple[NDArray[np.float32], Mask]:
    """Unwrap the face of a square crop at the side `COARSE`, without aliasing; see `unwrap`."""
    scale = np.float32(_SMALL / pixels.shape[0])
    placed = (points + np.float32(0.5)) * scale - np.float32(0.5)
    return unwrap(shrink(pixels, _SMALL).reshape(_SMALL, _SMALL, -1), placed, COARSE)


def _interpolate_vertices(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Interpolate vertex `values` (468, k) linearly over the layout: (side, side, k)."""
    vertices, coordinates = _barycentric(side)
    field = coordinates[..., :1] * values[vertices[..., 0]]
    for corner in (1, 2):
        field += coordinates[..., corner, None] * values[vertices[..., corner]]
    return field


@cache
def _barycentric(side: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the triangle at each pixel of the layout: its vertices and barycentric coordinates.

    Both are (side, side, 3); the coordinates are 0 outside the face.
    """
    plan = layout(side)
    triangles = face_mesh().triangles
    # A barycentric coordinate is linear over a triangle: 1 at one corner and 0 at the others.
    flat = triangles.reshape(-1)
    coordinates = interpolate(
        plan.ids,
        plan.points[flat],
        np.arange(flat.size).reshape(-1, 3),
        np.tile(np.eye(3, dtype=np.float32), (len(triangles), 1)),
    )
    total = np.maximum(coordinates.sum(axis=2, keepdims=True), np.float32(1e-6))
    return triangles[plan.ids], np.asarray(coordinates / total, np.float32)


def texel_density(points: Points) -> NDArray[np.float32]:
    """Return the relative area of the triangles around each vertex, (468, 1).

    It is their area in the picture over that in the layout: about 1 where the surface faces the
    camera, 0 where it is seen edge-on, and negative where it faces away.
    """
    density = _vertex_areas(points) / _layout_areas()
    usual = max(float(np.percentile(density, 80)), 1e-6)
    return np.asarray(density / usual, np.float32)[:, None]


def _vertex_areas(points: Points) -> NDArray[np.float64]:
    """Return the signed area of the triangles around each vertex, (468,)."""
    triangles = face_mesh().triangles
    areas = np.repeat(signed_areas(points[triangles, :2]), 3)
    sums = np.bincount(triangles.ravel(), weights=areas, minlength=len(points))
    return np.asarray(sums, np.float64)


@cache
def _layout_areas() -> NDArray[np.float64]:
    areas = _vertex_areas(frontal_points(face_mesh()))
    return np.where(np.abs(areas) < 1e-9, 1e-9, areas)
