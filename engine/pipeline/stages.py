"""Stages between analysed faces and finished frames; they know protocols, not networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic

import numpy as np

from engine.compose.colour import match_colours
from engine.compose.combine import limit_patches
from engine.compose.limiter import BareFaceFinder, Limiter
from engine.compose.occlusion import limit_to_visible, nearer_faces
from engine.compose.paste import is_visible, paste
from engine.enhance.enhancer import Enhancer
from engine.faces.landmarks import alignment_points
from engine.faces.mesh_fit import MeshFit, mesh_fit, mesh_trust
from engine.geometry import affine
from engine.geometry.templates import in_pixels
from engine.pixels.align import frame_crop, warp_crop
from engine.pixels.patch_warp import warp_patch_mask
from engine.runtime.portions import portions
from engine.swappers.swapper import SourceT, Swapper
from engine.values import (
    Affine,
    Aligned,
    BareFace,
    Face,
    Frame,
    Mask,
    Patch,
    Planned,
    Portrait,
    Template,
)

_FIVE = 5
_PORTRAIT_SIZE = 256  # side of a portrait's crop for the occluder


def crop_map(face: Face, template: Template, size: int) -> Affine:
    """Return the similarity from display space to the crop that fits a face to a template.

    A template of five points is fitted to the face's alignment points, any other to its mesh.

    Raises:
        ValueError: The template has a different number of points than the face.
    """
    five = len(template.points) == _FIVE
    points = alignment_points(face) if five else face.mesh.points[:, :2]
    return affine.fit_similarity(points, in_pixels(template, size))


def align(frame: Frame, face: Face, template: Template, size: int) -> Aligned:
    """Cut the aligned crop of a face, `size` x `size` pixels; raise as `crop_map` does."""
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
    """Return the crops with masks of their bare faces; unchanged without an occluder."""
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


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of a swapper's mask, 0..1, that are left out because something covers the face.

    `occluder` is what the occluder found, `face` a nearer face, `hand` a hand.
    """

    occluder: float = 0.0
    face: float = 0.0
    hand: float = 0.0


@dataclass(frozen=True, slots=True)
class SwappedFace:
    """Visibility of the swap on one chosen face.

    Attributes:
        fit: how well its mesh fits.
        strength: highest value of the swapper's own mask; below 1 where the swapper fades out.
        covered: what covers it.
        visible: False if the output shows the face unchanged.
    """

    fit: MeshFit
    strength: float
    covered: Coverage
    visible: bool


@dataclass(frozen=True, slots=True, eq=False)
class SwappedFrame:
    """Finished frame, and how far the swap shows on each of its chosen faces."""

    frame: Frame
    faces: tuple[SwappedFace, ...]

    @property
    def visible(self) -> int:
        """Number of faces on which the swap is visible."""
        return sum(face.visible for face in self.faces)


