"""A capsule covers the pixels within its radius."""

from __future__ import annotations

import numpy as np
import pytest

from engine.pixels.capsules import fill_capsules

SIZE = 96
NOTHING = np.full((3, 2), -500, np.float32)


def distances(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's distance from a segment, and how far along it the nearest spot is, 0..1."""
    y, x = np.mgrid[:SIZE, :SIZE]
    spots = np.stack([x, y], axis=2) - start
    along = end - start
    share = np.clip(spots @ along / max(float(along @ along), 1e-9), 0, 1)
    return np.linalg.norm(spots - share[..., None] * along, axis=2), share


@pytest.mark.parametrize("seed", range(8))
def test_a_capsule_covers_its_radius_around_a_segment(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.uniform(10, 86, (1, 2, 2)).astype(np.float32)
    radius = float(rng.uniform(2, 9))
    mask = fill_capsules(ends, np.full((1, 2), radius, np.float32), NOTHING, SIZE)
    away, _ = distances(*ends[0])
    assert mask[away < radius - 1.5].min(initial=1) == 1
    assert mask[away > radius + 1.5].max(initial=0) < 0.02


def test_a_capsule_tapers() -> None:
    ends = np.array([[[20, 48], [76, 48]]], np.float32)
    mask = fill_capsules(ends, np.array([[12, 4]], np.float32), NOTHING, SIZE)
    widths = mask.sum(axis=0)[20:77:8]
    np.testing.assert_allclose(widths, np.linspace(24, 8, 8), atol=2)


def test_a_polygon_is_filled_whatever_the_order_of_its_corners() -> None:
    corners = np.array([[10, 10], [60, 70], [60, 10], [10, 70]], np.float32)
    none = np.zeros((0, 2, 2), np.float32), np.zeros((0, 2), np.float32)
    mask = fill_capsules(*none, corners, SIZE)
    assert mask[12:69, 12:59].min() == 1
    assert mask.sum() == pytest.approx(51 * 61, rel=0.04)


def test_a_capsule_of_no_length_is_a_disc() -> None:
    ends = np.full((1, 2, 2), 40, np.float32)
    mask = fill_capsules(ends, np.full((1, 2), 10, np.float32), NOTHING, SIZE)
    assert mask.sum() == pytest.approx(np.pi * 10**2, rel=0.06)


def test_what_lies_outside_of_the_grid_is_left_out() -> None:
    ends = np.array([[[-400, 40], [40, 40]], [[900, 900], [1e4, 900]]], np.float32)
    mask = fill_capsules(ends, np.full((2, 2), 5, np.float32), NOTHING, SIZE)
    assert mask[40, :40].min() == 1
    assert mask[60:].max() == 0
