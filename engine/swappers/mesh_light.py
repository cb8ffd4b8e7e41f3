"""Light: what must be done to a source's skin so that it lies in the target's light.

The gain is a smooth field of factors on RGB. Most of it is a robust fit of few terms in position
and surface normal (a head's side light, shadow and colour cast are that smooth), so the source's
features keep their own contrast; a local rest follows the target more closely near the seam.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.pixels.tone import Field, weighted_blur
from engine.values import Mask

FLOOR = 0.03  # keeps the logarithm of black finite
# Light's terms may turn by this much: the source's own shading by shape is identity and stays.
_RIDGE = (1e-6, 2e-2, 2e-2, *[1.0] * 5)
_MOST = 2.5  # log units of the strongest gain
_ROUNDS = 3
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


def light_gain(
    target: Field,
    source: Field,
    basis: NDArray[np.float32],
    weights: Mask,
    closeness: Mask,
    *,
    sigma: float,
) -> tuple[Field, Field]:
    """Log factors (h, w, 3) that put `source` into the light of `target`, and what is left.

    Args:
        target: (h, w, 3) RGB 0..1 on a coarse grid.
        source: the same for the warped source.
        basis: `light_basis` of the target's normals.
        weights: where both show skin.
        closeness: how far the local rest is followed, 0..1.
        sigma: scale of the local rest, in grid pixels.
    """
    ratio = np.log(target + FLOOR) - np.log(source + FLOOR)
    fitted, trust = fit_light(ratio, basis, weights)
    rest = np.clip(ratio - fitted, -0.5, 0.5)
    local, seen = weighted_blur(rest, weights * trust**2 + 1e-6, sigma)
    local *= np.clip(seen * 4, 0, 1)[..., None]
    gain = np.clip(fitted + local * closeness[..., None], -_MOST, _MOST)
    return gain, ratio - fitted
