"""Fits that follow most of the values, and not the outliers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.geometry.robust import fit_reweighted

VALUES = np.array([1.0, 1.1, 0.9, 1.0, 9.0])


def mean(weights: NDArray[np.floating]) -> tuple[float, NDArray[np.floating]]:
    fitted = float(weights @ VALUES / weights.sum())
    return fitted, np.abs(VALUES - fitted)


def test_an_outlier_loses_its_weight() -> None:
    plain, _ = mean(np.ones(5))
    fitted, weights = fit_reweighted(mean, np.ones(5), 1.0)
    assert plain == pytest.approx(2.6)
    assert fitted == pytest.approx(1.0, abs=0.2)
    assert weights[4] < 0.05
    assert weights[:4].min() > 0.9


def test_a_residual_of_the_outlier_s_size_halves_a_weight() -> None:
    _, weights = fit_reweighted(lambda _: (None, np.array([0.0, 0.5])), np.array([3.0, 3.0]), 0.5)
    np.testing.assert_allclose(weights, [3.0, 1.5])


def test_a_value_without_weight_stays_without() -> None:
    fitted, weights = fit_reweighted(mean, np.array([1.0, 1, 1, 1, 0]), 1.0)
    assert fitted == pytest.approx(1.0, abs=1e-3)
    assert weights[4] == 0
