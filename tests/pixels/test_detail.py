"""Sharpness and grain of one picture brought to another's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.pixels.detail import match_detail
from engine.pixels.tone import blur, luma
from engine.values import Mask, Pixels

SIZE = 160
ALL = np.ones((SIZE, SIZE), np.float32)


def structure(seed: int = 0) -> Pixels:
    """Return a smooth coloured picture around middle grey."""
    rough = np.random.default_rng(seed).normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    smooth = blur(rough, 8.0)
    scaled: Pixels = 0.5 + 0.1 * smooth / smooth.std()
    return scaled.astype(np.float32)


def grain(amount: float, seed: int) -> NDArray[np.float32]:
    """White noise, equal in the three colours."""
    noise = np.random.default_rng(seed).normal(scale=amount, size=(SIZE, SIZE, 1))
    return noise.astype(np.float32)


def fineness(pixels: Pixels, where: Mask = ALL) -> float:
    grey = luma(pixels)
    return float(np.abs(grey - blur(grey, 1.0))[where > 0.5].mean())


def test_a_picture_like_the_other_stays_as_it_is() -> None:
    picture = structure() + grain(0.03, 1)
    np.testing.assert_allclose(match_detail(picture, picture, ALL, 1.0), picture, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_it_becomes_no_sharper_than_the_other(sigma: float, scale: float) -> None:
    picture = structure() + grain(0.05, 1)
    like = blur(structure() + grain(0.05, 2), sigma * scale)
    matched = match_detail(picture, like, ALL, scale)
    assert fineness(matched) < max(1.3 * fineness(like), 0.25 * fineness(picture))
    # What is larger than the bands is not touched.
    low = (blur(matched, 12.0) - blur(picture, 12.0))[45:-45, 45:-45]
    assert np.abs(low).max() < 0.01


@pytest.mark.parametrize("amount", [0.02, 0.05, 0.1])
def test_it_takes_over_the_other_s_grain(amount: float) -> None:
    picture = structure()
    like = structure(5) + grain(amount, 3)
    matched = match_detail(picture, like, ALL, 1.0)
    assert 0.6 < fineness(matched) / fineness(like) < 1.1
    added = luma(matched - picture)
    theirs = luma(like) - blur(luma(like), 0.7)
    assert np.corrcoef(added.ravel(), theirs.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0])
def test_grain_is_as_coarse_as_the_frame_s_pixels(scale: float) -> None:
    coarse = blur(grain(1.0, 3)[..., 0], 0.5 * scale)[..., None]
    like = structure(5) + 0.05 * coarse / coarse.std()
    added = luma(match_detail(structure(), like, ALL, scale) - structure())
    theirs = luma(like) - blur(luma(like), 0.7 * scale)
    assert added.std() > 0.75 * theirs.std()


def test_grain_of_its_own_is_not_added_to() -> None:
    picture = structure() + grain(0.05, 1)
    like = structure(5) + grain(0.05, 3)
    matched = match_detail(picture, like, ALL, 1.0)
    assert fineness(matched) == pytest.approx(fineness(picture), rel=0.1)
    assert np.abs(matched - picture).mean() < 0.01


def test_features_of_the_other_are_not_taken_for_grain() -> None:
    like = structure(5) + grain(0.02, 3)
    like[60:64, 30:130] = 0
    matched = match_detail(structure(), like, ALL, 1.0)
    # The line is half of grey dark; of the grain's own size at most a trace may come over.
    assert np.abs(matched - structure())[59:65, 40:120].max() < 0.12


def test_only_what_has_weight_is_compared() -> None:
    left = ALL.copy()
    left[:, SIZE // 2 :] = 0
    picture, like = structure(), structure(5)
    quiet = match_detail(picture, like, left, 1.0)
    like[:, SIZE // 2 + 20 :] += grain(0.2, 3)[:, SIZE // 2 + 20 :]
    np.testing.assert_allclose(
        match_detail(picture, like, left, 1.0)[:, : SIZE // 2],
        quiet[:, : SIZE // 2],
        atol=1e-3,
    )


def test_without_anything_to_compare_nothing_changes() -> None:
    picture = structure() + grain(0.05, 1)
    assert match_detail(picture, structure(5), np.zeros_like(ALL), 1.0) is picture


def test_colour_is_left_alone() -> None:
    picture = structure() + grain(0.05, 1)
    matched = match_detail(picture, blur(structure(5), 2.0), ALL, 1.0)
    change = matched - picture
    np.testing.assert_allclose(change, change[..., :1].repeat(3, axis=2), atol=1e-6)
