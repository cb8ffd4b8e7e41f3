"""Light: what of a face's look is light, and what is skin.

Logarithms of RGB are a sum of light, tone and skin's own detail. The light is a smooth field: a
robust fit of few terms in position and surface normal (a head's side light, shadow and colour cast
are that smooth), and a blur of what that leaves. All fields lie in the canonical layout, in which
the halves of a face are mirror images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.pixels.tone import Field, luma, weighted_blur
from engine.values import Mask

FLOOR = 0.03  # keeps the logarithm of black finite
# Light's terms may turn by this much: the source's own shading by shape is identity and stays.
_RIDGE = (1e-6, 2e-2, 2e-2, *[1.0] * 5)
_ROUNDS = 3
# Log units of skin's own detail, above which it is drawn in.
_GLARE, _SHADOW, _COLOUR = 0.22, 0.65, 0.1
_OUTLIER = 0.25  # log units at which a pixel's say has halved


def light_basis(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Terms that light on a head is fitted with: (h, w, 8) for unit `normals` (h, w, 3).

    1, x, y, the normal's x and y, and their products: the first two orders of spherical harmonics
    (Ramamoorthi and Hanrahan 2001) and a linear drift over the picture.
    """
    height, width = normals.shape[:2]
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    nx, ny = normals[..., 0], normals[..., 1]
    terms = (np.ones_like(xs), xs, ys, nx, ny, nx * ny, nx * nx - ny * ny, nx * nx + ny * ny)
    return np.stack(terms, axis=-1)


def fit_light(
    ratio: Field, basis: NDArray[np.float32], weights: Mask
) -> tuple[Field, NDArray[np.float32]]:
    """Smooth field (h, w, 3) that explains the log `ratio` (h, w, 3), and each pixel's say.

    Iteratively re-weighted ridge regression; what differs by more than light does (hair, a hand,
    a beard) loses its say.
    """
    shape = ratio.shape[:2]
    terms = basis.reshape(-1, basis.shape[-1])
    values = ratio.reshape(-1, 3)
    start = weights.reshape(-1)
    say: NDArray[np.floating] = start
    ridge = np.diag(_RIDGE[: terms.shape[1]]).astype(np.float32)
    fitted: NDArray[np.floating] = np.zeros_like(values)
    for _ in range(_ROUNDS):
        weighted = terms * say[:, None]
        total = max(float(say.sum()), 1e-6)
        coefficients = np.linalg.solve(
            weighted.T @ terms / total + ridge, weighted.T @ values / total
        )
        fitted = terms @ coefficients
        off = np.abs(values - fitted).mean(axis=1)
        say = start / (1 + (off / _OUTLIER) ** 2)
    trust = say / np.maximum(start, np.float32(1e-6))
    return fitted.reshape(*shape, 3), trust.reshape(shape).astype(np.float32)


def skin_light(
    logs: Field, basis: NDArray[np.float32], weights: Mask, sigma: float
) -> tuple[Field, Mask]:
    """Return the light and tone of skin as a smooth field (h, w, 3), and each pixel's trust.

    The field is the robust fit of `basis` and a blur of what the fit leaves. It goes on smoothly
    under pixels without weight, such as eyes and lips.

    Args:
        logs: log RGB (h, w, 3).
        basis: `light_basis` of the same grid.
        weights: how surely each pixel shows skin, 0..1.
        sigma: scale of the blur, in grid pixels.
    """
    fitted, trust = fit_light(logs, basis, weights)
    return fitted + spread(logs - fitted, weights * trust, sigma), trust


def spread(rest: Field, weights: Mask, sigma: float) -> Field:
    """Return the weighted blur of `rest` (h, w, 3), 0 where there is hardly any weight near."""
    blurred, seen = weighted_blur(rest, weights + np.float32(1e-6), sigma)
    return np.asarray(blurred * np.clip(seen * 8, 0, 1)[..., None], np.float32)


def one_sided(detail: Field, weights: Mask, least: float) -> Field:
    """Return the part of a source's `detail` that one half of the face has alone, as light does.

    A face is nearly symmetric and light from one side is not: what both halves have in common is
    the face's own. Differences of up to `least` log units stay.

    Args:
        detail: log RGB (h, w, 3) in the canonical layout, where halves are mirror images.
        weights: how surely each pixel shows skin, 0..1.
        least: log units of luma.
    """
    twin = detail[:, ::-1]
    size = np.minimum(np.abs(detail), np.abs(twin))
    shared = np.sign(detail) * size * (detail * twin > 0)
    alone = np.asarray(detail - shared, np.float32)
    return _beyond(_on_both(alone, weights, 0.012), least)


def odd_light(detail: Field, weights: Mask, least: float) -> Field:
    """Return the antisymmetric part of a target's `detail`: shadows and light from one side.

    Arguments as for `one_sided`; finer differences than a shadow's are left out, as they are the
    target's own features.
    """
    return _beyond(_on_both(np.float32(0.5) * (detail - detail[:, ::-1]), weights, 0.03), least)


def _on_both(field: Field, weights: Mask, scale: float) -> Field:
    """Return `field` blurred by `scale` of its side, where both halves show skin."""
    both = np.minimum(weights, weights[:, ::-1])
    return spread(field, both, scale * field.shape[0])


def _beyond(field: Field, least: float) -> Field:
    """Return `field` with the size of its luma lessened by `least`, down to 0."""
    size = np.abs(luma(field))[..., None] + np.float32(1e-6)
    return np.asarray(field * np.maximum(size - least, 0) / size, np.float32)


def calmed(detail: Field) -> Field:
    """Return log detail of skin with what is too strong to be skin's own drawn in.

    Glare, hard shadows and coloured light exceed what skin shows by itself. In other light and on
    other skin they would become white, black and coloured blotches.
    """
    tone = luma(detail)[..., None]
    colour = detail - tone
    size = np.linalg.norm(colour, axis=-1, keepdims=True).astype(np.float32) + np.float32(1e-6)
    even = np.where(tone > 0, _drawn_in(tone, _GLARE), -_drawn_in(-tone, _SHADOW))
    return np.asarray(even + colour * _drawn_in(size, _COLOUR) / size, np.float32)


def _drawn_in(values: Field, knee: float) -> Field:
    """Return `values` as they are up to `knee`, and never more than 1.6 times that."""
    rest = 0.6 * knee
    return np.where(values < knee, values, knee + rest * np.tanh((values - knee) / rest))
