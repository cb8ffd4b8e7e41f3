"""Crops larger than a network takes: strided sub-samples of the whole face, and their reunion.

A crop of N x N pixels and a network of the side S = N / n have n x n phases. Phase (a, b) holds the
rows a, a + n, ... and the columns b, b + n, ...: the whole face at S x S, set off by a part of its
pixel, as the network knows faces. FaceFusion calls this pixel boost.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from engine.errors import ParameterError
from engine.options import PIXEL_BOOSTS


def split_phases(crop: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The phases of a crop (N, N, channels) as a view of it, (n, n, channels, side, side)."""
    size, _, channels = crop.shape
    grid = crop.reshape(side, size // side, side, size // side, channels)
    return grid.transpose(1, 3, 4, 0, 2)


def join_phases(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """The crop (N, N, channels) that has these phases, (n * n, channels, side, side).

    Phase (a, b) is at a * n + b. Undoes `phases` to the bit.
    """
    number, channels, side, _ = tiles.shape
    count = isqrt(number)
    crop = np.empty((count * side, count * side, channels), np.float32)
    split_phases(crop, side)[...] = tiles.reshape(count, count, channels, side, side)
    return crop


def supports_size(size: int, side: int) -> bool:
    """Whether a crop of this size falls into whole phases of a network's side."""
    return size >= side and size % side == 0


def require_size(size: int, side: int, name: str) -> None:
    """Refuses a size that a network cannot do.

    Raises:
        ParameterError: it names the pixel boosts that the network `name` of that side can do.
    """
    if not supports_size(size, side):
        possible = (boost for boost in PIXEL_BOOSTS if supports_size(boost, side))
        allowed = ", ".join(f"{boost}x{boost}" for boost in possible)
        raise ParameterError(
            f"pixel_boost is {size}x{size}, and {name} swaps faces at {side}x{side} or whole "
            f"multiples of it; allowed: {allowed}."
        )
