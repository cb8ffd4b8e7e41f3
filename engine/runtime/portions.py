"""Crops in portions that bound the memory of a call, however many faces a frame shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

# 16 crops of 512 x 512, or 256 of 128 x 128: whole batches of every size.
MOST_PIXELS: Final = 2**22


def portions(sides: Sequence[int]) -> Iterator[slice]:
    """Slices of consecutive square crops with these sides in pixels, each crop in one of them.

    The crops of a slice have `MOST_PIXELS` at most, all together; one that has more is alone.
    """
    start = held = 0
    for number, side in enumerate(sides):
        if held and held + side**2 > MOST_PIXELS:
            yield slice(start, number)
            start, held = number, 0
        held += side**2
    if held:
        yield slice(start, len(sides))
