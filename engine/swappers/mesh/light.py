"""Separate light from skin in a face's log RGB.

Log RGB is a sum of light, skin tone and the skin's own detail. Light is a smooth field: a robust
fit of a few terms in position and surface normal, which covers side light, shadow and colour cast,
plus a blur of the residual. All fields are in the canonical layout, in which the halves of a face
are mirror images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.geometry.robust import fit_reweighted
from engine.pixels.tone import Field, luma, weighted_blur
from engine.swappers.mesh.typical import TypicalDetail
from engine.values import Mask

FLOOR = 0.03  # keeps the logarithm of black finite
# Ridge of each term: strong for normals, as shading by the source's own shape is identity.
_RIDGE = (1e-6, 2e-2, 2e-2, *[1.0] * 5)
# Detail above these shares of what is usual is compressed, by at most this share more.
_TONE, _COLOUR, _REST = 1.15, 0.35, 0.5
_FEATURE_COLOUR = 0.7  # the same of colour on brows, lids and nostrils, which are who it is
_OUTLIER = 0.25  # log units: residual at which a pixel's weight is halved


def light_basis(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the terms of the light fit, (h, w, 8), for unit `normals` (h, w, 3).

    These are 1, x, y, the normal's x and y, and their products: the first two orders of spherical
    harmonics (Ramamoorthi and Hanrahan 2001), and a linear gradient over the picture.
    """
    height, width = normals.shape[:2]
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    nx, ny = normals[..., 0], normals[..., 1]
    terms = (np.ones_like(xs), xs, ys, nx, ny, nx * ny, nx * nx - ny * ny, nx * nx + ny * ny)
    return np.stack(terms, axis=-1)


def fit_light(
    ratio: Field, basis: NDArray[np.float32], weights: Mask
) -> tuple[Field, NDArray[np.float32]]:
    """Fit `basis` (h, w, n) to the log RGB `ratio` (h, w, 3).

    The fit is an iteratively reweighted ridge regression: pixels that differ by more than light,
    such as hair, hands and beards, are down-weighted.

    Returns:
        The fitted field (h, w, 3), and each pixel's trust (h, w), 0..1.
    """
    shape = ratio.shape[:2]
    terms = basis.reshape(-1, basis.shape[-1])
    values = ratio.reshape(-1, 3)
    start = weights.reshape(-1)
    ridge = np.diag(_RIDGE[: terms.shape[1]]).astype(np.float32)

    def fit(current: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        weighted = terms * current[:, None]
        total = max(float(current.sum()), 1e-6)
        coefficients = np.linalg.solve(
            weighted.T @ terms / total + ridge, weighted.T @ values / total
        )
        fitted = terms @ coefficients
        return fitted, np.abs(values - fitted).mean(axis=1)

    fitted, reweighted = fit_reweighted(fit, start, _OUTLIER)
    trust = reweighted / np.maximum(start, np.float32(1e-6))
    return fitted.reshape(*shape, 3), trust.reshape(shape).astype(np.float32)


def skin_light(
    logs: Field, basis: NDArray[np.float32], weights: Mask, sigma: float
) -> tuple[Field, Mask]:
    """Return the light and tone of skin as a smooth field (h, w, 3), and each pixel's trust.

    The field is the robust fit of `basis` plus a blur of its residual. It continues smoothly under
    pixels without weight, such as eyes and lips.

    Args:
        logs: log RGB (h, w, 3).
        basis: `light_basis` of the same grid.
        weights: how surely each pixel shows skin, 0..1.
        sigma: scale of the blur, in grid pixels.
    """
    fitted, trust = fit_light(logs, basis, weights)
    return fitted + faded_blur(logs - fitted, weights * trust, sigma), trust


def faded_blur(field: Field, weights: Mask, sigma: float) -> Field:
    """Return the weighted blur of `field` (h, w, 3), faded to 0 where nearby weights are small."""
    blurred, seen = weighted_blur(field, weights + np.float32(1e-6), sigma)
    return np.asarray(blurred * np.clip(seen * 8, 0, 1)[..., None], np.float32)


def one_sided_detail(detail: Field, weights: Mask, least: float) -> Field:
    """Return the part of a source's `detail` that only one half of the face has.

    A face is nearly symmetric, and light from one side is not. Detail that both halves have is
    therefore the face's own, and so are differences of up to `least` log units.

    Args:
        detail: log RGB (h, w, 3) in the canonical layout, where halves are mirror images.
        weights: how surely each pixel shows skin, 0..1.
        least: difference in log luma that is still the face's own.
    """
    twin = detail[:, ::-1]
    size = np.minimum(np.abs(detail), np.abs(twin))
    shared = np.sign(detail) * size * (detail * twin > 0)
    alone = np.asarray(detail - shared, np.float32)
    return _soft_threshold(_blur_both_halves(alone, weights, 0.012), least)


def antisymmetric_light(detail: Field, weights: Mask, least: float) -> Field:
    """Return the antisymmetric part of a target's `detail`: shadows and light from one side.

    Differences finer than a shadow are left out, as they are the target's own features. Arguments
    are those of `one_sided_detail`.
    """
    return _soft_threshold(
        _blur_both_halves(np.float32(0.5) * (detail - detail[:, ::-1]), weights, 0.03), least
    )


def _blur_both_halves(field: Field, weights: Mask, scale: float) -> Field:
    """Blur `field` by `scale` of its side, where both halves show skin."""
    both = np.minimum(weights, weights[:, ::-1])
    return faded_blur(field, both, scale * field.shape[0])


def _soft_threshold(field: Field, least: float) -> Field:
    """Reduce the magnitude of the luma of `field` by `least`, down to 0 (soft thresholding)."""
    size = np.abs(luma(field))[..., None] + np.float32(1e-6)
    return np.asarray(field * np.maximum(size - least, 0) / size, np.float32)


def compress_detail(detail: Field, skin: Mask, beard: Mask, usual: TypicalDetail) -> Field:
    """Compress log detail that is beyond what faces are like.

    Glare, hard shadows and coloured light exceed the detail of faces. In another light, or on other
    skin, they would be white, black and coloured blotches. Brows, lids and nostrils keep their
    light and shade, and more of their colour; beards are as dark as they are.

    Args:
        detail: log RGB (h, w, 3).
        skin: 1 on plain skin, 0 on features, (h, w).
        beard: 1 on a beard, (h, w).
        usual: what the same parts of faces are like.
    """
    tone = luma(detail)
    off = tone - usual.tone
    bright = _compress(off, _TONE * usual.brighter) - off
    dark = (beard - 1) * (_compress(-off, _TONE * usual.darker) + off)
    hue = detail - tone[..., None] - usual.colour
    size = np.linalg.norm(hue, axis=-1).astype(np.float32) + np.float32(1e-6)
    knee = usual.spread * (_FEATURE_COLOUR + skin * np.float32(_COLOUR - _FEATURE_COLOUR))
    colour = usual.colour + hue * (_compress(size, knee) / size)[..., None]
    return np.asarray((tone + skin * (bright + dark))[..., None] + colour, np.float32)


def _compress(values: Mask, knee: Mask) -> Mask:
    """Compress `values` above `knee` to at most 1.5 times it; leave lower ones unchanged."""
    rest = np.float32(_REST) * knee + np.float32(1e-6)
    return np.where(values < knee, values, knee + rest * np.tanh((values - knee) / rest))