@dataclass(frozen=True, slots=True, eq=False)
class FaceSwap(Generic[SourceT]):
    """Swaps the chosen faces of frames: align, swap, limit, paste, restore, paste.

    It is a pure function, which may run in any thread. The faces of all frames of a call go through
    the networks together, in portions that bound memory. A frame without chosen faces is returned
    unchanged.

    Attributes:
        swapper: puts the source onto crops.
        sources: the source of each role, as prepared by the swapper.
        occluder: finds what covers a face; that stays, and no light is measured on it.
        limiters: restrict where the swap shows. Hands and nearer faces stay in any case.
        match_colour: match the colours of the swapped faces to the target's.
        enhancer: restores the pasted faces where the swap shows; None for no restoration.
    """

    swapper: Swapper[SourceT]
    sources: Mapping[int, SourceT]
    occluder: BareFaceFinder | None = None
    limiters: tuple[Limiter, ...] = ()
    match_colour: bool = False
    enhancer: Enhancer | None = None

    def __call__(self, shots: Sequence[Planned]) -> list[SwappedFrame]:
        """Return the finished frames in order; `shots` must have the sizes of their crops."""
        patches = self._patches(shots)
        pasted = (_paste_patches(shot, islice(patches, len(shot.chosen))) for shot in shots)
        # Without an enhancer, a frame's patches are not kept until the next frame has its own.
        works = pasted if self.enhancer is None else _enhance_frames([*pasted], self.enhancer)
        return [SwappedFrame(work.frame, work.faces) for work in works]

    def _patches(self, shots: Sequence[Planned]) -> Iterator[_LimitedPatch]:
        """Yield a patch for each chosen face of each frame, in that order."""
        chosen = [
            (shot.frame, face, size, self.sources[role])
            for shot in shots
            for face, size, role in zip(
                shot.chosen, shot.sizes, shot.roles or (0,) * len(shot.chosen), strict=True
            )
        ]
        for part in portions([size for _, _, size, _ in chosen]):
            yield from self._swap_faces(chosen[part])

    def _swap_faces(
        self, chosen: Sequence[tuple[Frame, Face, int, SourceT]]
    ) -> list[_LimitedPatch]:
        template = self.swapper.template
        targets = add_bare_masks(
            [align(frame, face, template, size) for frame, face, size, _ in chosen], self.occluder
        )
        patches = self.swapper.swap(targets, [source for *_, source in chosen])
        if self.match_colour:
            patches = [match_colours(*pair) for pair in zip(targets, patches, strict=True)]
        limited = limit_patches(targets, patches, self.limiters)
        return [
            _LimitedPatch(patch, given.mask, target.bare)
            for patch, given, target in zip(limited, patches, targets, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _LimitedPatch:
    """Limited patch, its mask as the swapper gave it, and the mask of the bare face."""

    patch: Patch
    given: Mask
    bare: Mask | None


@dataclass(frozen=True, slots=True, eq=False)
class _PastedFrame:
    """Frame with pasted patches.

    `faces` tells of each chosen face how far its patch shows; `seen` holds those on which it is
    visible, with the patch.
    """

    frame: Frame
    faces: tuple[SwappedFace, ...]
    seen: tuple[tuple[Face, Patch], ...]


def _paste_patches(shot: Planned, patches: Iterable[_LimitedPatch]) -> _PastedFrame:
    """Paste the patches of a frame, except on hands and nearer faces."""
    placed = [_place(shot, face, patch) for face, patch in zip(shot.chosen, patches, strict=True)]
    frame = paste(shot.frame, [patch for _, patch in placed])
    seen = tuple(
        (face, patch)
        for face, (shown, patch) in zip(shot.chosen, placed, strict=True)
        if shown.visible
    )
    return _PastedFrame(frame, tuple(shown for shown, _ in placed), seen)


def _place(shot: Planned, face: Face, limited: _LimitedPatch) -> tuple[SwappedFace, Patch]:
    """Return a patch without hands and nearer faces, and how far it shows."""
    patch, given, bare = limited.patch, limited.given, limited.bare
    behind = limit_to_visible(patch, (), nearer_faces(face, shot.faces))
    shown = limit_to_visible(behind, shot.hands)
    covered = Coverage(
        _share_left_out(given, given if bare is None else np.minimum(given, bare), given),
        _share_left_out(patch.mask, behind.mask, given),
        _share_left_out(behind.mask, shown.mask, given),
    )
    fit = mesh_fit(face, shot.frame.size)
    return SwappedFace(fit, float(given.max()), covered, is_visible(shown)), shown


def _share_left_out(before: Mask, after: Mask, whole: Mask) -> float:
    """Return the share of the mask `whole` that is in `before` and not in `after`."""
    if after is before:
        return 0.0
    total = float(whole.sum())
    return float(before.sum() - after.sum()) / total if total > 0 else 0.0


def _enhance_frames(works: Sequence[_PastedFrame], enhancer: Enhancer) -> list[_PastedFrame]:
    """Restore each swapped face of the frames where the swap shows."""
    restored = _enhance_faces(works, enhancer)
    return [
        replace(
            work,
            frame=paste(
                work.frame, [_limit_to_swap(next(restored), swap) for _, swap in work.seen]
            ),
        )
        for work in works
    ]


def _enhance_faces(works: Sequence[_PastedFrame], enhancer: Enhancer) -> Iterator[Patch]:
    """Yield the restored patch of each swapped face of each frame, in that order."""
    template, size = enhancer.template, enhancer.size
    seen = [(work.frame, face) for work in works for face, _ in work.seen]
    for part in portions([size] * len(seen)):
        yield from enhancer.enhance([align(*one, template, size) for one in seen[part]])


def _limit_to_swap(restored: Patch, swap: Patch) -> Patch:
    """Limit a restored patch to where the swap's patch shows."""
    return replace(
        restored,
        mask=restored.mask * warp_patch_mask(swap, restored.to_crop, restored.mask.shape[0]),
    )
