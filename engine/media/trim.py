"""Time window of the target that goes to the output."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the target to keep, in seconds of the target, and its shift in time.

    A packet is kept if `start <= time < end`; its time becomes `time - shift`.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    @property
    def begin(self) -> Fraction:
        """Time at which the output begins, in seconds of the target."""
        return self.shift if self.start is None else self.start
