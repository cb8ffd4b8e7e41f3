"""A face as a texture in the canonical layout, made once per source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.geometry.shape import face_angle, to_frontal
from engine.pixels.raster import close_gaps
from engine.pixels.tone import blur, enlarge, luma, shrink, smoothstep, weighted_blur
from engine.swappers.mesh.beards import find_beard
from engine.swappers.mesh.layout import COARSE, layout, unwrap
from engine.swappers.mesh.light import FLOOR, calmed, fit_light, one_sided, skin_light
from engine.swappers.mesh.masks import eye_openings
from engine.values import BareFace, Mask, Points, Portrait

SIDE = 768
LEVELS = 3
LIGHT_SIGMA = 0.09 * COARSE
_ONE_SIDED = 0.1  # log units by which halves of a face differ in even light
# A part in deep shadow: log luma by which its other side is brighter, averaged over skin nearby.
_DARKER = (1.1, 1.7)
_LEVEL_SIGMA, _NEAR = 0.05 * COARSE, 0.1
# Shares of the forehead covered by hair or a hat, between which the whole forehead is left out, and
# then the brows.
_FRINGE, _OVER_BROWS = (0.25, 0.4), (0.42, 0.55)
# Of the side: softness of an occluder's edge, radius from which skin is taken to fill it, and half
# the width up to which it is filled.
_OCCLUDER_EDGE, _FILL, _NARROW = 0.006, 0.02, 0.035


@dataclass(frozen=True, slots=True, eq=False)
class MeshSource:
    """A prepared portrait: textures fine to coarse, each (side, side, 4) RGB and opacity.

    RGB has no light and no tone: plain skin is 1, and a log light added to its logarithm gives
    pixels + `light.FLOOR`. `detail` is its logarithm at the side `COARSE`.
    `shape` is the face's own shape, turned to the front (`geometry.shape.to_frontal`);
    `eyes` are the left and the right eye's openness; `hair` is the beard (COARSE, COARSE).
    """

    textures: tuple[NDArray[np.float32], ...]
    shape: Points
    eyes: tuple[float, float]
    detail: NDArray[np.float32]
    hair: Mask

    def level(self, size: int) -> NDArray[np.float32]:
        """Return the texture that is nearest to one texel a pixel in a crop of `size`."""
        return min(self.textures, key=lambda texture: abs(np.log(texture.shape[0] / size / 1.1)))


def strange(texture: NDArray[np.float32]) -> Mask:
    """Return a mask (side, side) of hair, background and rim light, 0..1.

    They differ from lit skin on cheeks, nose and chin in brightness, hue or roughness. Only the
    border along the oval is searched, and the forehead for hair: brows, eyes, lips and a beard
    within the face belong to it.
    """
    side = texture.shape[0]
    plan = layout(COARSE)
    coarse = shrink(texture, COARSE)
    logs = np.log(coarse + FLOOR)
    calm = plan.skin * plan.centre
    fitted, _ = fit_light(logs, plan.basis, calm)
    off = logs - fitted
    tone = luma(off)
    hue = np.abs(off - tone[..., None]).mean(axis=-1, dtype=np.float32)
    fine = luma(texture)
    fine = np.abs(fine - blur(fine, side / COARSE))
    rough = shrink(fine, COARSE) / (luma(coarse) + FLOOR)
    sure = calm > 0.5
    hair = np.maximum(
        _beyond(np.abs(tone), sure, 3.0, 0.12),
        np.maximum(_beyond(hue, sure, 3.0, 0.08), _beyond(rough, sure, 6.0, 0.04)),
    )
    glare = np.maximum(_beyond(tone, sure, 1.5, 0.06), _beyond(hue, sure, 2.0, 0.03))
    found = np.maximum(hair * plan.hairline, glare * plan.rim)
    spread = np.clip(blur(blur(found, 0.8), 1.2) * 1.6, 0, 1)
    covered = float((spread * plan.forehead).sum() / plan.forehead.sum())
    fringe = np.maximum(spread, smoothstep(*_FRINGE, covered) * plan.forehead)
    browless = np.maximum(plan.browless, smoothstep(*_OVER_BROWS, covered))
    return np.clip(enlarge(fringe * browless, side), 0, 1)


def _beyond(values: Mask, sure: NDArray[np.bool_], times: float, least: float) -> Mask:
    """Return a mask: 1 where `values` exceed `times` their median on skin plus `least`, else 0."""
    bound = float(np.median(np.abs(values[sure]))) * times + least
    return smoothstep(bound, 1.75 * bound, values)


def flattened(own: NDArray[np.float32], good: Mask, hair: Mask) -> NDArray[np.float32]:
    """Return a texture without its light and tone: log detail around 0, (side, side, 3).

    Args:
        own: a face in the layout, RGB (side, side, 3).
        good: how surely each part shows this face's skin, 0..1.
        hair: its beard (COARSE, COARSE), of which no light is read.
    """
    side = own.shape[0]
    plan = layout(COARSE)
    logs = np.log(shrink(own, COARSE) + FLOOR)
    own_face = shrink(good, COARSE)
    weights = plan.skin * own_face * plan.beardless * (1 - hair)
    light, trust = skin_light(logs, plan.basis, weights, LIGHT_SIGMA)
    light += one_sided(logs - light, weights * trust, _ONE_SIDED)
    detail = logs - light
    calm = calmed(detail, plan.skin * plan.browless)
    light += (own_face * plan.lipless)[..., None] * (detail - calm)
    return np.asarray(np.log(own + FLOOR) - enlarge(light, side), np.float32)


def covered(bare: BareFace, points: Points) -> Mask:
    """Return a mask (side, side) of what covers a face, 0..1.

    Args:
        bare: the bare part of the portrait's face.
        points: the face's mesh in the portrait's pixels, (468, 3).
    """
    side = len(bare.mask)
    placed = np.clip(affine.apply(bare.to_crop, points)[:, :2], 0, side - 1)
    shown, _ = unwrap(bare.mask[..., None], placed.astype(np.float32), SIDE)
    hidden = blur(1 - shown.reshape(SIDE, SIDE), SIDE * _OCCLUDER_EDGE)
    return smoothstep(0.08, 0.4, hidden)


def far_darker(own: NDArray[np.float32], good: Mask) -> Mask:
    """Return a mask of deep shadow on one side of a face only, 0..1.

    Skin is not visible in it: with the shadow removed, it would be noise and blotches.

    Args:
        own: a face in the layout, RGB (side, side, 3).
        good: how surely each part shows this face's skin, 0..1.
    """
    skin = layout(COARSE).skin * shrink(good, COARSE)
    level, near = weighted_blur(np.log(shrink(own, COARSE) + FLOOR), skin, _LEVEL_SIGMA)
    tone = luma(level)
    both = np.minimum(near, near[:, ::-1]) > _NEAR
    dark = smoothstep(*_DARKER, tone[:, ::-1] - tone) * both * layout(COARSE).aside
    return enlarge(blur(dark, _LEVEL_SIGMA / 3), own.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Flattened texture of one portrait, (side, side, 3), with two masks of it.

    `seen` tells how well each part is seen, `odd` how surely it is not this face's skin, 0..1.
    `hair` is the face's beard (COARSE, COARSE).
    """

    detail: NDArray[np.float32]
    seen: Mask
    odd: Mask
    hair: Mask

    @property
    def good(self) -> Mask:
        """Confidence that each part shows this face's skin, 0..1."""
        return self.seen * (1 - self.odd)

    def filled(self, other: View) -> View:
        """Return this view with its hidden parts taken from another one."""
        need = smoothstep(0.1, 0.5, other.good - self.good)
        return View(
            self.detail + need[..., None] * (other.detail - self.detail),
            self.seen + need * (other.seen - self.seen),
            self.odd + need * (other.odd - self.odd),
            self.hair,
        )

    def mirrored(self) -> View:
        """Return the view of the mirror image."""
        return View(self.detail[:, ::-1], self.seen[:, ::-1], self.odd[:, ::-1], self.hair[:, ::-1])


