"""Make the texture of a source in the canonical layout, without light; done once per source."""

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
from engine.swappers.mesh.light import (
    FLOOR,
    compress_detail,
    fit_light,
    one_sided_detail,
    skin_light,
)
from engine.swappers.mesh.masks import eye_openings
from engine.swappers.mesh.typical import typical_detail
from engine.values import BareFace, Mask, Points, Portrait

SIDE = 768
LEVELS = 3
LIGHT_SIGMA = 0.09 * COARSE
_ONE_SIDED = 0.1  # log units by which halves of a face differ in even light
# Deep shadow: log luma by which the other side is brighter, averaged over nearby skin.
_DARKER = (1.1, 1.7)
_LEVEL_SIGMA, _NEAR = 0.05 * COARSE, 0.1
# Shares of the forehead covered by hair or a hat, between which the whole forehead is left out, and
# then the brows.
_FRINGE, _OVER_BROWS = (0.25, 0.4), (0.42, 0.55)
# Of the side: softness of an occluder's edge, width of the skin along it that is filled, too, and
# half the width up to which it is filled.
_OCCLUDER_EDGE, _ALONG, _NARROW = 0.006, 0.01, 0.035
_FILL = (0.06, 0.03, 0.015)  # sigmas of the surroundings to fill from, of the side, far to near


@dataclass(frozen=True, slots=True, eq=False)
class MeshSource:
    """Source that is prepared for `MeshWarp`.

    Attributes:
        textures: levels from fine to coarse, each (side, side, 4): RGB and opacity. RGB has no
            light and no skin tone: plain skin is 1, and a log light added to the logarithm gives
            the logarithm of pixels + `light.FLOOR`.
        shape: the face's own shape, turned to the front (`geometry.shape.to_frontal`).
        eyes: openness of the left and of the right eye.
        detail: logarithm of the RGB at the side `COARSE`.
        beard: mask of the beard, (COARSE, COARSE).
    """

    textures: tuple[NDArray[np.float32], ...]
    shape: Points
    eyes: tuple[float, float]
    detail: NDArray[np.float32]
    beard: Mask

    def level_for(self, size: int) -> NDArray[np.float32]:
        """Return the level whose texels are closest to one pixel in a crop of `size`."""
        return min(self.textures, key=lambda texture: abs(np.log(texture.shape[0] / size / 1.1)))


def find_non_skin(texture: NDArray[np.float32]) -> Mask:
    """Return a mask (side, side) of hair, background and rim light, 0..1.

    These differ from the lit skin of cheeks, nose and chin in brightness, hue or roughness. Only
    the border along the oval and the forehead are searched, as brows, eyes, lips and a beard
    belong to the face.
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
        _outlier_mask(np.abs(tone), sure, 3.0, 0.12),
        np.maximum(_outlier_mask(hue, sure, 3.0, 0.08), _outlier_mask(rough, sure, 6.0, 0.04)),
    )
    glare = np.maximum(_outlier_mask(tone, sure, 1.5, 0.06), _outlier_mask(hue, sure, 2.0, 0.03))
    found = np.maximum(hair * plan.hairline, glare * plan.rim)
    spread = np.clip(blur(blur(found, 0.8), 1.2) * 1.6, 0, 1)
    covered = float((spread * plan.forehead).sum() / plan.forehead.sum())
    fringe = np.maximum(spread, smoothstep(*_FRINGE, covered) * plan.forehead)
    browless = np.maximum(plan.browless, smoothstep(*_OVER_BROWS, covered))
    return np.clip(enlarge(fringe * browless, side), 0, 1)


def _outlier_mask(values: Mask, sure: NDArray[np.bool_], times: float, least: float) -> Mask:
    """Return a mask of `values` above `times` their median on sure skin, plus `least`."""
    bound = float(np.median(np.abs(values[sure]))) * times + least
    return smoothstep(bound, 1.75 * bound, values)


def flatten_light(own: NDArray[np.float32], confidence: Mask, beard: Mask) -> NDArray[np.float32]:
    """Remove light and skin tone from a texture: log detail around 0, (side, side, 3).

    Args:
        own: a face in the layout, RGB (side, side, 3).
        confidence: that a texel shows this face's skin, 0..1 (side, side).
        beard: mask (COARSE, COARSE) of pixels that the light is not fitted to.
    """
    plan = layout(COARSE)
    light, detail = split_light(own, confidence, beard)
    compressed = compress_detail(detail, plan.skin * plan.browless, beard, typical_detail())
    light += (shrink(confidence, COARSE) * plan.lipless)[..., None] * (detail - compressed)
    return np.asarray(np.log(own + FLOOR) - enlarge(light, own.shape[0]), np.float32)


def split_light(
    own: NDArray[np.float32], confidence: Mask, beard: Mask
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return light with skin tone, and log detail, both log RGB (COARSE, COARSE, 3).

    Arguments are those of `flatten_light`.
    """
    plan = layout(COARSE)
    logs = np.log(shrink(own, COARSE) + FLOOR)
    weights = plan.skin * shrink(confidence, COARSE) * plan.beardless * (1 - beard)
    light, trust = skin_light(logs, plan.basis, weights, LIGHT_SIGMA)
    light += one_sided_detail(logs - light, weights * trust, _ONE_SIDED)
    return light, logs - light


