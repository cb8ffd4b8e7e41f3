"""Split crops into portions that bound the memory of a call, however many faces a frame has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

# 16 crops of 512 x 512, or 256 of 128 x 128: whole batches of every size.
MAX_PIXELS: Final = 2**22


def portions(sides: Sequence[int]) -> Iterator[slice]:
    """Yield slices of consecutive square crops whose sides are given in pixels.

    The crops of a slice have at most `MAX_PIXELS` together; a larger crop gets its own slice.
    """
    start = pixels = 0
    for number, side in enumerate(sides):
        if pixels and pixels + side**2 > MAX_PIXELS:
            yield slice(start, number)
            start, pixels = number, 0
        pixels += side**2
    if pixels:
        yield slice(start, len(sides))
