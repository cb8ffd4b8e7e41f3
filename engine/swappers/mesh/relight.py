"""The target's light on its own skin, in the canonical layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pixels.tone import Field, blur, luma, smoothstep
from engine.swappers.mesh.beards import find_beard
from engine.swappers.mesh.layout import COARSE, layout, unwrap_crop
from engine.swappers.mesh.light import FLOOR, odd_light, skin_light, spread
from engine.swappers.mesh.masks import foreign
from engine.swappers.mesh.texture import LIGHT_SIGMA
from engine.values import Aligned, Mask

_TONE_SIGMA = 0.12 * COARSE  # scale at which the swapped skin meets the target's tone
_MOST = 0.4  # log units by which it is moved for that
_ONE_SIDED = 0.08  # log units by which halves of a face differ in even light
_RELIEF_SIGMA = 0.05 * COARSE
_RELIEF = 1.15  # strength of the source's relief, of the target's
_LEAST_RELIEF = 0.45  # of the source's own: more is who it is
_SURE = 0.5
_PLAIN = 0.2
_FEW = 100  # cells of the grid
_HIGHLIGHTS = 99  # percentile of skin's luma
_COLOURED = (0.01, 0.03)  # mean difference of RGB and luma, from a grey picture to a coloured one


@dataclass(frozen=True, slots=True, eq=False)
class TargetLight:
    """Light read off a target; fields have the side `COARSE`.

    `light` is added to the logarithm of a flattened texture, RGB. `foreign` is 1 where something
    else than skin is in front, such as hair, and on the whole of a beard. `colour` is 0 for a
    black-and-white picture, else 1; `brightest` is the luma of its highlights, 0..1.
    """

    light: Field
    foreign: Mask
    colour: float
    brightest: float


def target_light(target: Aligned, detail: Field, hair: Mask) -> TargetLight:
    """Return the light on a target's face, for a source.

    The mean light of the swapped face over each part of some breadth is the target's, so the tone
    of forehead, cheeks and chin goes on in what is around them.

    Args:
        target: the crop.
        detail: the source's log detail, (COARSE, COARSE, 3).
        hair: the source's beard, which does not take the tone of the target's skin.
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
    other = np.maximum(foreign(logs - light - detail, skin), beard)
    light += odd_light(logs - light, skin * (1 - other), _ONE_SIDED)
    colour = _colour_of(own, sure)
    tone = luma(detail)[..., None]
    drawn = tone + np.float32(colour) * (detail - tone)
    surest = sure * (1 - other) * (1 - hair)
    light += np.clip(spread(logs - light - drawn, surest, _TONE_SIGMA), -_MOST, _MOST)
    excess = _too_strong(_relief(drawn), _relief(logs - light), surest)
    light -= (skin * plan.browless * (1 - hair) * excess)[..., None]
    return TargetLight(light, other, colour, _brightest(own, surest))


def _relief(detail: Field) -> Mask:
    """Return the relief of skin, its wrinkles and folds: the middle band of log luma."""
    tone = luma(detail)
    return tone - blur(tone, _RELIEF_SIGMA)


def _too_strong(relief: Mask, own: Mask, weights: Mask) -> Mask:
    """Return what a source's relief has over the target's own.

    A face in soft light, or a child's, shows the wrinkles of an old face in hard light as dirt.
    Medians count, as a shadow's edge is no relief.
    """
    sure = weights > _PLAIN
    if sure.sum() < _FEW:
        return np.zeros_like(relief)
    strength, usual = (float(np.median(np.abs(one[sure]))) for one in (relief, own))
    share = np.clip(_RELIEF * usual / max(strength, 1e-6), _LEAST_RELIEF, 1)
    return np.asarray((1 - share) * relief, np.float32)


def _colour_of(own: Field, weights: Mask) -> float:
    """Return how surely a picture is in colour, by its skin, 0..1."""
    apart = np.abs(own - luma(own)[..., None]).mean(axis=-1)
    mean = float((apart * weights).sum() / max(float(weights.sum()), 1e-6))
    return float(smoothstep(*_COLOURED, mean))


def _brightest(own: Field, weights: Mask) -> float:
    """Return the luma of the brightest skin, 0..1; 1 where hardly any is sure."""
    sure = weights > _SURE
    return float(np.percentile(luma(own)[sure], _HIGHLIGHTS)) if sure.sum() >= _FEW else 1.0
