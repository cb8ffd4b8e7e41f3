"""Patches put back into the frame that their crops were taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pixels import planes
from engine.pixels.patch_warp import patch_extent, warp_patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.values import Frame, Mask, Patch, Pixels, Rect

_MIN_VISIBLE = 0.1  # a mask that is nowhere above this leaves nothing to see


def is_visible(patch: Patch) -> bool:
    """Whether the patch's mask is strong enough anywhere for the patch to be seen."""
    return bool(patch.mask.max() > _MIN_VISIBLE)


def paste(frame: Frame, patches: Sequence[Patch]) -> Frame:
    """The frame with the patches blended in, one after another, by their masks.

    Only samples that a mask above 0 reaches differ from the frame's. A frame that no patch
    reaches is returned as it is.
    """
    pieces = list(_pieces(patches, frame.size))
    return planes.blend(frame, pieces) if pieces else frame


def _pieces(patches: Sequence[Patch], size: tuple[int, int]) -> Iterator[tuple[Rect, Pixels, Mask]]:
    for patch in patches:
        rect = patch_extent(patch, size)
        if rect is not None:
            yield rect, *warp_patch(patch, rect)
