"""Networks chosen for one request, by the protocols that they satisfy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.compose.limiter import BareFaceFinder, Limiter
from engine.enhance.enhancer import Enhancer
from engine.swappers.swapper import Swapper
from engine.values import Choice


@dataclass(frozen=True, slots=True, eq=False)
class ChosenNetworks:
    """Swapper, restorer and limiters chosen for one request.

    Attributes:
        swapper: puts the source onto crops.
        choice: the swapper's name, and why it was chosen.
        occluder: finds what covers a face; None if occluder is "none".
        limiters: restrict where a swap shows.
        enhancer: restores swapped faces; None if enhance names no restorer.
        names: names of the networks besides the swapper, by the parameter that asked for each.
        takes_precision: at least one network runs at the requested precision.
        needs_embedding: the portraits' faces must carry ArcFace embeddings.
        compares_portraits: the portraits' faces must carry embeddings of any embedder, so that
            portraits of different people are noticed.
        needs_target_embedding: the target's faces must carry ArcFace embeddings.
        sides: sides in pixels that crops may have, ascending.
        at_once: number of frames whose faces go through the networks together.
        notes: sentences for the report.
    """

    swapper: Swapper[Any]
    choice: Choice
    occluder: BareFaceFinder | None
    limiters: tuple[Limiter, ...]
    enhancer: Enhancer | None
    names: Mapping[str, str]
    takes_precision: bool
    needs_embedding: bool
    compares_portraits: bool
    needs_target_embedding: bool
    sides: tuple[int, ...]
    at_once: int
    notes: tuple[str, ...]
