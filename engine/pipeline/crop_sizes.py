"""How large the crops are that faces are swapped at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.geometry import affine
from engine.pipeline.stages import crop_map
from engine.values import Face, Planned, Template

# A face that grows or shrinks by less than this past a step keeps its size: a change shows.
_HYSTERESIS = 1.1


@dataclass(frozen=True, slots=True)
class CropSizes:
    """The sides that crops may have, rising; a single one is taken for all.

    Of several, a face gets the smallest that holds as many pixels as the frame shows of the crop:
    more would be made up, less would be lost. A face that is followed keeps its size until it has
    clearly outgrown it.
    """

    sides: Sequence[int]
    template: Template

    def assign(self, stream: Iterable[Planned]) -> Iterator[Planned]:
        """The frames with the sides of their chosen faces' crops."""
        kept: dict[int, int] = {}
        for planned in stream:
            sizes = tuple(self._side(face, kept) for face in planned.chosen)
            yield replace(planned, sizes=sizes)

    def _side(self, face: Face, kept: dict[int, int]) -> int:
        if len(self.sides) == 1:
            return self.sides[0]
        shown = 1 / affine.scale_of(crop_map(face, self.template, 1))
        side = self._smallest_side(shown)
        if face.track is not None:
            known = kept.get(face.track, side)
            settled = (
                self._smallest_side(shown / _HYSTERESIS)
                <= known
                <= self._smallest_side(shown * _HYSTERESIS)
            )
            side = kept[face.track] = known if settled else side
        return side

    def _smallest_side(self, shown: float) -> int:
        """The smallest side of at least this many pixels, or the largest there is."""
        return next((side for side in self.sides if side >= shown), self.sides[-1])
