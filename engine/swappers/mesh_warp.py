"""The embedded swapper: a portrait's face warped by its dense mesh onto the target's.

Expression, pose, gaze and mouth are the target's; features are the source's, in the target's light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.geometry.face_mesh import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_EYE_GAP,
    LEFT_LIDS,
    NOSTRILS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_EYE_GAP,
    RIGHT_LIDS,
    face_mesh,
    mesh_template,
    openness,
    vertex_normals,
)
from engine.geometry.shape import reshaped
from engine.pixels.detail import match_detail
from engine.pixels.raster import (
    displace,
    draw_triangles,
    fill_hull,
    fill_polygon,
    interpolate,
    sample_map,
)
from engine.pixels.tone import Field, blur, enlarge, luma, shrink, weighted_blur
from engine.swappers.mesh_light import FLOOR, light_basis, light_gain
from engine.swappers.mesh_texture import MeshSource, layout, prepare_texture, smoothstep
from engine.values import Aligned, Mask, Patch, Pixels, Points, Portrait

_SHAPE = 1.0  # share of the source's face shape
_CLOSENESS = 0.5  # how far the target's local light is followed well inside the face
_LOCAL = 0.06  # scale of that local light, of the crop's side
_COARSE = 64
_CLOSING = (0.35, 0.75)  # of the source's own opening
_LIDS = (0.6, 1.0)
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
    points = reshaped(target.mesh, source.shape, _SHAPE)
    render = _render(points, target, source, grid)
    skin = _skin(points, size)
    coarse = shrink(render.base, _COARSE)
    opacity = shrink(render.opacity, _COARSE)
    weights = skin * shrink(render.cover, _COARSE) * (opacity > 0.02) * _prior(points, size)
    gain, rest = light_gain(
        coarse,
        shrink(render.flesh, _COARSE),
        light_basis(shrink(render.normals, _COARSE)),
        weights,
        _CLOSENESS + (1 - _CLOSENESS) * (1 - opacity),
        sigma=_COARSE * _LOCAL,
    )
    lit = _relit(render.flesh, gain)
    scale = max(affine.scale_of(target.to_crop), 1.0)
    lit = match_detail(lit, render.base, enlarge(weights, size), scale)
    mask = render.opacity * enlarge(render.cover * 1.0, size)
    mask *= enlarge(1 - _foreign(rest, skin), size)
    mask *= enlarge(1 - _kept(points, target.mesh, source, grid / size, grid), size)
    blend = render.base + mask[..., None] * (lit - render.base)
    whole = enlarge(render.whole, size)
    return Patch(np.clip(blend, 0, 1), np.clip(whole, 0, 1), target.to_crop)


@dataclass(frozen=True, slots=True, eq=False)
class _Render:
    """The source on the reshaped target mesh. `cover`, `whole`, `normals` are on the grid."""

    flesh: Pixels
    opacity: Mask
    base: Pixels  # the target's own pixels, moved with the mesh
    normals: NDArray[np.float32]
    cover: Mask  # 1 where the surface faces the camera
    whole: Mask  # 1 on the face, fading out at its contour


def _render(points: Points, target: Aligned, source: MeshSource, grid: int) -> _Render:
    mesh = face_mesh()
    size = target.pixels.shape[0]
    texture = min(source.textures, key=lambda level: abs(np.log(level.shape[0] / size / 1.1)))
    scale = grid / size
    placed = ((points[:, :2] + 0.5) * scale - 0.5).astype(np.float32)
    order = np.argsort(-points[mesh.triangles, 2].mean(axis=1))
    ids = draw_triangles(placed, mesh.triangles, order, grid)
    values = np.concatenate(
        [
            layout(texture.shape[0]).points,
            target.mesh[:, :2] - points[:, :2],
            vertex_normals(points, mesh),
        ],
        axis=1,
    )
    spread = interpolate(ids, placed, mesh.triangles, values)
    covered = (ids >= 0).astype(np.float32)
    where = enlarge(np.ascontiguousarray(spread[..., :4]), size)
    warped = sample_map(texture, where[..., 0], where[..., 1])
    base = displace(target.pixels, where[..., 2:4])
    normals, _ = weighted_blur(spread[..., 4:], covered, 1.5)
    whole = smoothstep(0.55, 1.0, blur(covered, 1.0))
    return _Render(
        flesh=np.ascontiguousarray(warped[..., :3]),
        opacity=np.ascontiguousarray(warped[..., 3]),
        base=base,
        normals=normals,
        cover=smoothstep(*_FACING, normals[..., 2]) * whole,
        whole=whole,
    )


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


def _relit(flesh: Pixels, gain: Field) -> Pixels:
    """The source's skin in the target's light; `gain` is in log units on the coarse grid.

    A highlight on dark skin is brighter against its surroundings than one on light skin, so where
    skin becomes lighter, highlights grow by the root of the gain only.
    """
    size = flesh.shape[0]
    low = enlarge(blur(shrink(flesh, _COARSE), 1.0), size)
    factor = np.exp(enlarge(gain, size))
    surplus = np.maximum(factor - np.sqrt(factor), 0) * np.maximum(flesh - low, 0)
    lit: Pixels = (flesh + FLOOR) * factor - FLOOR - surplus
    return lit


def _kept(points: Points, own: Points, source: MeshSource, scale: float, grid: int) -> Mask:
    """What stays the target's: eyeballs, the inside of the mouth, and the lids of a closing eye."""
    opened = np.zeros((grid, grid), np.float32)
    for ring in (LEFT_EYE, RIGHT_EYE, INNER_LIPS):
        opened = np.maximum(opened, fill_polygon(points[list(ring)], grid, scale))
    kept = smoothstep(*_LIDS, blur(opened, grid * 0.008))
    eyes = ((LEFT_LIDS, LEFT_EYE_GAP, (33, 133)), (RIGHT_LIDS, RIGHT_EYE_GAP, (263, 362)))
    for (ring, gap, corners), source_opening in zip(eyes, source.eyes, strict=True):
        share = openness(own, gap, corners) / max(source_opening, 0.05)
        closed = 1 - float(smoothstep(*_CLOSING, share))
        if closed > 0.02:
            lids = blur(fill_polygon(points[list(ring)], grid, scale), grid * 0.02)
            kept = np.maximum(kept, closed * lids)
    return kept
