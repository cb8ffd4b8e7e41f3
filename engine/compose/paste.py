"""Paste patches into the frame that their crops were cut from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pixels import planes
from engine.pixels.patch_warp import patch_extent, warp_patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.values import Frame, Mask, Patch, Pixels, Rect

_MIN_VISIBLE = 0.1  # mask value that is visible


def is_visible(patch: Patch) -> bool:
    """Tell whether a patch is visible anywhere, by its mask."""
    return bool(patch.mask.max() > _MIN_VISIBLE)


def paste(frame: Frame, patches: Sequence[Patch]) -> Frame:
    """Blend patches into a frame by their masks, one after another.

    Only samples under a mask above 0 change. A frame that no patch reaches is returned unchanged.
    """
    pieces = list(_pieces(patches, frame.size))
    return planes.blend(frame, pieces) if pieces else frame


def _pieces(patches: Sequence[Patch], size: tuple[int, int]) -> Iterator[tuple[Rect, Pixels, Mask]]:
    for patch in patches:
        rect = patch_extent(patch, size)
        if rect is not None:
            yield rect, *warp_patch(patch, rect)
