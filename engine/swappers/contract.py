"""What a swapper is: it prepares a portrait once, then answers crops with patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from engine.values import Aligned, Patch, Portrait, Template

SourceT = TypeVar("SourceT")


class Swapper(Protocol[SourceT]):
    """Puts a prepared source onto aligned targets."""

    name: str
    template: Template

    def prepare(self, portrait: Portrait) -> SourceT:
        """All that depends on the source alone, computed once per job."""
        ...

    def swap(self, targets: Sequence[Aligned], sources: Sequence[SourceT]) -> list[Patch]:
        """A patch for each target, in that target's crop space; `sources` pair with `targets`."""
        ...
