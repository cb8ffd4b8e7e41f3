"""Similarities and affine maps of the plane, as (2, 3) float64 matrices.

A matrix maps the column (x, y, 1) to (x', y').
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.values import Affine

Coordinates = TypeVar("Coordinates", np.float32, np.float64)

# Source points coincide, within the precision of float32, if their spread is less than this share
# of their distance from the origin, or of one pixel.
_SMALLEST_SPREAD = 1e-6


def fit_similarity(
    source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None
) -> Affine:
    """Return the rotation, uniform scale and shift that best maps `source` to `target`.

    Weighted least squares in closed form after S. Umeyama, "Least-squares estimation of
    transformation parameters between two point patterns", 1991. In the plane, with points as
    complex numbers, it is one quotient. The result never reflects.

    Args:
        source: (n, 2) points, n >= 2.
        target: (n, 2) points.
        weights: (n,) weights, not negative; default: all 1.

    Raises:
        ValueError: the shapes differ, a value is not finite, or the source points coincide.
    """
    start = np.asarray(source, np.float64)
    end = np.asarray(target, np.float64)
    if start.ndim != 2 or start.shape[1] != 2 or start.shape != end.shape or len(start) < 2:
        raise ValueError(
            f"A similarity needs two equal lists of at least two (x, y) points, "
            f"not shapes {start.shape} and {end.shape}."
        )
    mass = np.ones(len(start)) if weights is None else np.asarray(weights, np.float64)
    if mass.shape != (len(start),) or not np.all(mass >= 0) or not mass.sum() > 0:
        raise ValueError(
            f"A similarity of {len(start)} points needs as many weights, none negative "
            f"and one positive, not {mass.tolist()}."
        )
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise ValueError("A similarity needs finite points; some are NaN or infinite.")
    mass = mass / mass.sum()
    start_centre, end_centre = mass @ start, mass @ end
    a = (start - start_centre) @ np.array([1, 1j])
    b = (end - end_centre) @ np.array([1, 1j])
    spread = float(mass @ np.abs(a) ** 2)
    if np.sqrt(spread) <= _SMALLEST_SPREAD * max(1.0, float(np.abs(start_centre).max())):
        raise ValueError("A similarity cannot be fitted: the source points coincide.")
    turn = complex(np.sum(mass * np.conj(a) * b)) / spread
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, end_centre - linear @ start_centre])


def identity() -> Affine:
    """Return the identity."""
    return np.eye(2, 3)


def shift(x: float, y: float) -> Affine:
    """Return the translation by (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def rotate(degrees: float, x: float, y: float) -> Affine:
    """Return the rotation around (x, y), from the x axis towards the y axis."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cosine, -sine, x], [sine, cosine, y]])
    return compose(shift(-x, -y), turn)


def rescale(x: float, y: float | None = None) -> Affine:
    """Return the map of a picture resampled by the factors `x` and `y` (default: `x`).

    Pixel centres have integer coordinates. The picture's edge stays at -0.5, so the map is not a
    plain multiplication.
    """
    y = x if y is None else y
    return np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2]])


def unturn(quarter_turns: int, width: int, height: int) -> Affine:
    """Return the map from the pixels of a rotated picture back to the original.

    The original has (width, height). Quarter turns are counter-clockwise, as in `numpy.rot90`.
    """
    x, y = width - 1.0, height - 1.0
    return (
        np.array([[1.0, 0, 0], [0, 1, 0]]),
        np.array([[0.0, -1, x], [1, 0, 0]]),
        np.array([[-1.0, 0, x], [0, -1, y]]),
        np.array([[0.0, 1, 0], [-1, 0, y]]),
    )[quarter_turns % 4]


def invert(affine: Affine) -> Affine:
    """Return the inverse map.

    Raises:
        ValueError: the map is singular or not finite.
    """
    linear = affine[:, :2]
    determinant = float(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])
    if not np.isfinite(affine).all() or determinant == 0:
        raise ValueError(f"The affine map {affine.tolist()} cannot be inverted.")
    adjugate = np.array([[linear[1, 1], -linear[0, 1]], [-linear[1, 0], linear[0, 0]]])
    inverse = adjugate / determinant
    return np.column_stack([inverse, -inverse @ affine[:, 2]])


def compose(first: Affine, *then: Affine) -> Affine:
    """Return the map that applies `first` and then each of `then`, in this order."""
    result = first
    for step in then:
        linear = step[:, :2]
        result = np.column_stack([linear @ result[:, :2], linear @ result[:, 2] + step[:, 2]])
    return result


def apply(affine: Affine, points: NDArray[Coordinates]) -> NDArray[Coordinates]:
    """Map points (n, 2) or (n, 3), in their dtype; z is multiplied by the map's scale."""
    moved = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    if points.shape[1] == 3:
        moved = np.column_stack([moved, points[:, 2] * scale_of(affine)])
    return moved.astype(points.dtype)


def scale_of(affine: Affine) -> float:
    """Return the scale of a similarity; of another map, the square root of its area factor."""
    linear = affine[:, :2]
    return float(np.sqrt(abs(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])))


def angle_of(affine: Affine) -> float:
    """Return the rotation of a similarity in radians, positive from x towards y."""
    return float(np.arctan2(affine[1, 0], affine[0, 0]))