def occlusion_mask(bare: BareFace, points: Points) -> Mask:
    """Return a mask (SIDE, SIDE) of the parts that something covers, 0..1.

    Args:
        bare: the bare part of the portrait's face.
        points: the face's mesh in the portrait's pixels, (468, 3).
    """
    side = len(bare.mask)
    placed = np.clip(affine.apply(bare.to_crop, points)[:, :2], 0, side - 1)
    shown, _ = unwrap(bare.mask[..., None], placed.astype(np.float32), SIDE)
    hidden = blur(1 - shown.reshape(SIDE, SIDE), SIDE * _OCCLUDER_EDGE)
    return smoothstep(0.08, 0.4, hidden)


def _with_edges(occlusion: Mask) -> Mask:
    """Return the mask of an occlusion, extended by the skin along it.

    A frame's shadow and the edge of a lens lie there, and would stay as lines on the skin.
    """
    along = smoothstep(0.02, 0.2, blur(occlusion, SIDE * _ALONG))
    return np.asarray(np.maximum(occlusion, along * layout(SIDE).skin), np.float32)


def deep_shadow_mask(own: NDArray[np.float32], confidence: Mask) -> Mask:
    """Return a mask (side, side) of parts that are in deep shadow on one side only, 0..1.

    Skin is not visible there: without the shadow, it would be noise and blotches.

    Args:
        own: a face in the layout, RGB (side, side, 3).
        confidence: that a texel shows this face's skin, 0..1 (side, side).
    """
    skin = layout(COARSE).skin * shrink(confidence, COARSE)
    level, near = weighted_blur(np.log(shrink(own, COARSE) + FLOOR), skin, _LEVEL_SIGMA)
    tone = luma(level)
    both = np.minimum(near, near[:, ::-1]) > _NEAR
    dark = smoothstep(*_DARKER, tone[:, ::-1] - tone) * both * layout(COARSE).off_middle
    return enlarge(blur(dark, _LEVEL_SIGMA / 3), own.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class PortraitTexture:
    """Texture of one portrait, or of several merged ones, with masks; all have one side.

    Attributes:
        detail: log RGB without light and tone, (side, side, 3).
        visibility: 0 where the face is turned away or in deep shadow, 1 where it is visible.
        not_skin: 1 on hair, background and occluders.
        beard: mask of the beard, (COARSE, COARSE).
    """

    detail: NDArray[np.float32]
    visibility: Mask
    not_skin: Mask
    beard: Mask

    @property
    def confidence(self) -> Mask:
        """Confidence that each texel shows this face's skin, 0..1."""
        return self.visibility * (1 - self.not_skin)

    def filled_from(self, other: PortraitTexture) -> PortraitTexture:
        """Return this texture with its hidden parts taken from another one."""
        need = smoothstep(0.1, 0.5, other.confidence - self.confidence)
        return PortraitTexture(
            self.detail + need[..., None] * (other.detail - self.detail),
            self.visibility + need * (other.visibility - self.visibility),
            self.not_skin + need * (other.not_skin - self.not_skin),
            self.beard,
        )

    def mirrored(self) -> PortraitTexture:
        """Return the texture of the mirror image."""
        return PortraitTexture(
            self.detail[:, ::-1],
            self.visibility[:, ::-1],
            self.not_skin[:, ::-1],
            self.beard[:, ::-1],
        )


def portrait_texture(portrait: Portrait) -> PortraitTexture:
    """Return the texture of a portrait."""
    points = portrait.face.mesh.points
    own, visibility = unwrap(portrait.pixels, points, SIDE)
    not_skin = find_non_skin(own)
    if portrait.bare is not None:
        not_skin = np.maximum(not_skin, _with_edges(occlusion_mask(portrait.bare, points)))
    confidence = visibility * (1 - not_skin)
    beard = find_beard(shrink(own, COARSE), shrink(confidence, COARSE))
    detail = flatten_light(own, confidence, beard)
    visibility = visibility * (1 - deep_shadow_mask(own, confidence))
    return PortraitTexture(detail, visibility, not_skin, beard)


def fill_hidden(texture: PortraitTexture) -> tuple[NDArray[np.float32], Mask]:
    """Fill hidden parts from the other half of the face; return log detail and opacity.

    Parts that both halves hide are filled from their surroundings (inpainted). They become
    transparent unless they are narrow, like the frame of a pair of glasses.
    """
    other = texture.mirrored()
    detail = texture.filled_from(other).detail
    lost = (1 - texture.confidence) * (1 - other.confidence)
    filled = detail + lost[..., None] * (_surroundings(detail, 1 - lost) - detail)
    return filled.astype(np.float32), close_gaps(1 - lost, SIDE * _NARROW)


def _surroundings(detail: NDArray[np.float32], weights: Mask) -> NDArray[np.float32]:
    """Return the smooth detail around each texel, from as near as there is weight."""
    side = 2 * COARSE
    given, sure = shrink(detail * weights[..., None], side), shrink(weights, side)
    smooth: NDArray[np.float32] = np.zeros_like(given)
    for sigma in _FILL:
        near = blur(sure, sigma * side)
        mean = blur(given, sigma * side) / np.maximum(near, np.float32(1e-4))[..., None]
        smooth += np.clip(4 * near, 0, 1)[..., None] * (mean - smooth)
    return enlarge(smooth, detail.shape[0])


def prepare_texture(portraits: Sequence[Portrait]) -> MeshSource:
    """Return the prepared source of one or more portraits of a person.

    Shape and texture come from the least turned portrait. Its hidden parts come from the next
    portrait in which they are visible, else from the other half of the face. Hair becomes
    transparent.
    """
    first, *others = sorted(portraits, key=lambda portrait: face_angle(portrait.face))
    texture = portrait_texture(first)
    for portrait in others:
        texture = texture.filled_from(portrait_texture(portrait))
    points = first.face.mesh.points
    detail, opacity = fill_hidden(texture)
    opacity = opacity * layout(SIDE).seam * layout(SIDE).outside_mouth
    full = np.concatenate([np.exp(detail), opacity[..., None]], axis=2).astype(np.float32)
    textures = [full]
    for _ in range(LEVELS - 1):
        textures.append(shrink(textures[-1], textures[-1].shape[0] // 2))
    shape, _ = to_frontal(points)
    coarse = np.log(shrink(full[..., :3], COARSE))
    return MeshSource(tuple(textures), shape, eye_openings(points), coarse, texture.beard)
