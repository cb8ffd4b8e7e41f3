"""The part of a target that an output holds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the source that is kept, in its own seconds, and how far it moves.

    A packet is kept if `start <= time < end`; its time then becomes `time - shift`.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    @property
    def begin(self) -> Fraction:
        """When the output begins, in the source's seconds."""
        return self.shift if self.start is None else self.start
