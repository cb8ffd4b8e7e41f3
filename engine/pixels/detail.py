"""Match sharpness and grain of one picture to another."""

from __future__ import annotations

import numpy as np

from engine.pixels.tone import blur, luma
from engine.values import Mask, Pixels

_BANDS = (0.7, 1.4, 2.8)  # Gaussian sigmas, in pixels of the frame
_STRIDE = 2  # a quarter of the pixels is enough to measure a band's strength
_LEAST_GAIN = 0.15  # no band is reduced further
_GRAIN = 2.5  # mean deviations; larger amplitudes are features, not grain


def match_detail(pixels: Pixels, like: Pixels, where: Mask, scale: float) -> Pixels:
    """Return `pixels` not sharper than `like`, and with its grain.

    The fine bands of luma are compared where `where` has weight (bare skin). A band that is
    stronger than in `like` is reduced to the same strength. If the finest band (noise, grain) is
    weaker, the difference is taken from `like` itself, so that the grain is the target's own.

    Args:
        pixels: (h, w, 3) RGB 0..1.
        like: (h, w, 3) RGB 0..1.
        where: (h, w) weights of the comparison.
        scale: pixels of these pictures per pixel of the frame that they come from.
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
            change += (max(ratio, _LEAST_GAIN) - 1) * own_band
        elif index == 0:
            missing = np.sqrt(1 - 1 / ratio**2)
            grain = np.clip(other_band, -_GRAIN * other_power, _GRAIN * other_power)
            change += missing * grain
        own, other = own_low, other_low
    out: Pixels = pixels + change[..., None]
    return out


def _power(band: Mask, where: Mask, total: float) -> float:
    """Return the weighted mean amplitude of a band, from every `_STRIDE`-th pixel."""
    sampled = np.abs(band[::_STRIDE, ::_STRIDE]) * where[::_STRIDE, ::_STRIDE]
    return float(sampled.sum()) / total
