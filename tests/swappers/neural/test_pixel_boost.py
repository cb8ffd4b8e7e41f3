"""Phases show the whole face, and are the crop again when they are joined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ParameterError
from engine.options import PIXEL_BOOSTS
from engine.swappers.neural.pixel_boost import (
    join_phases,
    require_size,
    split_phases,
    supports_size,
)

POSSIBLE = [
    (size, side) for side in (128, 256, 512) for size in PIXEL_BOOSTS if supports_size(size, side)
]


def crop(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(size).random((size, size, 3), np.float32)


@pytest.mark.parametrize(("size", "side"), POSSIBLE)
def test_there_and_back_is_the_crop_to_the_bit(size: int, side: int) -> None:
    whole = crop(size)
    tiles = split_phases(whole, side)
    assert tiles.shape == (size // side, size // side, 3, side, side)
    assert tiles.base is not None
    np.testing.assert_array_equal(join_phases(tiles.reshape(-1, 3, side, side)), whole)


def test_a_phase_is_a_strided_sample_of_the_whole() -> None:
    whole = crop(384)
    tiles = split_phases(whole, 128)
    for a in range(3):
        for b in range(3):
            np.testing.assert_array_equal(tiles[a, b], whole[a::3, b::3].transpose(2, 0, 1))


def test_all_hosted_sizes_are_multiples_of_inswapper_s() -> None:
    assert all(supports_size(size, 128) for size in PIXEL_BOOSTS)


@pytest.mark.parametrize(
    ("size", "side", "allowed"),
    [
        (384, 256, "256x256, 512x512, 768x768, 1024x1024"),
        (128, 256, "256x256, 512x512, 768x768, 1024x1024"),
        (768, 512, "512x512, 1024x1024"),
    ],
)
def test_a_size_that_cannot_be_done_is_refused_with_those_that_can(
    size: int, side: int, allowed: str
) -> None:
    with pytest.raises(ParameterError, match=f"{size}x{size}.*some_net.*allowed: {allowed}\\.$"):
        require_size(size, side, "some_net")
