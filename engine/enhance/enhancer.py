"""What an enhancer is: it answers crops of swapped faces with better patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.values import Aligned, Patch, Template


class Enhancer(Protocol):
    """Draws faces anew that are swapped already; `size` is the side of the crops it takes."""

    name: str
    template: Template
    size: int

    def enhance(self, targets: Sequence[Aligned]) -> list[Patch]:
        """A patch for each target, in that target's crop space, as strong as it is to show.

        The targets are cut from frames that show the swap; where the swap does not show, the
        caller leaves the patch out.
        """
        ...
