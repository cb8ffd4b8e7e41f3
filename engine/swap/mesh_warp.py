"""The embedded swapper: a portrait's face warped by its dense mesh onto the target's.

Expression, pose, gaze and mouth are the target's; features are the source's, in the target's light.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.geometry.face_mesh import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_LIDS,
    NOSTRILS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_LIDS,
    face_mesh,
    mesh_template,
    vertex_normals,
)
from engine.pixels.raster import draw_triangles, fill_hull, fill_polygon, interpolate, sample_map
from engine.pixels.tone import Field, blur, enlarge, luma, shrink, weighted_blur
from engine.swap.mesh_light import FLOOR, light_basis, light_gain
from engine.swap.mesh_texture import MeshSource, layout, prepare_texture, smoothstep
from engine.values import Aligned, Mask, Patch, Points, Portrait

_COARSE = 64
_FACING = (0.0, 0.25)
_BEARD = (
    *(177, 137, 123, 50, 36, 203, 98, 2, 327, 423, 266, 280, 352, 366, 401),
    *(397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172),
)


class MeshWarp:
    """Satisfies `Swapper`; a crop of any side from 64 pixels up."""

    name = "mesh"

    def __init__(self) -> None:
        self.template = mesh_template()

    def prepare(self, portrait: Portrait) -> MeshSource:
        """The portrait's texture; see `mesh_texture`."""
        return prepare_texture(portrait)

    def swap(self, targets: Sequence[Aligned], sources: Sequence[MeshSource]) -> list[Patch]:
        """A patch for each target, of its crop's size."""
        return [_swap(*pair) for pair in zip(targets, sources, strict=True)]


def _swap(target: Aligned, source: MeshSource) -> Patch:
    size = target.pixels.shape[0]
    grid = max(_COARSE * 2, size // 4)
    warped, normals, cover = _render(target.mesh, source, size, grid)
    coarse = shrink(target.pixels, _COARSE)
    opacity = shrink(np.ascontiguousarray(warped[..., 3]), _COARSE)
    flesh = shrink(np.ascontiguousarray(warped[..., :3]), _COARSE)
    skin = _skin(target.mesh, size)
    coarse_normals = shrink(normals, _COARSE)
    facing = shrink(cover, _COARSE)
    weights = skin * facing * (opacity > 0.02) * _prior(target.mesh, size)
    edge = 1 - opacity
    gain, rest = light_gain(
        coarse, flesh, light_basis(coarse_normals), weights, 0.5 + 0.5 * edge, _COARSE * 0.06
    )
    lit = (warped[..., :3] + FLOOR) * np.exp(enlarge(gain, size)) - FLOOR
    mask = warped[..., 3] * enlarge(cover, size)
    mask *= enlarge(1 - _foreign(rest, skin), size)
    mask *= 1 - _openings(target.mesh, size, grid)
    return Patch(np.clip(lit, 0, 1), np.clip(mask, 0, 1).astype(np.float32), target.to_crop)


def _render(
    mesh_points: Points, source: MeshSource, size: int, grid: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], Mask]:
    """The texture on the target's mesh (size, size, 4), normals and facing on the coarser grid."""
    mesh = face_mesh()
    texture = min(source.textures, key=lambda level: abs(np.log(level.shape[0] / size / 1.1)))
    side = texture.shape[0]
    scale = grid / size
    points = ((mesh_points[:, :2] + 0.5) * scale - 0.5).astype(np.float32)
    normals = vertex_normals(mesh_points, mesh)
    order = np.argsort(-mesh_points[mesh.triangles, 2].mean(axis=1))
    ids = draw_triangles(points, mesh.triangles, order, grid)
    values = np.concatenate([layout(side).points, normals], axis=1)
    spread = interpolate(ids, points, mesh.triangles, values)
    fine = enlarge(spread[..., :2], size)
    warped = sample_map(texture, fine[..., 0], fine[..., 1])
    covered = (ids >= 0).astype(np.float32)
    facing = weighted_blur(spread[..., 2:], covered, 1.5)[0][..., 2:]
    cover = smoothstep(*_FACING, facing[..., 0]) * smoothstep(0.5, 1.0, blur(covered, 1.0))
    return warped, spread[..., 2:], cover


def _prior(points: Points, size: int) -> Mask:
    """How far bare skin is to be expected: less on jaw and lip, where beards are."""
    scale = _COARSE / size
    beard = fill_polygon(points[list(_BEARD)], _COARSE, scale)
    return 1 - 0.7 * blur(beard, 2.0)


def _foreign(rest: Field, skin: Mask) -> Mask:
    """Hair, beard, microphone: where the target is much darker than skin in its light would be."""
    dark = smoothstep(0.35, 0.75, -luma(rest)) * skin
    return np.clip(blur(dark, 1.5), 0, 1)


def _skin(points: Points, size: int) -> Mask:
    """Where the target's bare skin is, on the coarse grid."""
    scale = _COARSE / size
    skin = fill_polygon(points[list(OVAL)], _COARSE, scale)
    for ring in (LEFT_BROW, RIGHT_BROW, LEFT_LIDS, RIGHT_LIDS, OUTER_LIPS, NOSTRILS):
        skin = np.minimum(skin, 1 - fill_hull(points[list(ring)], _COARSE, scale))
    return skin


def _openings(points: Points, size: int, grid: int) -> Mask:
    """Eyeballs and the inside of the mouth, which stay the target's; (size, size)."""
    scale = grid / size
    opened = np.zeros((grid, grid), np.float32)
    for ring in (LEFT_EYE, RIGHT_EYE, INNER_LIPS):
        opened = np.maximum(opened, fill_polygon(points[list(ring)], grid, scale))
    return enlarge(blur(opened, grid * 0.006), size)
