"""The steps between analysed faces and a finished frame; each knows contracts, no model's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias

import numpy as np

from engine.compose.occlusion import before, behind
from engine.compose.paste import is_seen, paste
from engine.faces.identity import alignment_points
from engine.geometry import affine
from engine.geometry.templates import in_pixels
from engine.pixels.align import frame_crop
from engine.swappers.contract import SourceT, Swapper
from engine.values import Aligned, Analysed, Face, Frame, Planned, Template

_FIVE = 5

Choose: TypeAlias = Callable[[tuple[Face, ...]], tuple[Face, ...]]


def assign(stream: Iterable[Analysed], choose: Choose) -> Iterator[Planned]:
    """Frames with those of their faces that are to be swapped."""
    for shot in stream:
        yield Planned(shot.frame, shot.faces, choose(shot.faces), shot.hands)


def align(frame: Frame, face: Face, template: Template, size: int) -> Aligned:
    """The crop of `size` x `size` pixels in which the face lies nearest to the template.

    A template of five points is met by the face's five, any other by its mesh.

    Raises:
        ValueError: the template has another number of points than the face offers.
    """
    five = len(template.points) == _FIVE
    points = alignment_points(face) if five else face.mesh.points[:, :2]
    to_crop = affine.fit_similarity(points, in_pixels(template, size))
    return Aligned(
        pixels=frame_crop(frame, to_crop, size),
        to_crop=to_crop,
        mesh=affine.apply(to_crop, face.mesh.points.astype(np.float32)),
        score=face.mesh.score,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Swapped:
    """A finished frame, and on how many of its chosen faces the swap is to be seen.

    It is not where the swapper faded out, or where hands cover the face.
    """

    frame: Frame
    faces: int


@dataclass(frozen=True, slots=True, eq=False)
class FaceSwap(Generic[SourceT]):
    """Swaps the chosen faces of one frame: align, swap, paste. Pure, so it runs in any thread.

    `size` is the crop's side in pixels. What is before a face, a hand or
    a nearer face, stays as it is, whatever the swapper.
    A frame of which no face was chosen is returned as it is.
    """

    swapper: Swapper[SourceT]
    source: SourceT
    size: int

    def __call__(self, planned: Planned) -> Swapped:
        if not planned.chosen:
            return Swapped(planned.frame, 0)
        template = self.swapper.template
        targets = [align(planned.frame, face, template, self.size) for face in planned.chosen]
        patches = self.swapper.swap(targets, [self.source] * len(targets))
        patches = [
            behind(patch, planned.hands, before(face, planned.faces))
            for patch, face in zip(patches, planned.chosen, strict=True)
        ]
        return Swapped(paste(planned.frame, patches), sum(map(is_seen, patches)))
