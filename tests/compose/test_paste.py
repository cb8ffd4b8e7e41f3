"""Pasting changes the pixels that the mask covers and no others, without loss."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.compose.paste import paste
from engine.geometry import affine
from engine.pixels.align import frame_crop
from engine.pixels.patch_warp import patch_extent, warp_patch
from engine.values import (
    Affine,
    Colour,
    Frame,
    Matrix,
    Orientation,
    Patch,
    PixelFormat,
    Plane,
    Rect,
)
from tests.doubles import soft_mask

YUV420 = PixelFormat("yuv420p", "yuv", 8, 1, 1)
YUV444 = PixelFormat("yuv444p", "yuv", 8)
YUV420_10 = PixelFormat("yuv420p10le", "yuv", 10, 1, 1)
RGB = PixelFormat("gbrp", "rgb", 8)
GREY = PixelFormat("gray", "gray", 8)
FORMATS = [YUV420, YUV444, YUV420_10, RGB, GREY]


def smooth(shape: tuple[int, ...], top: int, seed: int) -> NDArray[np.float64]:
    """Noise as sharp as a photograph of a face, kept away from the ends of the range."""
    noise = np.random.default_rng(seed).normal(size=shape)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.2), np.float64)
    return np.asarray((0.5 + 0.12 * noise / noise.std()) * top)


def stored(plane: NDArray[np.float64], fmt: PixelFormat) -> Plane:
    return plane.astype(np.uint8) if fmt.bits == 8 else plane.astype(np.uint16)


def make_frame(
    fmt: PixelFormat, size: tuple[int, int] = (201, 161), turns: int = 0, *, spread: float = 1
) -> Frame:
    """`spread` scales the chroma around its neutral value."""
    width, height = size
    top = (1 << fmt.bits) - 1
    planes = [np.clip(smooth((height, width), top, 0), 0.1 * top, 0.9 * top)]
    chroma = (-(-height >> fmt.chroma_shift_y), -(-width >> fmt.chroma_shift_x))
    if fmt.family != "gray":
        for seed in (1, 2):
            wave = smooth(chroma if fmt.family == "yuv" else (height, width), top, seed)
            planes.append(np.clip((wave - top / 2) * spread + top / 2, 0, top))
    matrix: Matrix = "rgb" if fmt.family == "rgb" else "bt709"
    return Frame(
        index=3,
        pts=77,
        time_base=Fraction(1, 600),
        planes=tuple(stored(np.rint(plane), fmt) for plane in planes),
        format=fmt,
        colour=Colour(matrix=matrix, full_range=fmt.family == "rgb"),
        orientation=Orientation(turns),
        duration=5,
    )


def map_around(centre: tuple[float, float], side: int, scale: float, angle: float) -> Affine:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([side / 2, side / 2])
    return np.column_stack([turn, middle - turn @ np.array(centre)])


def identity_patch(frame: Frame, to_crop: Affine, side: int) -> Patch:
    return Patch(frame_crop(frame, to_crop, side), soft_mask(side), to_crop)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_what_the_mask_does_not_reach_stays_bit_for_bit(fmt: PixelFormat, turns: int) -> None:
    frame = make_frame(fmt, turns=turns)
    to_crop = map_around((70, 90), 64, 0.9, 0.4)
    red = np.broadcast_to(np.array([1, 0.2, 0.1], np.float32), (64, 64, 3)).copy()
    result = paste(frame, [Patch(red, soft_mask(64), to_crop)])

    grid = np.stack(np.meshgrid(*map(np.arange, frame.size)), axis=-1).reshape(-1, 2)
    inside = np.abs(affine.apply(to_crop, grid.astype(np.float64)) - 31.5).max(axis=1) <= 31.5
    reached = np.rot90(inside.reshape(frame.size[::-1]), -turns)
    for before, after in zip(frame.planes, result.planes, strict=True):
        step_y = -(-reached.shape[0] // before.shape[0])
        step_x = -(-reached.shape[1] // before.shape[1])
        pad = [(0, -reached.shape[0] % step_y), (0, -reached.shape[1] % step_x)]
        blocks = np.pad(reached, pad).reshape(before.shape[0], step_y, before.shape[1], step_x)
        touched = blocks.any(axis=(1, 3))
        assert np.array_equal(before[~touched], after[~touched])
        assert not np.array_equal(before[touched], after[touched])
    assert (result.pts, result.index, result.duration) == (frame.pts, frame.index, frame.duration)


@pytest.mark.parametrize("scale", [1.0, 1.3, 1.5, 2.0, 2.6, 3.3])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_an_unchanged_crop_gives_the_frame_back(fmt: PixelFormat, scale: float) -> None:
    frame = make_frame(fmt, spread=0.3)
    side = 112
    to_crop = map_around((101.3, 80.2), side, scale, 0.25)
    result = paste(frame, [identity_patch(frame, to_crop, side)])
    top = (1 << fmt.bits) - 1
    rows, columns = slice(70, 90), slice(90, 110)
    error = frame.planes[0][rows, columns] - result.planes[0][rows, columns].astype(np.float64)
    assert 10 * np.log10(top**2 / max(float(np.mean(error**2)), 1e-9)) >= 45


def test_a_crop_finer_than_its_place_is_averaged_not_aliased() -> None:
    frame = make_frame(GREY)
    to_crop = map_around((100, 80), 256, 4.0, 0.0)
    stripes = np.zeros((256, 256, 3), np.float32)
    stripes[:, ::2] = 1
    result = paste(frame, [Patch(stripes, soft_mask(256), to_crop)])
    middle = result.planes[0][75:85, 95:105].astype(np.float64)
    # Full-scale stripes finer than a pixel are an even grey: half of video range.
    assert np.abs(middle - (16 + 219 / 2)).max() <= 2


@pytest.mark.parametrize(
    ("centre", "is_touched"), [((0, 0), True), ((200, 160), True), ((-200, 80), False)]
)
def test_a_patch_over_the_border_is_clipped(
    centre: tuple[float, float], *, is_touched: bool
) -> None:
    frame = make_frame(YUV420)
    to_crop = map_around(centre, 64, 1.0, 0.3)
    result = paste(frame, [Patch(np.ones((64, 64, 3), np.float32), soft_mask(64), to_crop)])
    assert (result is not frame) == is_touched


def test_nothing_to_paste_is_the_same_frame() -> None:
    frame = make_frame(YUV420)
    to_crop = map_around((100, 80), 64, 1.0, 0.0)
    empty = Patch(np.ones((64, 64, 3), np.float32), np.zeros((64, 64), np.float32), to_crop)
    assert paste(frame, []) is frame
    assert paste(frame, [empty]) is frame


def test_the_frame_pasted_into_is_not_changed() -> None:
    frame = make_frame(YUV420)
    before = [plane.copy() for plane in frame.planes]
    to_crop = map_around((100, 80), 64, 1.0, 0.0)
    paste(frame, [Patch(np.ones((64, 64, 3), np.float32), soft_mask(64), to_crop)])
    assert all(map(np.array_equal, before, frame.planes))


def test_several_patches_are_pasted_in_order() -> None:
    frame = make_frame(RGB)
    to_crop = map_around((100, 80), 64, 1.0, 0.0)
    grey = [np.full((64, 64, 3), level, np.float32) for level in (0.2, 0.8)]
    result = paste(frame, [Patch(pixels, soft_mask(64), to_crop) for pixels in grey])
    assert result.planes[0][80, 100] == 204


def test_the_extent_holds_all_that_the_mask_reaches() -> None:
    rng = np.random.default_rng(4)
    for _ in range(40):
        mask = np.zeros((48, 48), np.float32)
        top, left = rng.integers(0, 40, 2)
        mask[top : top + 6, left : left + 5] = 1
        to_crop = map_around(
            tuple(rng.uniform(20, 80, 2)), 48, rng.uniform(0.4, 3), rng.uniform(0, 6)
        )
        patch = Patch(np.zeros((48, 48, 3), np.float32), mask, to_crop)
        whole = Rect(0, 0, 100, 100)
        _, reached = warp_patch(patch, whole)
        rect = patch_extent(patch, (100, 100))
        if rect is not None:
            reached[rect.top : rect.bottom, rect.left : rect.right] = 0
        assert not reached.any()
