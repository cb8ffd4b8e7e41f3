"""A portrait's face as a texture in the canonical face's layout, made once per source.

The layout is the canonical face seen from the front (`geometry.face_mesh.frontal_points`), so one
half of it is the other's mirror image, whatever way the portrait looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.geometry.face_mesh import (
    LEFT_BROW,
    LEFT_LIDS,
    NOSTRILS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_LIDS,
    face_mesh,
    frontal_points,
    vertex_normals,
)
from engine.geometry.shape import frontal
from engine.pixels.raster import (
    draw_triangles,
    fill_hull,
    fill_polygon,
    inside_distance,
    interpolate,
    sample_map,
)
from engine.pixels.tone import blur, enlarge, luma, shrink, weighted_blur
from engine.swap.mesh_light import FLOOR, fit_light, light_basis, light_gain
from engine.values import Mask, Points, Portrait

SIDE = 768
LEVELS = 3
_COARSE = 96
_SEAM = 0.022


@dataclass(frozen=True, slots=True, eq=False)
class MeshSource:
    """A prepared portrait: textures fine to coarse, each (side, side, 4) RGB and opacity.

    `shape` is the face's own shape, turned to the front (`geometry.shape.frontal`).
    """

    textures: tuple[NDArray[np.float32], ...]
    shape: Points


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What depends on the canonical face alone, at one side; masks are (side, side)."""

    points: Points
    ids: NDArray[np.int16]
    normals: NDArray[np.float32]
    skin: Mask
    browless: Mask
    seam: Mask


def smoothstep(low: float, high: float, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    out: NDArray[np.float32] = (t * t * (3 - 2 * t)).astype(np.float32)
    return out


@cache
def layout(side: int) -> Layout:
    """The canonical layout with its masks: bare skin, and the seam's fade along the oval."""
    mesh = face_mesh()
    frontal = frontal_points(mesh)
    points = (frontal[:, :2] * side - 0.5).astype(np.float32)
    order = np.argsort(-frontal[mesh.triangles, 2].mean(axis=1))
    ids = draw_triangles(points, mesh.triangles, order, side)
    normals = interpolate(ids, points, mesh.triangles, vertex_normals(frontal, mesh))
    features = np.zeros((side, side), np.float32)
    for ring in (LEFT_BROW, RIGHT_BROW, LEFT_LIDS, RIGHT_LIDS, OUTER_LIPS, NOSTRILS):
        features = np.maximum(features, fill_hull(points[list(ring)], side))
    features = np.clip(blur(features, side * 0.012) * 2, 0, 1)
    oval = fill_polygon(points[list(OVAL)], side)
    brows = np.maximum(*(fill_hull(points[list(r)], side) for r in (LEFT_BROW, RIGHT_BROW)))
    browless = 1 - np.clip(blur(brows, side * 0.02) * 5, 0, 1)
    seam = smoothstep(0.0, 1.0, inside_distance(oval) / (_SEAM * side))
    return Layout(points, ids, normals, oval * (1 - features), browless, seam)


def unwrap(portrait: Portrait, side: int) -> tuple[NDArray[np.float32], Mask]:
    """The portrait's face in the layout, RGB (side, side, 3), and how well each part is seen."""
    mesh = face_mesh()
    plan = layout(side)
    points = portrait.face.mesh.points
    normals = vertex_normals(points, mesh)
    spread = interpolate(
        plan.ids, plan.points, mesh.triangles, np.concatenate([points[:, :2], normals[:, 2:]], 1)
    )
    own = sample_map(portrait.pixels, spread[..., 0], spread[..., 1])
    return own, smoothstep(0.1, 0.45, spread[..., 2])


def mend_hidden(own: NDArray[np.float32], seen: Mask) -> NDArray[np.float32]:
    """Parts that the portrait turns away, filled from the face's other side in this side's light."""
    side = own.shape[0]
    other, other_seen = own[:, ::-1], seen[:, ::-1]
    need = (1 - seen) * other_seen
    if need.max() < 0.05:
        return own
    plan = layout(side)
    coarse = layout(_COARSE)
    weights = shrink(seen * other_seen * plan.skin, _COARSE)
    gain, _ = light_gain(
        shrink(own, _COARSE),
        shrink(np.ascontiguousarray(other), _COARSE),
        light_basis(coarse.normals)[..., :5],
        weights,
        np.ones((_COARSE, _COARSE), np.float32),
        _COARSE * 0.06,
    )
    mirrored = (other + FLOOR) * np.exp(enlarge(gain, side)) - FLOOR
    return own + need[..., None] * (mirrored - own)


def bare(texture: NDArray[np.float32]) -> tuple[NDArray[np.float32], Mask]:
    """The texture with hair painted over by skin, and how bare each part is, 0..1 (side, side)."""
    side = texture.shape[0]
    plan = layout(_COARSE)
    coarse = shrink(texture, _COARSE)
    ys, xs = np.mgrid[0 : 1 : _COARSE * 1j, 0 : 1 : _COARSE * 1j].astype(np.float32)
    centre = smoothstep(
        0.42, 0.30, np.hypot((xs - 0.5) * 1.05, (ys - 0.5) * 0.85).astype(np.float32)
    )
    logs = np.log(coarse + FLOOR)
    fitted, _ = fit_light(logs, light_basis(plan.normals), plan.skin * centre)
    off = logs - fitted
    tone = luma(off)
    hue = np.abs(off - tone[..., None]).mean(axis=-1)
    grain = np.sqrt(
        np.maximum(
            shrink((luma(texture) - blur(luma(texture), side / _COARSE))[..., None] ** 2, _COARSE),
            0,
        )
    ) / (luma(coarse) + FLOOR)
    calm = plan.skin * centre > 0.5
    spread = np.median(np.abs(tone[calm])) * 1.5 + 0.06
    score = np.maximum(np.abs(tone) / spread, hue / (np.median(hue[calm]) * 1.5 + 0.04))
    score = np.maximum(score, grain / (np.median(grain[calm]) * 3 + 0.02))
    hair = smoothstep(2.0, 3.5, blur(score.astype(np.float32), 1.0))
    # Brows, eyes, lips and beard are the face's own: hair is looked for along the oval's upper part.
    reach = 1 - smoothstep(
        0.03, 0.16, inside_distance((fill_polygon(plan.points[list(OVAL)], _COARSE))) / _COARSE
    )
    upper = smoothstep(0.66, 0.5, ys)
    brow = np.maximum(reach * upper, smoothstep(0.30, 0.24, ys))
    hair = hair * brow * plan.browless
    hair = np.clip(blur(hair, 1.5) * 1.6, 0, 1)
    skin, _ = weighted_blur(coarse, plan.skin * (1 - hair) + 1e-5, _COARSE * 0.05)
    painted = texture + enlarge(hair, side)[..., None] * (enlarge(skin, side) - texture)
    return painted, 1 - enlarge(hair, side)


def prepare_texture(portrait: Portrait) -> MeshSource:
    """The portrait's texture at every level, hidden parts mended and hair made transparent."""
    own, seen = unwrap(portrait, SIDE)
    painted, bareness = bare(mend_hidden(own, seen))
    opacity = bareness * layout(SIDE).seam
    full = np.concatenate([painted, opacity[..., None]], axis=2).astype(np.float32)
    textures = [full]
    for _ in range(LEVELS - 1):
        textures.append(shrink(textures[-1], textures[-1].shape[0] // 2))
    shape, _ = frontal(portrait.face.mesh.points)
    return MeshSource(tuple(textures), shape)
