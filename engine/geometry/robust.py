"""Robust fits by iteratively reweighted least squares."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

FitT = TypeVar("FitT")

_ROUNDS = 3


def fit_reweighted(
    fit: Callable[[NDArray[np.floating]], tuple[FitT, NDArray[np.floating]]],
    weights: NDArray[np.floating],
    outlier: float,
) -> tuple[FitT, NDArray[np.floating]]:
    """Fit in three rounds, and down-weight after each what the fit does not explain.

    Args:
        fit: returns a fit for weights (n,), and the size of its residual at each value, (n,).
        weights: initial weights, (n,).
        outlier: residual at which a weight is halved.

    Returns:
        The last fit, and the weights that its residuals leave, (n,).
    """
    reweighted = weights
    for _ in range(_ROUNDS):
        fitted, residuals = fit(reweighted)
        reweighted = weights / (1 + (residuals / outlier) ** 2)
    return fitted, reweighted
