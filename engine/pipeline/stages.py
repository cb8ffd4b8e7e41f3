"""The steps between analysed faces and a finished frame; each knows contracts, no model's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic, TypeAlias

import numpy as np

from engine.compose.colour import match_colours
from engine.compose.combine import limit_patches
from engine.compose.limiter import BareFaceFinder, Limiter
from engine.compose.occlusion import limit_to_visible, nearer_faces
from engine.compose.paste import is_visible, paste
from engine.enhance.enhancer import Enhancer
from engine.faces.identity import alignment_points
from engine.faces.mesh_fit import mesh_trust
from engine.geometry import affine
from engine.geometry.templates import in_pixels
from engine.pixels.align import frame_crop, warp_crop
from engine.pixels.patch_warp import warp_patch_mask
from engine.runtime.portions import portions
from engine.swappers.swapper import SourceT, Swapper
from engine.values import (
    Affine,
    Aligned,
    Analysed,
    BareFace,
    Face,
    Frame,
    Patch,
    Planned,
    Portrait,
    Template,
)

_FIVE = 5
_PORTRAIT_SIZE = 256  # side of the crop of a portrait that an occluder is shown

Choose: TypeAlias = Callable[[tuple[Face, ...]], tuple[Face, ...]]


def plan_frames(stream: Iterable[Analysed], choose: Choose) -> Iterator[Planned]:
    """Frames with those of their faces that are to be swapped."""
    for shot in stream:
        yield Planned(shot.frame, shot.faces, choose(shot.faces), shot.hands)


def crop_map(face: Face, template: Template, size: int) -> Affine:
    """The similarity from display space to the crop in which the face lies nearest to the template.

    A template of five points is met by the face's five, any other by its mesh.

    Raises:
        ValueError: the template has another number of points than the face offers.
    """
    five = len(template.points) == _FIVE
    points = alignment_points(face) if five else face.mesh.points[:, :2]
    return affine.fit_similarity(points, in_pixels(template, size))


def align(frame: Frame, face: Face, template: Template, size: int) -> Aligned:
    """The crop of `size` x `size` pixels that `crop_map` leads to; raises as it does."""
    to_crop = crop_map(face, template, size)
    return Aligned(
        pixels=frame_crop(frame, to_crop, size),
        to_crop=to_crop,
        mesh=affine.apply(to_crop, face.mesh.points.astype(np.float32)),
        score=face.mesh.score,
        trust=mesh_trust(face, frame.size),
        embedding=face.embedding,
    )


def add_bare_masks(targets: Sequence[Aligned], occluder: BareFaceFinder | None) -> list[Aligned]:
    """Return the crops with the masks of their bare faces; as they are without an occluder."""
    if occluder is None:
        return list(targets)
    masks = occluder.bare_masks(targets)
    return [replace(target, bare=mask) for target, mask in zip(targets, masks, strict=True)]


def add_bare_face(portrait: Portrait, occluder: BareFaceFinder, template: Template) -> Portrait:
    """Return the portrait with the mask of its bare face."""
    to_crop = crop_map(portrait.face, template, _PORTRAIT_SIZE)
    mesh = portrait.face.mesh
    crop = Aligned(
        pixels=warp_crop(portrait.pixels, to_crop, _PORTRAIT_SIZE),
        to_crop=to_crop,
        mesh=affine.apply(to_crop, mesh.points.astype(np.float32)),
        score=mesh.score,
    )
    (mask,) = occluder.bare_masks([crop])
    return replace(portrait, bare=BareFace(mask, to_crop))


@dataclass(frozen=True, slots=True, eq=False)
class SwappedFrame:
    """A finished frame, and on how many of its chosen faces the swap is to be seen.

    It is not where the swapper faded out, or where hands cover the face.
    """

    frame: Frame
    faces: int


@dataclass(frozen=True, slots=True, eq=False)
class FaceSwap(Generic[SourceT]):
    """Swaps the chosen faces of some frames: align, swap, limit, paste, enhance, paste.

    Pure, so it runs in any thread; the faces of all its frames go through the networks together,
    in portions where they are many. `occluder` finds what is before a face: it stays, and no light
    is read off it. `limiters` say where else the swap may show; a hand or a nearer face before a
    face stays as it is whatever they say. With `match_colour`, the swapped
    faces take the colours of the target's. The `enhancer`, if any, sees the faces as they were
    pasted, and shows where the swap does. A frame of which no face was chosen is returned as it is.
    """

    swapper: Swapper[SourceT]
    source: SourceT
    occluder: BareFaceFinder | None = None
    limiters: tuple[Limiter, ...] = ()
    match_colour: bool = False
    enhancer: Enhancer | None = None

    def __call__(self, shots: Sequence[Planned]) -> list[SwappedFrame]:
        """The finished frames, in order; the sizes of their crops are settled."""
        patches = self._patches(shots)
        pasted = (_paste_patches(shot, islice(patches, len(shot.chosen))) for shot in shots)
        # Without an enhancer, a frame's patches are not kept until the next frame has its own.
        works = pasted if self.enhancer is None else _enhance_frames([*pasted], self.enhancer)
        return [SwappedFrame(work.frame, len(work.seen)) for work in works]

    def _patches(self, shots: Sequence[Planned]) -> Iterator[Patch]:
        """What is to be pasted for each chosen face of each frame, in that order."""
        chosen = [
            (shot.frame, face, size)
            for shot in shots
            for face, size in zip(shot.chosen, shot.sizes, strict=True)
        ]
        for part in portions([size for _, _, size in chosen]):
            yield from self._together(chosen[part])

    def _together(self, chosen: Sequence[tuple[Frame, Face, int]]) -> list[Patch]:
        template = self.swapper.template
        targets = add_bare_masks(
            [align(frame, face, template, size) for frame, face, size in chosen], self.occluder
        )
        patches = self.swapper.swap(targets, [self.source] * len(targets))
        if self.match_colour:
            patches = [match_colours(*pair) for pair in zip(targets, patches, strict=True)]
        return limit_patches(targets, patches, self.limiters)


@dataclass(frozen=True, slots=True, eq=False)
class _PastedFrame:
    """A frame, and the faces whose swap is to be seen in it, with their patches."""

    frame: Frame
    seen: tuple[tuple[Face, Patch], ...]


def _paste_patches(shot: Planned, patches: Iterable[Patch]) -> _PastedFrame:
    """The frame with its patches behind what is before the faces."""
    placed = [
        (face, limit_to_visible(patch, shot.hands, nearer_faces(face, shot.faces)))
        for face, patch in zip(shot.chosen, patches, strict=True)
    ]
    frame = paste(shot.frame, [patch for _, patch in placed])
    return _PastedFrame(frame, tuple((face, patch) for face, patch in placed if is_visible(patch)))


def _enhance_frames(works: Sequence[_PastedFrame], enhancer: Enhancer) -> list[_PastedFrame]:
    """The frames with each swapped face drawn anew where the swap shows."""
    answers = _enhance_faces(works, enhancer)
    return [
        replace(
            work,
            frame=paste(work.frame, [_limit_to_swap(next(answers), swap) for _, swap in work.seen]),
        )
        for work in works
    ]


def _enhance_faces(works: Sequence[_PastedFrame], enhancer: Enhancer) -> Iterator[Patch]:
    """What the enhancer makes of each swapped face of each frame, in that order."""
    template, size = enhancer.template, enhancer.size
    seen = [(work.frame, face) for work in works for face, _ in work.seen]
    for part in portions([size] * len(seen)):
        yield from enhancer.enhance([align(*one, template, size) for one in seen[part]])


def _limit_to_swap(answer: Patch, swap: Patch) -> Patch:
    """An enhancer's patch where the swap's shows."""
    return replace(
        answer, mask=answer.mask * warp_patch_mask(swap, answer.to_crop, answer.mask.shape[0])
    )
