"""The embedded swapper: warp a portrait's face by its mesh onto the target's.

Expression, pose, gaze and mouth are the target's; features are the source's, in the target's light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.geometry.boxes import box_of
from engine.geometry.mesh_topology import face_mesh, mesh_template, vertex_normals
from engine.geometry.shape import transfer_shape
from engine.pixels.detail import match_detail
from engine.pixels.raster import displace, draw_triangles, interpolate, sample_map
from engine.pixels.tone import Field, blur, enlarge, luma, smoothstep, weighted_blur
from engine.swappers.mesh.layout import COARSE, layout, layout_points
from engine.swappers.mesh.light import FLOOR
from engine.swappers.mesh.masks import target_parts_mask
from engine.swappers.mesh.relight import estimate_light
from engine.swappers.mesh.texture import MeshSource, prepare_texture
from engine.values import Aligned, Mask, Patch, Pixels, Points, Portrait

_HEADROOM = 0.04  # luma by which the brightest pixel may exceed the target's highlights
_GRID = 96  # smallest side of the grid on which the mesh is drawn
_MARGIN = 0.03  # of the crop's side, left around the mesh
_TRUST_RAMP = (0.04, 0.2)  # trust between which the swap fades in
_FACING = (0.0, 0.25)  # the normal's component towards the camera, from hidden to shown


class MeshWarp:
    """Swapper that needs no swapping network; crops may have any side from 64 pixels."""

    name = "mesh"
    averages = True
    draws_source = True

    def __init__(self) -> None:
        self.template = mesh_template()

    def prepare(self, portraits: Sequence[Portrait]) -> MeshSource:
        """Return the texture of the portraits; see `prepare_texture`."""
        return prepare_texture(portraits)

    def swap(self, targets: Sequence[Aligned], sources: Sequence[MeshSource]) -> list[Patch]:
        """Return a patch for each target, of its crop's size."""
        return [_swap(*pair) for pair in zip(targets, sources, strict=True)]


def _swap(target: Aligned, source: MeshSource) -> Patch:
    size = target.pixels.shape[0]
    pixels, mask = target.pixels.copy(), np.zeros((size, size), np.float32)
    rows, columns = _window(target.mesh, size)
    trust = float(smoothstep(*_TRUST_RAMP, target.trust))
    if trust > 0 and rows.stop > rows.start:
        inner = Aligned(
            np.ascontiguousarray(target.pixels[rows, columns]),
            affine.compose(target.to_crop, affine.shift(-columns.start, -rows.start)),
            target.mesh - np.array((columns.start, rows.start, 0), np.float32),
            bare=None if target.bare is None else target.bare[rows, columns],
        )
        pixels[rows, columns], whole = _swap_window(inner, source, size)
        mask[rows, columns] = trust * whole
    return Patch(pixels, mask, target.to_crop)


