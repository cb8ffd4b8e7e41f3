"""How much is held at a time."""

from __future__ import annotations

import weakref

from engine.values import Pixels


class Alive:
    """Counts the arrays that are still there, and the most that there were."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def watch(self, array: Pixels) -> None:
        weakref.finalize(array, self._gone)
        self.now += 1
        self.most = max(self.most, self.now)

    def _gone(self) -> None:
        self.now -= 1
