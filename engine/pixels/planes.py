"""Convert a frame's planes to RGB and blend RGB into them, for a rectangle or the whole picture.

Rectangles and RGB arrays have display orientation; planes have coded orientation. Chroma is
interpolated bilinearly by its siting (left of the luma for the 4:2:0 default of MPEG-2 and later).
The way back uses a dual filter of that interpolation: interpolating and reducing is the identity,
so unchanged samples stay unchanged.

Matrices: ITU-R BT.601-7, BT.709-6 and BT.2020-2 (non-constant luminance), quantised as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import ParameterError
from engine.geometry import affine as maps
from engine.pixels.tone import transform
from engine.values import (
    Affine,
    Bytes,
    Colour,
    Frame,
    Mask,
    Matrix,
    Orientation,
    PixelFormat,
    Pixels,
    Plane,
    Rect,
)

Floats = NDArray[np.float32]
Margins: TypeAlias = tuple[int, int, int, int]
ArrayT = TypeVar("ArrayT", bound=np.generic)

# Luma weights of red and blue. For grey pictures of an RGB format, JPEG's weights.
_RED_BLUE: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "rgb": (0.299, 0.114),
}
# Chroma sample locations 0 to 6 of ITU-T H.273: position of a chroma sample in its block of luma
# samples, across and down, from the first luma sample (0) to the last (1). 0 (unspecified) and 1
# are left.
_SITES: tuple[tuple[float, float], ...] = (
    (0.0, 0.5),
    (0.0, 0.5),
    (0.5, 0.5),
    (0.0, 0.0),
    (0.5, 0.0),
    (0.0, 1.0),
    (0.5, 1.0),
)


def thumbnail(frame: Frame, size: tuple[int, int]) -> Bytes:
    """Return the displayed picture reduced by area to `size` (width, height), uint8 RGB."""
    coded = size[::-1] if frame.orientation.quarter_turns % 2 else size
    small = [_resize_area(plane, coded) for plane in _colour_planes(frame)]
    return _to_display(rgb_bytes_of(small, frame.format, frame.colour), frame.orientation)


def sampled_planes(frame: Frame) -> list[tuple[Plane, Affine]]:
    """Return the planes without alpha, each with the map from its samples to display space."""
    width, height = frame.coded_size
    turns = frame.orientation.quarter_turns
    mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0]])
    to_display = maps.invert(maps.unturn(turns, width, height))
    if frame.orientation.mirrored:
        to_display = maps.compose(mirror, to_display)
    (step_x, step_y), (site_x, site_y) = _steps(frame.format), _site(frame)
    to_luma = np.array(
        [[step_x, 0, site_x * (step_x - 1)], [0, step_y, site_y * (step_y - 1)]], np.float64
    )
    luma, *chroma = _colour_planes(frame)
    to_display_chroma = maps.compose(to_luma, to_display)
    return [(luma, to_display), *((plane, to_display_chroma) for plane in chroma)]


def rgb_of(planes: Sequence[Floats], fmt: PixelFormat, colour: Colour) -> Pixels:
    """Convert planes of one size, float32 codes (h, w), to RGB (h, w, 3) float32 0..1, clipped."""
    pixels = transform(_merge(planes), _codes_to_rgb(fmt, colour))
    return np.clip(pixels, 0.0, 1.0, out=pixels)


def rgb_bytes_of(planes: Sequence[NDArray[Any]], fmt: PixelFormat, colour: Colour) -> Bytes:
    """Convert planes of one size, uint8 or float32 codes (h, w), to uint8 RGB (h, w, 3)."""
    codes = _merge(planes)
    to_bytes = _codes_to_rgb(fmt, colour) * 255.0
    if codes.dtype == np.uint8:
        return transform(codes, to_bytes)
    pixels = transform(codes.astype(np.float32, copy=False), to_bytes)
    return cast("Bytes", cv2.convertScaleAbs(np.maximum(pixels, 0.0)))


def region(frame: Frame, rect: Rect) -> Pixels:
    """Return a rectangle of the displayed picture as RGB (h, w, 3) float32 0..1, clipped.

    Raises:
        ParameterError: the rectangle does not lie inside the frame.
    """
    coded, planes = _coded_rect(frame, rect), enumerate(_colour_planes(frame))
    full = [_interpolate(frame, n, plane, coded, np.float32) for n, plane in planes]
    return _to_display(rgb_of(full, frame.format, frame.colour), frame.orientation)


def region_bytes(frame: Frame, rect: Rect) -> Bytes:
    """Return a rectangle of the displayed picture as uint8 RGB (h, w, 3); see `region`."""
    coded = _coded_rect(frame, rect)
    kind = np.uint8 if frame.format.bits == 8 else np.float32
    planes = enumerate(_colour_planes(frame))
    full = [_interpolate(frame, n, plane, coded, kind) for n, plane in planes]
    return _to_display(rgb_bytes_of(full, frame.format, frame.colour), frame.orientation)


def blend(frame: Frame, pieces: Sequence[tuple[Rect, Pixels, Mask]]) -> Frame:
    """Return a copy of the frame with RGB pieces blended in, in order.

    A piece is a display rectangle, (h, w, 3) RGB 0..1 and an (h, w) mask 0..1. The planes' samples
    are blended: luma by the mask, subsampled chroma by the mask's mean over the luma samples of its
    block. Samples with a mask of 0, and the alpha plane, stay bit for bit. RGB must be valid one or
    two pixels beyond the mask, because the chroma filter reads it.

    Raises:
        ParameterError: sizes of a piece differ, or it does not lie inside the frame.
    """
    if not pieces:
        return frame
    colours = [plane.copy() for plane in _colour_planes(frame)]
    for rect, rgb, mask in pieces:
        shape = (rect.height, rect.width)
        if rgb.shape != (*shape, 3) or mask.shape != shape:
            raise ParameterError(
                f"a piece for {shape} pixels came with RGB {rgb.shape} and mask {mask.shape}; "
                "all three must have the same height and width"
            )
        _blend_piece(frame, colours, rect, rgb, mask)
    return replace(frame, planes=(*colours, *frame.planes[len(colours) :]))


def _blend_piece(
    frame: Frame, planes: Sequence[Plane], rect: Rect, rgb: Pixels, mask: Mask
) -> None:
    coded = _coded_rect(frame, rect)
    upright = _to_coded(rgb.astype(np.float32, copy=False), frame.orientation)
    weight = _to_coded(mask.astype(np.float32, copy=False), frame.orientation)
    codes = cv2.split(transform(upright, _rgb_to_codes(frame.format, frame.colour)))
    changes = [
        code - _interpolate(frame, n, plane, coded, np.float32)
        for n, (code, plane) in enumerate(zip(codes, planes, strict=True))
    ]
    _add(planes[0], frame.format, coded, changes[0], weight)
    if _steps(frame.format) != (1, 1):
        margins = _margins(frame, coded)
        changes[1:] = [_reduce(frame, change, margins) for change in changes[1:]]
        weight = _reduce_mask(frame, coded, weight, margins)
        coded = _chroma_rect(frame, coded)
    for plane, change in zip(planes[1:], changes[1:], strict=True):
        _add(plane, frame.format, coded, change, weight)


def _add(plane: Plane, fmt: PixelFormat, rect: Rect, change: Floats, weight: Floats) -> None:
    window = plane[rect.top : rect.bottom, rect.left : rect.right]
    # A weight of 0 adds exactly 0 to an integer that float32 represents exactly.
    value = weight * change
    value += window
    np.rint(value, out=value)
    np.clip(value, 0, (1 << fmt.bits) - 1, out=value)
    window[:] = value


def _margins(frame: Frame, coded: Rect) -> Margins:
    """Return the luma samples (top, bottom, left, right) missing for complete chroma blocks."""
    step_x, step_y = _steps(frame.format)
    return coded.top % step_y, -coded.bottom % step_y, coded.left % step_x, -coded.right % step_x


def _reduce(frame: Frame, change: Floats, margins: Margins) -> Floats:
    """Reduce a plane's change from luma resolution to its chroma samples."""
    (step_x, step_y), (site_x, site_y) = _steps(frame.format), _site(frame)
    if any(margins):
        change = cast("Floats", cv2.copyMakeBorder(change, *margins, cv2.BORDER_REPLICATE))
    across, down = _dual_filter(step_x, site_x), _dual_filter(step_y, site_y)
    filtered = cv2.sepFilter2D(
        change,
        cv2.CV_32F,
        across,
        down,
        anchor=(across.size // 3, down.size // 3),
        borderType=cv2.BORDER_REPLICATE,
    )
    return cast("Floats", filtered[::step_y, ::step_x])


def _reduce_mask(frame: Frame, coded: Rect, mask: Floats, margins: Margins) -> Floats:
    """Reduce a mask at luma resolution to its mean over each chroma sample's block."""
    top, bottom, left, right = margins
    width, height = frame.coded_size
    # The mask is 0 beyond the rectangle; beyond the frame's edge it does not count.
    if top or left:
        mask = np.pad(mask, ((top, 0), (left, 0)))
    if bottom:
        mask = np.pad(mask, ((0, bottom), (0, 0)), "edge" if coded.bottom == height else "constant")
    if right:
        mask = np.pad(mask, ((0, 0), (0, right)), "edge" if coded.right == width else "constant")
    step_x, step_y = _steps(frame.format)
    size = (mask.shape[1] // step_x, mask.shape[0] // step_y)
    return cast("Floats", cv2.resize(mask, size, interpolation=cv2.INTER_AREA))


@cache
def _dual_filter(step: int, site: float) -> Floats:
    """Return taps that undo bilinear interpolation by `step`: the shortest D with D(U(c)) = c.

    They cover the luma samples of the chroma sample's block and of the two neighbouring blocks.
    """
    luma = np.arange(-step, 2 * step)
    position = (luma - site * (step - 1)) / step
    chroma = np.arange(np.floor(position[0]), np.floor(position[-1]) + 2)
    interpolation = np.maximum(0.0, 1.0 - np.abs(position[:, None] - chroma))
    taps, *_ = np.linalg.lstsq(interpolation.T, (chroma == 0).astype(np.float64))
    return np.asarray(taps, np.float32)


def _interpolate(
    frame: Frame, n: int, plane: Plane, coded: Rect, kind: type[ArrayT]
) -> NDArray[ArrayT]:
    """Return plane `n` in a coded rectangle at luma resolution; chroma is bilinear."""
    steps = _steps(frame.format)
    if n == 0 or steps == (1, 1):
        return plane[coded.top : coded.bottom, coded.left : coded.right].astype(kind, copy=False)
    inner = _chroma_rect(frame, coded)
    left, top = max(inner.left - 1, 0), max(inner.top - 1, 0)
    window = plane[top : inner.bottom + 1, left : inner.right + 1].astype(kind, copy=False)
    (step_x, step_y), (site_x, site_y) = steps, _site(frame)
    to_window = np.array(
        [
            [1 / step_x, 0, (coded.left - site_x * (step_x - 1)) / step_x - left],
            [0, 1 / step_y, (coded.top - site_y * (step_y - 1)) / step_y - top],
        ]
    )
    return cast(
        "NDArray[ArrayT]",
        cv2.warpAffine(
            window,
            to_window,
            (coded.width, coded.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
    )


def _merge(planes: Sequence[NDArray[ArrayT]]) -> NDArray[ArrayT]:
    """Stack planes of one size to (h, w, planes)."""
    if len(planes) == 1:
        return planes[0][..., None]
    return cast("NDArray[ArrayT]", cv2.merge(cast("Sequence[Floats]", planes)))


@cache
def _rgb_to_codes(fmt: PixelFormat, colour: Colour) -> NDArray[np.float64]:
    """Return the matrix (1 or 3, 4) from RGB 0..1 to unrounded codes of a format."""
    top = (1 << fmt.bits) - 1
    if fmt.family == "rgb":
        return np.hstack([np.eye(3) * top, np.zeros((3, 1))])
    unit = 1 << (fmt.bits - 8)  # BT.601 to BT.2020 define limited range for 8 bits; it scales
    luma, zero, chroma = (top, 0, top) if colour.full_range else (219 * unit, 16 * unit, 224 * unit)
    red, blue = _RED_BLUE[colour.matrix]
    weights = np.array([red, 1.0 - red - blue, blue])
    rows = [np.append(weights * luma, zero)]
    if fmt.family == "yuv":
        for primary, weight in ((2, blue), (0, red)):
            difference = (np.eye(3)[primary] - weights) / (2.0 * (1.0 - weight))
            rows.append(np.append(difference * chroma, 128 * unit))
    return np.stack(rows)


@cache
def _codes_to_rgb(fmt: PixelFormat, colour: Colour) -> NDArray[np.float64]:
    """Return the matrix (3, 2 or 4) from codes of a format to RGB 0..1."""
    forward = _rgb_to_codes(fmt, colour)
    if len(forward) == 1:
        scale = forward[0, :3].sum()
        return np.tile([1.0 / scale, -forward[0, 3] / scale], (3, 1))
    inverse = np.linalg.inv(forward[:, :3])
    return np.hstack([inverse, -inverse @ forward[:, 3:]])


def _colour_planes(frame: Frame) -> tuple[Plane, ...]:
    """Return the planes without alpha."""
    return frame.planes[: 1 if frame.format.family == "gray" else 3]


def _resize_area(plane: Plane, size: tuple[int, int]) -> Plane:
    if plane.shape == size[::-1]:
        return plane
    return cast("Plane", cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _steps(fmt: PixelFormat) -> tuple[int, int]:
    """Return the luma samples per chroma sample, across and down."""
    return 1 << fmt.chroma_shift_x, 1 << fmt.chroma_shift_y


def _site(frame: Frame) -> tuple[float, float]:
    location = frame.colour.chroma_location
    return _SITES[location if location < len(_SITES) else 0]


def _chroma_rect(frame: Frame, coded: Rect) -> Rect:
    """Return the rectangle of chroma samples for the luma samples of a coded rectangle."""
    step_x, step_y = _steps(frame.format)
    return Rect(
        coded.left // step_x,
        coded.top // step_y,
        -(-coded.right // step_x),
        -(-coded.bottom // step_y),
    )


def _coded_rect(frame: Frame, rect: Rect) -> Rect:
    """Convert a display rectangle to coded orientation.

    Raises:
        ParameterError: the rectangle does not lie inside the frame.
    """
    width, height = frame.size
    inside = 0 <= rect.left < rect.right <= width and 0 <= rect.top < rect.bottom <= height
    if not inside:
        raise ParameterError(
            f"the rectangle {rect.left}, {rect.top} to {rect.right}, {rect.bottom} does not lie "
            f"inside the frame of {width}x{height} pixels"
        )
    for _ in range(frame.orientation.quarter_turns % 4):
        rect = Rect(height - rect.bottom, rect.left, height - rect.top, rect.right)
        width, height = height, width
    if frame.orientation.mirrored:
        rect = Rect(width - rect.right, rect.top, width - rect.left, rect.bottom)
    return rect


def _to_display(array: NDArray[ArrayT], orientation: Orientation) -> NDArray[ArrayT]:
    """Convert an array (h, w, ...) from coded to display orientation, contiguous."""
    turned = np.rot90(array[:, ::-1] if orientation.mirrored else array, orientation.quarter_turns)
    return np.ascontiguousarray(turned)


def _to_coded(array: NDArray[ArrayT], orientation: Orientation) -> NDArray[ArrayT]:
    """Convert an array (h, w, ...) from display to coded orientation, contiguous."""
    turned = np.rot90(array, -orientation.quarter_turns)
    return np.ascontiguousarray(turned[:, ::-1] if orientation.mirrored else turned)


def as_frame(picture: Bytes) -> Frame:
    """Return a picture (h, w, 3), uint8 RGB, as a frame with planes R, G and B of its own."""
    return Frame(
        index=0,
        pts=0,
        time_base=Fraction(1),
        planes=tuple(np.array(picture[..., channel], order="C") for channel in range(3)),
        format=PixelFormat("gbrp", "rgb", 8),
        colour=Colour(matrix="rgb", full_range=True),
    )
