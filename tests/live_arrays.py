"""A counter of arrays that are not freed yet."""

from __future__ import annotations

import weakref

from engine.values import Pixels


class LiveArrays:
    """Counts the watched arrays that are not freed.

    Attributes:
        now: number of live arrays.
        most: the largest value of `now` so far.
    """

    def __init__(self) -> None:
        self.now = self.most = 0

    def watch(self, array: Pixels) -> None:
        """Count an array until it is freed."""
        weakref.finalize(array, self._freed)
        self.now += 1
        self.most = max(self.most, self.now)

    def _freed(self) -> None:
        self.now -= 1
