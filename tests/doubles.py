"""Swappers with a known output, in place of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from engine.values import Aligned, Mask, Patch, Portrait, Template

# Template of a crop with the whole head.
FIVE = Template("five", ((0.36, 0.42), (0.64, 0.42), (0.5, 0.57), (0.39, 0.69), (0.61, 0.69)))

Tint: TypeAlias = tuple[float, float, float]  # RGB, 0..1


def soft_mask(side: int, border: float = 0.15) -> Mask:
    """Return a (side, side) mask: 1 in the middle, 0 at the border, linear between."""
    ramp = np.clip(np.minimum(np.arange(side), np.arange(side)[::-1]) / (border * side), 0, 1)
    return np.minimum.outer(ramp, ramp).astype(np.float32)


@dataclass
class IdentitySwapper:
    """Returns every crop unchanged."""

    name: str = "identity"
    template: Template = FIVE
    averages: bool = False
    draws_source: bool = False

    def prepare(self, portraits: Sequence[Portrait]) -> str:
        return portraits[0].name

    def swap(self, targets: Sequence[Aligned], sources: Sequence[str]) -> list[Patch]:
        assert len(targets) == len(sources)
        return [Patch(one.pixels, soft_mask(len(one.pixels)), one.to_crop) for one in targets]


@dataclass
class TintedSwapper:
    """Fills every crop with the mean colour of the source portrait."""

    name: str = "tinted"
    template: Template = FIVE
    averages: bool = False
    draws_source: bool = False

    def prepare(self, portraits: Sequence[Portrait]) -> Tint:
        red, green, blue = portraits[0].pixels.reshape(-1, 3).mean(axis=0).tolist()
        return red, green, blue

    def swap(self, targets: Sequence[Aligned], sources: Sequence[tuple[float, ...]]) -> list[Patch]:
        return [
            Patch(
                np.broadcast_to(np.array(colour, np.float32), target.pixels.shape).copy(),
                soft_mask(len(target.pixels)),
                target.to_crop,
            )
            for target, colour in zip(targets, sources, strict=True)
        ]
