"""What a network that draws faces is given, for those who show it faces and know no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.optimise.int8 import Sample
from engine.values import Aligned, Portrait, Template


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """What the network `name` is given for a face; crops are of `template` and `side` pixels.

    `source` is what it takes of a person, if anything; `sample` makes its inputs of a crop and the
    source of another face. `needs_embedding` tells whether a portrait's face must carry ArcFace's
    embedding.
    """

    name: str
    template: Template
    side: int
    needs_embedding: bool
    source: Callable[[Portrait], Any]
    sample: Callable[[Aligned, Any], Sample]
