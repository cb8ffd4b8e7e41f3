"""Fine detail: sharpness and grain of one picture brought to another's."""

from __future__ import annotations

import numpy as np

from engine.pixels.tone import blur, luma
from engine.values import Mask, Pixels

_BANDS = (0.7, 1.4, 2.8)  # Gaussian sigmas, in pixels of the frame
_STRIDE = 2  # a quarter of the pixels tells a band's strength as well
_DULLEST = 0.15  # no band is taken back further than this
_GRAIN = 2.5  # amplitudes, in mean deviations, from which detail is features and not grain


def match_detail(pixels: Pixels, like: Pixels, where: Mask, scale: float) -> Pixels:
    """`pixels` (h, w, 3) no sharper than `like`, and with its grain.

    The luma's fine bands are compared on `where` (bare skin). A band that is stronger than in
    `like` is taken back to its strength; where `like` has more of the finest band (noise, grain),
    what is missing is taken from `like` itself, so that it moves and looks as the film's own.

    Args:
        pixels: RGB 0..1.
        like: RGB 0..1 of the same size.
        where: weights of the comparison.
        scale: pixels of these pictures per pixel of the frame they came from.
    """
    total = float(where[::_STRIDE, ::_STRIDE].sum())
    if total < 1:
        return pixels
    own, other = luma(pixels), luma(like)
    change = np.zeros_like(own)
    for index, sigma in enumerate(_BANDS):
        own_low, other_low = blur(own, sigma * scale), blur(other, sigma * scale)
        own_band, other_band = own - own_low, other - other_low
        own_power, other_power = (_power(band, where, total) for band in (own_band, other_band))
        ratio = other_power / max(own_power, 1e-6)
        if ratio < 1:
            change += (max(ratio, _DULLEST) - 1) * own_band
        elif index == 0:
            missing = np.sqrt(1 - 1 / ratio**2)
            grain = np.clip(other_band, -_GRAIN * other_power, _GRAIN * other_power)
            change += missing * grain
        own, other = own_low, other_low
    out: Pixels = pixels + change[..., None]
    return out


def _power(band: Mask, where: Mask, total: float) -> float:
    """The weighted mean of the band's size, from some of its pixels."""
    sampled = np.abs(band[::_STRIDE, ::_STRIDE]) * where[::_STRIDE, ::_STRIDE]
    return float(sampled.sum()) / total
