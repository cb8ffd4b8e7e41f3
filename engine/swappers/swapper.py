"""Protocol of swappers: prepare a source once, then swap it onto crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from engine.values import Aligned, Patch, Portrait, Template

SourceT = TypeVar("SourceT")


@runtime_checkable
class Swapper(Protocol[SourceT]):
    """Puts a prepared source onto crops of targets.

    Attributes:
        name: name of the swapper in reports and errors.
        template: template by which crops are aligned.
        averages: True if it uses several portraits of one person.
        draws_source: True if it draws the portraits' own pixels, so that a part of the face that
            they hide is missing.
    """

    name: str
    template: Template
    averages: bool
    draws_source: bool

    def prepare(self, portraits: Sequence[Portrait]) -> SourceT:
        """Return the prepared source of one or more portraits of a person.

        It depends on the portraits alone, as an engine keeps it for later swaps, and is not changed
        by `swap`.
        """
        ...

    def swap(self, targets: Sequence[Aligned], sources: Sequence[SourceT]) -> list[Patch]:
        """Return a patch for each target, in its crop space; `sources` has one for each target."""
        ...
