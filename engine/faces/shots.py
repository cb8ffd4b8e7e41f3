"""Split a video into shots, which are analysed independently of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeVar

import numpy as np

from engine.pixels.planes import thumbnail
from engine.values import Bytes, Frame

T = TypeVar("T")

_MIN_CUT_DIFFERENCE: Final = (
    0.07  # mean absolute difference of two thumbnails, 0..1; motion's is less
)
_SIZE: Final = (32, 18)  # of the thumbnails


def split_shots(frames: Iterable[Frame]) -> Iterator[Iterator[Frame]]:
    """Yield the frames of each shot; a shot must be read to its end before the next one.

    Reads no further than the frame that is asked for, and the first of the next shot.
    """
    before: list[Bytes] = []

    def is_first(frame: Frame) -> bool:
        now = thumbnail(frame, _SIZE)
        first = not before or is_cut(before.pop(), now)
        before.append(now)
        return first

    return split_at(frames, is_first)


def split_at(stream: Iterable[T], is_first: Callable[[T], bool]) -> Iterator[Iterator[T]]:
    """Yield parts of a stream, each of which begins where `is_first` is true.

    A part must be read to its end before the next one.
    """

    def numbered() -> Iterator[tuple[int, T]]:
        number = 0
        for value in stream:
            number += is_first(value)
            yield number, value

    for _, part in groupby(numbered(), itemgetter(0)):
        yield (value for _, value in part)


def is_cut(before: Bytes, after: Bytes) -> bool:
    """Tell whether two successive frames with these thumbnails belong to different shots."""
    difference = np.abs(before.astype(np.int16) - after.astype(np.int16))
    return float(difference.mean()) / 255 > _MIN_CUT_DIFFERENCE
