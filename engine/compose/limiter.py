"""What limits a patch: networks and rules that say where of a face a swap may show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.values import Aligned, Mask, Patch


class BareFaceFinder(Protocol):
    """Finds where a face is seen, and where something is before it."""

    def bare_masks(self, targets: Sequence[Aligned]) -> list[Mask]:
        """Return a mask of each crop's side, 1 where the face is seen."""
        ...


class Limiter(Protocol):
    """Says where patches may show, beside what their swapper says."""

    def masks(self, targets: Sequence[Aligned], patches: Sequence[Patch]) -> list[Mask]:
        """For each pair of a target and its patch a mask of the crop's size, 1 where it may."""
        ...
