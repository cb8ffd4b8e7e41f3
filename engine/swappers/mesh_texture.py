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
    INNER_LIPS,
    LEFT_BROW,
    OVAL,
    RIGHT_BROW,
    face_mesh,
    frontal_points,
    vertex_normals,
)
from engine.geometry.shape import frontal
from engine.pixels.raster import (
    convex_hull,
    draw_triangles,
    fill_polygons,
    inside_distance,
    interpolate,
    sample_map,
)
from engine.pixels.tone import blur, enlarge, luma, shrink, smoothstep, weighted_blur
from engine.swappers.mesh_light import FLOOR, fit_light, light_basis, light_gain
from engine.swappers.mesh_masks import eye_openings, features
from engine.values import Mask, Points, Portrait

SIDE = 768
LEVELS = 3
_COARSE = 96
_SEEN = (0.3, 0.75)  # the normal's component towards the camera
# How wide the face fades along the oval, of the side: a forehead says little of who it is, and
# its shine and hairline differ most.
_SEAM, _BROAD_SEAM = 0.016, 0.045


@dataclass(frozen=True, slots=True, eq=False)
class MeshSource:
    """A prepared portrait: textures fine to coarse, each (side, side, 4) RGB and opacity.

    `shape` is the face's own shape, turned to the front (`geometry.shape.frontal`);
    `eyes` are the left and the right eye's openness.
    """

    textures: tuple[NDArray[np.float32], ...]
    shape: Points
    eyes: tuple[float, float]

    def level(self, size: int) -> NDArray[np.float32]:
        """The texture that is nearest to one texel a pixel in a crop of `size`."""
        return min(self.textures, key=lambda texture: abs(np.log(texture.shape[0] / size / 1.1)))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What depends on the canonical face alone, at one side; masks are (side, side)."""

    points: Points
    ids: NDArray[np.int16]
    normals: NDArray[np.float32]
    skin: Mask
    centre: Mask  # cheeks, nose and chin, where skin is sure to show
    hairline: Mask  # where hair may hang in
    rim: Mask  # along the oval
    browless: Mask
    closed: Mask  # 0 between the lips, where an open mouth shows its inside
    seam: Mask  # the fade along the oval


@cache
def layout_points(side: int) -> Points:
    """The layout's vertices in pixels of a texture of `side`, (468, 2)."""
    return (frontal_points(face_mesh())[:, :2] * side - 0.5).astype(np.float32)


@cache
def layout(side: int) -> Layout:
    """The canonical layout with its masks: bare skin, and the seam's fade along the oval."""
    mesh = face_mesh()
    frontal = frontal_points(mesh)
    points = layout_points(side)
    order = np.argsort(-frontal[mesh.triangles, 2].mean(axis=1))
    ids = draw_triangles(points, mesh.triangles, order, side)
    normals = interpolate(ids, points, mesh.triangles, vertex_normals(frontal, mesh))
    marked = np.clip(blur(features(points, side), side * 0.012) * 2, 0, 1)
    oval = fill_polygons([points[list(OVAL)]], side)
    brows = fill_polygons((convex_hull(points[list(r)]) for r in (LEFT_BROW, RIGHT_BROW)), side)
    browless = 1 - np.clip(blur(brows, side * 0.02) * 5, 0, 1)
    rows = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    width = _SEAM + (_BROAD_SEAM - _SEAM) * smoothstep(0.33, 0.2, rows)
    seam = smoothstep(0.0, 1.0, inside_distance(oval) / (width * side))
    lips = fill_polygons([points[list(INNER_LIPS)]], side)
    ys, xs = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j].astype(np.float32)
    radius = np.hypot((xs - 0.5) * 1.05, (ys - 0.5) * 0.85).astype(np.float32)
    rim = oval * (1 - smoothstep(0.05, 0.17, inside_distance(oval) / side))
    upper = np.maximum(rim * smoothstep(0.66, 0.5, ys), oval * smoothstep(0.30, 0.24, ys))
    return Layout(
        points=points,
        ids=ids,
        normals=normals,
        skin=oval * (1 - marked),
        centre=smoothstep(0.42, 0.30, radius),
        hairline=upper,
        rim=rim,
        browless=browless,
        closed=1 - np.clip(blur(lips, side * 0.003) * 1.5, 0, 1),
        seam=seam,
    )


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
    return own, smoothstep(*_SEEN, spread[..., 2])


