"""Protocol of networks that restore swapped faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.values import Aligned, Patch, Template


class Enhancer(Protocol):
    """Restores swapped faces; `size` is the side in pixels of the crops that it takes."""

    name: str
    template: Template
    size: int

    def enhance(self, targets: Sequence[Aligned]) -> list[Patch]:
        """Return a patch for each target, in its crop space; the mask is the strength.

        Targets are cut from frames with the swap pasted. The caller limits the patches to where the
        swap shows.
        """
        ...
