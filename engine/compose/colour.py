"""The colours of a patch made those of the crop that it lies on.

By the linear Monge-Kantorovitch map (Pitie and Kokaram 2007, "The linear Monge-Kantorovitch linear
colour mapping for example-based colour transfer"): of all linear maps that give one set of colours
the mean and covariance of another, the one that moves them least. As it is symmetric, it stretches
along three directions of colour at right angles, which the colours themselves choose: channel by
channel in a space made for these two pictures, where Reinhard et al. 2001 take one space for all.
A light of another colour, which is a gain for each channel, is just such a map, and is undone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.pixels.tone import resize_square, transform
from engine.values import Aligned, Mask, Patch, Pixels

_GRID = 32  # side of the grid that the colours are compared on: faces, not their grain
_NOISE = 0.01  # RGB 0..1: a spread no larger than this says nothing of how strong colours are
_MAX_GAIN = 2.0  # the strongest gain, and of its inverse the weakest

_ROUNDS = 3
_OUTLIER = 0.1  # RGB 0..1: the difference at which a pixel's say has halved

_Matrix = NDArray[np.float64]


def match_colours(target: Aligned, patch: Patch) -> Patch:
    """The patch with the mean and the spread of the target's colours, both weighed by its mask.

    What is before the target's face has no weight, and what differs by more than colour does
    (brows, a beard) loses its own. A patch whose mask shows next to nothing is returned as it is.
    """
    mask = patch.mask if target.bare is None else np.minimum(patch.mask, target.bare)
    shown = resize_square(mask, _GRID).ravel()
    if float(shown.sum()) < 1:
        return patch
    own, wanted = _colours(patch.pixels), _colours(target.pixels)
    gain, shift = np.eye(3), np.zeros(3)
    say: NDArray[np.floating] = shown
    for _ in range(_ROUNDS):
        mean, spread = _moments(own, say)
        wanted_mean, wanted_spread = _moments(wanted, say)
        gain = _transport_map(spread, wanted_spread)
        shift = wanted_mean - gain @ mean
        off = np.linalg.norm(own @ gain + shift - wanted, axis=1)
        say = shown / (1 + (off / _OUTLIER) ** 2)
    pixels = transform(patch.pixels, np.column_stack([gain, shift]))
    return replace(patch, pixels=np.clip(pixels, 0, 1, out=pixels))


def _colours(pixels: Pixels) -> _Matrix:
    """The colours of a coarse copy, (n, 3)."""
    return resize_square(pixels, _GRID).reshape(-1, 3).astype(np.float64)


def _moments(colours: _Matrix, weights: Mask) -> tuple[_Matrix, _Matrix]:
    """Mean (3,) and covariance (3, 3)."""
    say = weights / weights.sum()
    mean = say @ colours
    rest = colours - mean
    return mean, (rest * say[:, None]).T @ rest


def _transport_map(spread: _Matrix, wanted: _Matrix) -> _Matrix:
    """The symmetric gain (3, 3) that gives colours of the covariance `spread` the one `wanted`.

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, its stretches bounded.
    """
    floor = _NOISE**2 * np.eye(3)
    root = _matrix_root(spread + floor)
    back = np.linalg.inv(root)
    gain = back @ _matrix_root(root @ (wanted + floor) @ root) @ back
    stretches, directions = np.linalg.eigh(gain)
    return _from_eigen(directions, np.clip(stretches, 1 / _MAX_GAIN, _MAX_GAIN))


def _matrix_root(matrix: _Matrix) -> _Matrix:
    """The symmetric square root of a symmetric matrix without negative stretches."""
    stretches, directions = np.linalg.eigh(matrix)
    return _from_eigen(directions, np.sqrt(np.maximum(stretches, 0)))


def _from_eigen(directions: _Matrix, stretches: _Matrix) -> _Matrix:
    """The symmetric matrix that stretches so along these directions, unit columns."""
    return (directions * stretches) @ directions.T
