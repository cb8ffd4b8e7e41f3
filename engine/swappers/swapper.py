"""What a swapper is: it prepares a portrait once, then answers crops with patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from engine.values import Aligned, Patch, Portrait, Template

SourceT = TypeVar("SourceT")


@runtime_checkable
class Swapper(Protocol[SourceT]):
    """Puts a prepared source onto aligned targets.

    `averages` tells whether it makes use of several portraits of one person;
    `draws_source` whether it draws the portraits' own pixels, so that what they hide is missing.
    """

    name: str
    template: Template
    averages: bool
    draws_source: bool

    def prepare(self, portraits: Sequence[Portrait]) -> SourceT:
        """All that depends on the source alone, of one or more portraits; computed once per job."""
        ...

    def swap(self, targets: Sequence[Aligned], sources: Sequence[SourceT]) -> list[Patch]:
        """A patch for each target, in that target's crop space; `sources` pair with `targets`."""
        ...
