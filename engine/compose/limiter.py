"""Protocols of networks and rules that limit where a swap shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.values import Aligned, Mask, Patch


class BareFaceFinder(Protocol):
    """Finds which parts of a face are bare, and which are covered."""

    def bare_masks(self, targets: Sequence[Aligned]) -> list[Mask]:
        """Return a mask for each crop, of its size: 1 where the face is bare."""
        ...


class Limiter(Protocol):
    """Limits where patches show, in addition to the swapper's own masks."""

    def masks(self, targets: Sequence[Aligned], patches: Sequence[Patch]) -> list[Mask]:
        """Return a mask for each target and its patch, of the crop's size: 1 where it shows."""
        ...
