"""Choose the size of the crop for each face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.geometry import affine
from engine.pipeline.stages import crop_map
from engine.values import Face, Planned, Template

# A tracked face keeps its crop's size until it is this factor past a step: a change is visible.
_HYSTERESIS = 1.1


@dataclass(frozen=True, slots=True)
class CropSizes:
    """Sides in pixels that crops may have, ascending; a single one is used for all faces.

    A face gets the smallest side that is at least as large as its crop in the frame: a smaller one
    would lose detail, a larger one adds none. A tracked face changes its size only when it is
    clearly larger or smaller.
    """

    sides: Sequence[int]
    template: Template

    def assign(self, stream: Iterable[Planned]) -> Iterator[Planned]:
        """Yield the frames with the sides of the chosen faces' crops as `sizes`."""
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
        """Return the smallest side of at least `shown` pixels, or else the largest side."""
        return next((side for side in self.sides if side >= shown), self.sides[-1])
