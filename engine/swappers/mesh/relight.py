"""Estimate the light on a target's face, in which the source's skin is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pixels.tone import Field, blur, luma, smoothstep
from engine.swappers.mesh.beards import find_beard
from engine.swappers.mesh.layout import COARSE, layout, unwrap_crop
from engine.swappers.mesh.light import FLOOR, antisymmetric_light, faded_blur, skin_light
from engine.swappers.mesh.masks import dark_parts
from engine.swappers.mesh.texture import LIGHT_SIGMA
from engine.values import Aligned, Mask

_TONE_SIGMA = 0.12 * COARSE  # scale at which the swapped skin meets the target's tone
_MOST = 0.4  # log units of the largest correction for that
_ONE_SIDED = 0.08  # log units by which halves of a face differ in even light
_RELIEF_SIGMA = 0.05 * COARSE
_RELIEF = 1.15  # largest strength of the source's relief, relative to the target's
_LEAST_RELIEF = 0.45  # share of its relief that a source keeps, as it is identity
_SURE = 0.5
_PLAIN = 0.2
_FEW = 100  # cells of the grid
_HIGHLIGHTS = 99  # percentile of skin's luma
_COLOURED = (0.01, 0.03)  # mean difference of RGB and luma, from a grey picture to a coloured one


@dataclass(frozen=True, slots=True, eq=False)
class TargetLight:
    """Light on a target's face, in the canonical layout at the side `COARSE`.

    Attributes:
        light: log RGB to add to the logarithm of a texture without light.
        not_skin: 1 on a beard and where something covers the skin, such as hair.
        colour: 0 for a black-and-white picture, 1 for a coloured one.
        highlights: luma of the brightest skin, 0..1.
    """

    light: Field
    not_skin: Mask
    colour: float
    highlights: float


def estimate_light(target: Aligned, detail: Field, source_beard: Mask) -> TargetLight:
    """Estimate the light on a target's face, for one source.

    The low frequencies of the swapped face become the target's, so that the tone of forehead,
    cheeks and chin matches the skin around them.

    Args:
        target: the target's crop.
        detail: the source's log detail, (COARSE, COARSE, 3).
        source_beard: mask of the source's beard, which does not take the tone of the target's skin.
    """
    plan = layout(COARSE)
    own, shown = unwrap_crop(target.pixels, target.mesh)
    if target.bare is not None:
        bare, _ = unwrap_crop(target.bare[..., None], target.mesh)
        shown = shown * bare.reshape(COARSE, COARSE)
    logs = np.log(own + FLOOR)
    skin = plan.skin * shown
    beard = find_beard(own, shown)
    sure = skin * plan.beardless * (1 - beard)
    light, _ = skin_light(logs, plan.basis, sure, LIGHT_SIGMA)
    other = np.maximum(dark_parts(logs - light - detail, skin), beard)
    light += antisymmetric_light(logs - light, skin * (1 - other), _ONE_SIDED)
    colour = _colourfulness(own, sure)
    tone = luma(detail)[..., None]
    drawn = tone + np.float32(colour) * (detail - tone)
    surest = sure * (1 - other) * (1 - source_beard)
    light += np.clip(faded_blur(logs - light - drawn, surest, _TONE_SIGMA), -_MOST, _MOST)
    excess = _excess_relief(_relief(drawn), _relief(logs - light), surest)
    light -= (skin * plan.browless * (1 - source_beard) * excess)[..., None]
    return TargetLight(light, other, colour, _highlight_luma(own, surest))


def _relief(detail: Field) -> Mask:
    """Return the relief of skin, its wrinkles and folds: log luma without its low frequencies."""
    tone = luma(detail)
    return tone - blur(tone, _RELIEF_SIGMA)


def _excess_relief(relief: Mask, own: Mask, weights: Mask) -> Mask:
    """Return the part of a source's relief that exceeds the strength of the target's.

    Wrinkles of an old face in hard light look like dirt on a child's face or in soft light.
    Strengths are medians, so that the edge of a shadow does not count.
    """
    sure = weights > _PLAIN
    if sure.sum() < _FEW:
        return np.zeros_like(relief)
    strength, usual = (float(np.median(np.abs(one[sure]))) for one in (relief, own))
    share = np.clip(_RELIEF * usual / max(strength, 1e-6), _LEAST_RELIEF, 1)
    return np.asarray((1 - share) * relief, np.float32)


def _colourfulness(own: Field, weights: Mask) -> float:
    """Return 0 if the skin of a picture is grey, 1 if it is coloured, with a ramp between."""
    apart = np.abs(own - luma(own)[..., None]).mean(axis=-1)
    mean = float((apart * weights).sum() / max(float(weights.sum()), 1e-6))
    return float(smoothstep(*_COLOURED, mean))


def _highlight_luma(own: Field, weights: Mask) -> float:
    """Return the luma of the brightest skin, 0..1; 1 if too little skin is visible."""
    sure = weights > _SURE
    return float(np.percentile(luma(own)[sure], _HIGHLIGHTS)) if sure.sum() >= _FEW else 1.0