def strange(texture: NDArray[np.float32]) -> Mask:
    """How surely each part is not this face's skin: hair, background, rim light; 0..1 (side, side).

    What counts is how far a part is from the light on cheeks, nose and chin, in brightness, hue and
    roughness. It is looked for along the oval, hair also on the forehead; brows, eyes, lips and a
    beard within the face are its own.
    """
    side = texture.shape[0]
    plan = layout(_COARSE)
    coarse = shrink(texture, _COARSE)
    logs = np.log(coarse + FLOOR)
    calm = plan.skin * plan.centre
    fitted, _ = fit_light(logs, light_basis(plan.normals), calm)
    off = logs - fitted
    tone = luma(off)
    hue = np.abs(off - tone[..., None]).mean(axis=-1, dtype=np.float32)
    fine = luma(texture)
    fine = np.abs(fine - blur(fine, side / _COARSE))
    rough = shrink(fine, _COARSE) / (luma(coarse) + FLOOR)
    sure = calm > 0.5
    hair = np.maximum(
        _beyond(np.abs(tone), sure, 3.0, 0.12),
        np.maximum(_beyond(hue, sure, 3.0, 0.08), _beyond(rough, sure, 6.0, 0.04)),
    )
    glare = np.maximum(_beyond(tone, sure, 1.5, 0.06), _beyond(hue, sure, 2.0, 0.03))
    found = np.maximum(hair * plan.hairline, glare * plan.rim)
    spread = np.clip(blur(blur(found, 0.8), 1.2) * 1.6, 0, 1)
    return np.clip(enlarge(spread * plan.browless, side), 0, 1)


def _beyond(values: Mask, sure: NDArray[np.bool_], times: float, least: float) -> Mask:
    """0 where `values` are as on sure skin, 1 where well beyond `times` its median and `least`."""
    bound = float(np.median(np.abs(values[sure]))) * times + least
    return smoothstep(bound, 1.75 * bound, values)


def mend(own: NDArray[np.float32], seen: Mask, odd: Mask) -> tuple[NDArray[np.float32], Mask]:
    """The texture with what is hidden or strange taken from the face's other side, and opacity.

    The other side is brought into this side's light. What is strange on both sides becomes plain
    skin, and transparent.
    """
    side = own.shape[0]
    good = seen * (1 - odd)
    other, other_good = np.ascontiguousarray(own[:, ::-1]), np.ascontiguousarray(good[:, ::-1])
    plan = layout(_COARSE)
    own_coarse, other_coarse = shrink(own, _COARSE), shrink(other, _COARSE)
    both = shrink(good * other_good, _COARSE) * plan.skin
    gain, _ = light_gain(
        own_coarse,
        other_coarse,
        light_basis(plan.normals),
        both,
        np.ones_like(both),
        sigma=_COARSE * 0.06,
    )
    mirrored = (other + FLOOR) * np.exp(enlarge(gain, side)) - FLOOR
    need = smoothstep(0.1, 0.5, other_good - good)
    filled = own + need[..., None] * (mirrored - own)
    lost = odd * (1 - other_good)
    skin, _ = weighted_blur(
        shrink(filled, _COARSE), plan.skin * shrink(1 - lost, _COARSE) + 1e-3, _COARSE * 0.05
    )
    return filled + lost[..., None] * (enlarge(skin, side) - filled), 1 - lost


def prepare_texture(portrait: Portrait) -> MeshSource:
    """The portrait's texture at every level, hidden parts mended and hair made transparent."""
    own, seen = unwrap(portrait, SIDE)
    mended, opacity = mend(own, seen, strange(own))
    opacity = opacity * layout(SIDE).seam * layout(SIDE).closed
    full = np.concatenate([mended, opacity[..., None]], axis=2).astype(np.float32)
    textures = [full]
    for _ in range(LEVELS - 1):
        textures.append(shrink(textures[-1], textures[-1].shape[0] // 2))
    points = portrait.face.mesh.points
    shape, _ = frontal(points)
    return MeshSource(tuple(textures), shape, eye_openings(points))
