"""Fields of light and colour."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.pixels.tone import (
    blur,
    blur_along,
    enlarge,
    luma,
    resize_square,
    shrink,
    smoothstep,
    transform,
    weighted_blur,
)


def noise(size: int, channels: int = 3, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((size, size, channels), np.float32)


@pytest.mark.parametrize(("size", "smaller"), [(96, 32), (96, 24), (100, 64), (64, 64)])
def test_shrinking_keeps_the_mean(size: int, smaller: int) -> None:
    picture = noise(size)
    small = shrink(picture, smaller)
    assert small.shape == (smaller, smaller, 3)
    np.testing.assert_allclose(small.mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=1e-5)
    if size % smaller == 0:
        step = size // smaller
        blocks = picture.reshape(smaller, step, smaller, step, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(small, blocks, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_blur_along_one_axis_leaves_the_other_as_it_is(axis: int) -> None:
    picture = noise(48)
    both = blur_along(blur_along(picture, 1.5, axis), 1.5, 1 - axis)
    np.testing.assert_allclose(both, blur(picture, 1.5), atol=2e-3)
    lines = np.repeat(picture.mean(axis=axis, keepdims=True), 48, axis)
    np.testing.assert_allclose(blur_along(lines, 1.5, axis), lines, atol=1e-5)


@pytest.mark.parametrize("size", [48, 128, 300])
def test_enlarging_is_linear_between_samples_and_stays_in_range(size: int) -> None:
    ramp = np.tile(np.arange(16, dtype=np.float32), (16, 1))
    large = enlarge(ramp, size)
    places = (np.arange(size) + 0.5) * 16 / size - 0.5
    expected = np.clip(places, 0, 15)
    np.testing.assert_allclose(large, np.tile(expected, (size, 1)), atol=1e-4)
    field = noise(16)
    assert enlarge(field, size).max() <= field.max()
    assert enlarge(field, size).min() >= field.min()


@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0])
def test_a_blur_keeps_constants_and_spreads_by_its_sigma(sigma: float) -> None:
    np.testing.assert_allclose(blur(np.full((40, 40), 0.3, np.float32), sigma), 0.3, atol=1e-6)
    point = np.zeros((81, 81), np.float32)
    point[40, 40] = 1
    spread = blur(point, sigma)
    at = np.arange(81) - 40
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    assert (spread.sum(axis=0) * at**2).sum() == pytest.approx(sigma**2, rel=0.1)


def test_a_weighted_blur_does_not_see_what_has_no_weight() -> None:
    field = np.full((40, 40, 3), 0.4, np.float32)
    weights = np.ones((40, 40), np.float32)
    weights[:, 20:] = 0
    field[:, 20:] = 1000
    mean, seen = weighted_blur(field, weights, 2.0)
    np.testing.assert_allclose(mean[:, :24], 0.4, atol=1e-3)
    np.testing.assert_allclose(seen[:, :10], 1, atol=1e-4)
    assert (np.diff(seen, axis=1) <= 1e-6).all()
    assert seen[:, 35:].max() < 1e-4


def test_with_equal_weights_it_is_a_blur() -> None:
    field = noise(32)
    for weight in (0.01, 0.5, 1.0):
        mean, seen = weighted_blur(field, np.full((32, 32), weight, np.float32), 1.5)
        np.testing.assert_allclose(mean, blur(field, 1.5), atol=1e-5)
        np.testing.assert_allclose(seen, weight, atol=1e-5)


def test_a_weighted_blur_of_nothing_is_finite() -> None:
    mean, seen = weighted_blur(noise(16), np.zeros((16, 16), np.float32), 2.0)
    assert np.isfinite(mean).all()
    assert seen.max() == 0


def test_luma_is_bt709_s() -> None:
    colours = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.5, 0.5, 0.5]]], np.float32)
    np.testing.assert_allclose(luma(colours), [[0.2126, 0.7152, 0.0722, 1, 0.5]], atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.2, 0.6), (0.6, 0.2), (-2.0, 3.0)])
def test_smoothstep_goes_from_0_to_1_without_a_kink(low: float, high: float) -> None:
    t = np.linspace(-0.5, 1.5, 4001)
    values = smoothstep(low, high, low + t * (high - low))
    assert values.dtype == np.float32
    assert (values[t <= 0] == 0).all()
    assert (values[t >= 1] == 1).all()
    assert (np.diff(values) >= -1e-6).all()
    assert values[2000] == pytest.approx(0.5, abs=1e-5)
    slope = np.diff(values) / np.diff(t)
    assert np.abs(np.diff(slope)).max() < 0.01
    assert float(smoothstep(low, high, (low + high) / 2)) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("size", [24, 48, 100])
def test_resizing_shrinks_by_area_and_enlarges_linearly(size: int) -> None:
    picture = noise(48)
    expected = shrink(picture, size) if size < 48 else enlarge(picture, size)
    np.testing.assert_array_equal(resize_square(picture, size), expected)
    assert resize_square(picture, 48) is not picture
    np.testing.assert_array_equal(resize_square(picture, 48), picture)


def test_a_transform_is_a_matrix_and_a_shift() -> None:
    picture, matrix = noise(20), np.random.default_rng(1).normal(size=(2, 4))
    expected = picture @ matrix[:, :3].T + matrix[:, 3]
    np.testing.assert_allclose(transform(picture, matrix), expected, atol=1e-5)
    codes = transform(np.full((2, 2, 3), 200, np.uint8), 2 * np.eye(3, 4))
    assert (codes == 255).all()