def view_of(portrait: Portrait) -> View:
    """Return the view of a portrait."""
    points = portrait.face.mesh.points
    own, seen = unwrap(portrait.pixels, points, SIDE)
    odd = strange(own)
    if portrait.bare is not None:
        odd = np.maximum(odd, covered(portrait.bare, points))
    good = seen * (1 - odd)
    hair = find_beard(shrink(own, COARSE), shrink(good, COARSE))
    detail = flattened(own, good, hair)
    return View(detail, seen * (1 - far_darker(own, good)), odd, hair)


def mended(view: View) -> tuple[NDArray[np.float32], Mask]:
    """Return a view's texture with hidden parts filled from its other side, and its opacity.

    Parts hidden on both sides are filled from their surroundings. They become transparent unless
    they are narrow, like the frame of a pair of glasses.
    """
    other = view.mirrored()
    detail = view.filled(other).detail
    lost = (1 - view.good) * (1 - other.good)
    around, near = weighted_blur(detail, 1 - lost, SIDE * _FILL)
    plain = around * np.clip(4 * near, 0, 1)[..., None]
    filled = detail + lost[..., None] * (plain - detail)
    return filled.astype(np.float32), close_gaps(1 - lost, SIDE * _NARROW)


def prepare_texture(portraits: Sequence[Portrait]) -> MeshSource:
    """Return the texture of one or more portraits of a person at every level.

    The portrait that is turned least gives shape and texture. Its hidden parts come from the next
    portrait that shows them, else from the other half of the face. Hair becomes transparent.
    """
    first, *others = sorted(portraits, key=lambda portrait: face_angle(portrait.face))
    view = view_of(first)
    for portrait in others:
        view = view.filled(view_of(portrait))
    points = first.face.mesh.points
    detail, opacity = mended(view)
    opacity = opacity * layout(SIDE).seam * layout(SIDE).closed
    full = np.concatenate([np.exp(detail), opacity[..., None]], axis=2).astype(np.float32)
    textures = [full]
    for _ in range(LEVELS - 1):
        textures.append(shrink(textures[-1], textures[-1].shape[0] // 2))
    shape, _ = to_frontal(points)
    coarse = np.log(shrink(full[..., :3], COARSE))
    return MeshSource(tuple(textures), shape, eye_openings(points), coarse, view.hair)
