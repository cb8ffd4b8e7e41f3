"""Match the colours of a patch to those of the target's crop.

The map is the linear Monge-Kantorovitch map (Pitie and Kokaram 2007, "The linear Monge-Kantorovitch
linear colour mapping for example-based colour transfer"). Of all linear maps that give one set of
colours the mean and covariance of another, it moves the colours least. It is symmetric: it scales
along three orthogonal axes that depend on the two pictures, where Reinhard et al. 2001 use fixed
axes. A light of another colour is a gain for each channel, hence such a map, and is undone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.geometry.robust import fit_reweighted
from engine.pixels.tone import resize_square, transform
from engine.values import Aligned, Patch, Pixels

_GRID = 32  # side of the grid on which colours are compared, without their grain
_NOISE = 0.01  # RGB 0..1: standard deviation that is noise
_MAX_GAIN = 2.0  # largest eigenvalue of the gain; its inverse is the smallest

_OUTLIER = 0.1  # RGB 0..1: difference at which a pixel's weight is halved

_Matrix = NDArray[np.float64]


def match_colours(target: Aligned, patch: Patch) -> Patch:
    """Give a patch the mean and covariance of the target's colours.

    Pixels are weighted by the patch's mask and the target's bare face. Pixels that differ by more
    than the colour of light, such as brows and beards, are down-weighted. A patch whose mask is
    nearly empty is returned unchanged.
    """
    mask = patch.mask if target.bare is None else np.minimum(patch.mask, target.bare)
    shown = resize_square(mask, _GRID).ravel()
    if float(shown.sum()) < 1:
        return patch
    own, wanted = _colours(patch.pixels), _colours(target.pixels)

    def fit(weights: NDArray[np.floating]) -> tuple[tuple[_Matrix, _Matrix], _Matrix]:
        mean, covariance = _moments(own, weights)
        wanted_mean, wanted_covariance = _moments(wanted, weights)
        gain = _transport_map(covariance, wanted_covariance)
        shift = wanted_mean - gain @ mean
        return (gain, shift), np.linalg.norm(own @ gain + shift - wanted, axis=1)

    (gain, shift), _ = fit_reweighted(fit, shown, _OUTLIER)
    pixels = transform(patch.pixels, np.column_stack([gain, shift]))
    return replace(patch, pixels=np.clip(pixels, 0, 1, out=pixels))


def _colours(pixels: Pixels) -> _Matrix:
    """Return the RGB colours of a coarse copy, (n, 3)."""
    return resize_square(pixels, _GRID).reshape(-1, 3).astype(np.float64)


def _moments(colours: _Matrix, weights: NDArray[np.floating]) -> tuple[_Matrix, _Matrix]:
    """Return the weighted mean (3,) and covariance (3, 3) of colours (n, 3)."""
    shares = weights / weights.sum()
    mean = shares @ colours
    rest = colours - mean
    return mean, (rest * shares[:, None]).T @ rest


def _transport_map(covariance: _Matrix, wanted: _Matrix) -> _Matrix:
    """Return the symmetric gain (3, 3) that takes a covariance A to the wanted covariance B.

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, with bounded eigenvalues.
    """
    floor = _NOISE**2 * np.eye(3)
    root = _matrix_root(covariance + floor)
    back = np.linalg.inv(root)
    gain = back @ _matrix_root(root @ (wanted + floor) @ root) @ back
    eigenvalues, eigenvectors = np.linalg.eigh(gain)
    return _from_eigen(eigenvectors, np.clip(eigenvalues, 1 / _MAX_GAIN, _MAX_GAIN))


def _matrix_root(matrix: _Matrix) -> _Matrix:
    """Return the symmetric square root of a positive semidefinite matrix."""
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    return _from_eigen(eigenvectors, np.sqrt(np.maximum(eigenvalues, 0)))


def _from_eigen(eigenvectors: _Matrix, eigenvalues: _Matrix) -> _Matrix:
    """Return the symmetric matrix with these eigenvectors, as columns, and eigenvalues."""
    return (eigenvectors * eigenvalues) @ eigenvectors.T
