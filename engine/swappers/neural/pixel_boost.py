"""Pixel boost: swap crops larger than a network's input, in interleaved phases.

A crop of N x N pixels has n x n phases for a network of the side S = N / n. Phase (a, b) holds the
rows a, a + n, ... and the columns b, b + n, ...: the whole face at S x S, offset by a part of a
pixel. The name is FaceFusion's.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from engine.errors import ParameterError
from engine.options import PIXEL_BOOSTS


def split_phases(crop: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the phases of a crop (N, N, channels) as a view, (n, n, channels, side, side)."""
    size, _, channels = crop.shape
    grid = crop.reshape(side, size // side, side, size // side, channels)
    return grid.transpose(1, 3, 4, 0, 2)


def join_phases(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the crop (N, N, channels) of the phases (n * n, channels, side, side).

    Phase (a, b) is at a * n + b. This is the exact inverse of `split_phases`.
    """
    number, channels, side, _ = tiles.shape
    count = isqrt(number)
    crop = np.empty((count * side, count * side, channels), np.float32)
    split_phases(crop, side)[...] = tiles.reshape(count, count, channels, side, side)
    return crop


def supports_size(size: int, side: int) -> bool:
    """Tell whether a crop's size is a multiple of a network's side."""
    return size >= side and size % side == 0


def require_size(size: int, side: int, name: str) -> None:
    """Raise unless the network `name` of this side supports a crop size.

    Raises:
        ParameterError: It does not; the message lists the pixel boosts that it supports.
    """
    if not supports_size(size, side):
        possible = (boost for boost in PIXEL_BOOSTS if supports_size(boost, side))
        allowed = ", ".join(f"{boost}x{boost}" for boost in possible)
        raise ParameterError(
            f"pixel_boost is {size}x{size}, and {name} swaps faces at {side}x{side} or whole "
            f"multiples of it; allowed: {allowed}."
        )