def _window(points: Points, size: int) -> tuple[slice, slice]:
    """Return the square of the crop that contains the mesh, as rows and columns.

    Its edges move in coarse steps, so that a face that hardly moves keeps its window.
    """
    box = box_of(points[:, :2])
    step = max(size // 24, 1)
    margin = _MARGIN * size
    left = max(int((box.left - margin) // step) * step, 0)
    top = max(int((box.top - margin) // step) * step, 0)
    span = max(box.right + margin - left, box.bottom + margin - top)
    side = min(-int(-span // step) * step, size)
    left, top = min(left, size - side), min(top, size - side)
    return slice(top, top + side), slice(left, left + side)


def _swap_window(target: Aligned, source: MeshSource, crop_size: int) -> tuple[Pixels, Mask]:
    """Swap a square window of a crop of the side `crop_size`; return pixels and mask."""
    size = target.pixels.shape[0]
    grid = max(_GRID, size // 4)
    points = transfer_shape(target.mesh, source.shape)
    render = _render(points, target, source.level_for(crop_size), grid)
    lit = estimate_light(target, source.detail, source.beard)
    light, other, skin = _sample_layout(render, lit.light, lit.not_skin, layout(COARSE).skin)
    pixels = _relight(render.colours, light, lit.colour)
    _compress_highlights(pixels, lit.highlights)
    scale = max(affine.scale_of(target.to_crop), 1.0)
    where = enlarge(skin[..., 0] * (1 - other[..., 0]) * render.facing, size)
    if target.bare is not None:
        where *= target.bare
    pixels = match_detail(pixels, target.pixels, where, scale)
    shown = render.facing * (
        1 - target_parts_mask(points, target.mesh, source.eyes, grid, grid / size)
    )
    mask = render.opacity * enlarge(shown * (1 - other[..., 0]), size)
    pixels -= render.base
    pixels *= mask[..., None]
    pixels += render.base
    return np.clip(pixels, 0, 1, out=pixels), np.clip(enlarge(render.face, size), 0, 1)


def _sample_layout(render: _Render, *fields: Field | Mask) -> list[Field]:
    """Sample fields of the layout, all of one side, on the grid on which the mesh is drawn."""
    depths = [1 if field.ndim == 2 else field.shape[2] for field in fields]
    packed = np.concatenate([np.atleast_3d(field) for field in fields], axis=2)
    at = render.layout_xy * packed.shape[0] - np.float32(0.5)
    spread = sample_map(packed, np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1]))
    return np.split(spread, np.cumsum(depths)[:-1], axis=2)


def _relight(colours: Pixels, light: Field, colour: float) -> Pixels:
    """Return a texture without light in a new light.

    Args:
        colours: RGB of the texture (h, w, 3).
        light: log RGB on a coarse grid.
        colour: 0 makes the texture grey, 1 keeps its colours.
    """
    if colour < 1:
        grey = luma(colours)[..., None]
        colours = grey + np.float32(colour) * (colours - grey)
    lit: Pixels = colours * enlarge(np.exp(light), colours.shape[0])
    lit -= FLOOR
    return lit


def _compress_highlights(pixels: Pixels, highlights: float) -> None:
    """Compress, in place, pixels brighter than the target's highlights: the source's glare."""
    tone = luma(pixels)
    over = np.nonzero(tone > highlights)
    excess = tone[over] - np.float32(highlights)
    least = np.float32(_HEADROOM) * np.tanh(excess / np.float32(_HEADROOM))
    pixels[over] *= ((highlights + least) / tone[over])[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class _Render:
    """Source drawn on the reshaped target mesh; `normals`, `facing` and `face` are on the grid."""

    colours: Pixels  # RGB of the texture, without light
    opacity: Mask
    layout_xy: NDArray[np.float32]  # coordinates in the layout, (grid, grid, 2), 0..1
    base: Pixels  # the target's own pixels, warped with the mesh
    normals: NDArray[np.float32]
    facing: Mask  # 1 where the surface faces the camera
    face: Mask  # 1 on the face, fading out at its contour


def _render(points: Points, target: Aligned, texture: NDArray[np.float32], grid: int) -> _Render:
    mesh = face_mesh()
    size = target.pixels.shape[0]
    placed = ((points[:, :2] + 0.5) * (grid / size) - 0.5).astype(np.float32)
    order = np.argsort(-points[mesh.triangles, 2].mean(axis=1))
    ids = draw_triangles(placed, mesh.triangles, order, grid)
    moved = target.mesh[:, :2] - points[:, :2]
    values = [layout_points(texture.shape[0]), moved, vertex_normals(points, mesh)]
    spread = interpolate(ids, placed, mesh.triangles, np.concatenate(values, axis=1))
    covered = (ids >= 0).astype(np.float32)
    # Extend the map beyond the contour, so that samples half a cell outside are skin, too.
    near, _ = weighted_blur(spread, covered, grid / 85)
    inside = covered[..., None] > 0
    inner = np.where(inside, spread, near)
    where = enlarge(inner[..., :4], size)
    warped = sample_map(texture, where[..., 0], where[..., 1])
    normals = near[..., 4:]
    face = smoothstep(0.55, 1.0, blur(covered, grid / 128))
    return _Render(
        colours=np.ascontiguousarray(warped[..., :3]),
        opacity=np.ascontiguousarray(warped[..., 3]),
        layout_xy=(inner[..., :2] + np.float32(0.5)) / np.float32(texture.shape[0]),
        base=displace(target.pixels, where[..., 2:]),
        normals=np.ascontiguousarray(normals),
        facing=smoothstep(*_FACING, normals[..., 2]) * face,
        face=face,
    )
