"""Planes to RGB and back: exact colours, untouched samples, orientations, odd sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ParameterError
from engine.pixels.planes import blend, region, region_bytes, thumbnail
from engine.values import Colour, Frame, Mask, Matrix, Orientation, PixelFormat, Plane, Rect

MATRICES: tuple[Matrix, ...] = ("bt601", "bt709", "bt2020")
SHIFTS = ((1, 1), (1, 0), (0, 0), (0, 1), (2, 0))
DEPTHS = (8, 10, 12)
ORIENTATIONS = [Orientation(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def yuv_format(bits: int, shifts: tuple[int, int], *, alpha: bool = False) -> PixelFormat:
    return PixelFormat("planar", "yuv", bits, *shifts, alpha=alpha)


def formula(
    rgb: tuple[float, float, float], matrix: Matrix, *, full: bool, bits: int
) -> list[float]:
    """Return the codes of a colour, straight from the recommendations."""
    red, green, blue = rgb
    kr, kb = WEIGHTS[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    first, second = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    if full:
        top = 2**bits - 1
        return [luma * top, first * top + 2 ** (bits - 1), second * top + 2 ** (bits - 1)]
    unit = 2 ** (bits - 8)
    return [(219 * luma + 16) * unit, (224 * first + 128) * unit, (224 * second + 128) * unit]


def flat_frame(
    codes: list[float], fmt: PixelFormat, colour: Colour, size: tuple[int, int]
) -> Frame:
    width, height = size
    kind: Any = np.uint8 if fmt.bits == 8 else np.uint16
    small = (
        (height + (1 << fmt.chroma_shift_y) - 1) >> fmt.chroma_shift_y,
        (width + (1 << fmt.chroma_shift_x) - 1) >> fmt.chroma_shift_x,
    )
    shapes = ((height, width), small, small)
    planes = tuple(
        np.full(shape, min(round(code), (1 << fmt.bits) - 1), kind)
        for shape, code in zip(shapes, codes, strict=True)
    )
    return Frame(0, 0, Fraction(1, 25), planes, fmt, colour)


def real_frame(
    fmt: PixelFormat,
    colour: Colour,
    size: tuple[int, int] = (61, 47),
    orientation: Orientation | None = None,
) -> Frame:
    """Codes of colours inside the RGB cube, with sharp chroma edges."""
    rng = np.random.default_rng(7)
    width, height = size
    kind: Any = np.uint8 if fmt.bits == 8 else np.uint16
    if fmt.family == "rgb":
        count, shapes = 3, [(height, width)] * 3
    elif fmt.family == "gray":
        count, shapes = 1, [(height, width)]
    else:
        small = (
            (height + (1 << fmt.chroma_shift_y) - 1) >> fmt.chroma_shift_y,
            (width + (1 << fmt.chroma_shift_x) - 1) >> fmt.chroma_shift_x,
        )
        count, shapes = 3, [(height, width), small, small]
    scale = 1 << (fmt.bits - 8)
    ranges = [(100, 140)] * 3 if fmt.family == "rgb" else [(100, 140), (112, 144), (112, 144)]
    planes: list[Plane] = [
        rng.integers(low * scale, high * scale, shape).astype(kind)
        for (low, high), shape, _ in zip(ranges, shapes, range(count), strict=False)
    ]
    if fmt.alpha:
        planes.append(rng.integers(0, 1 << fmt.bits, (height, width)).astype(kind))
    for plane in planes:
        plane.flags.writeable = False
    return Frame(
        3, 7, Fraction(1, 25), tuple(planes), fmt, colour, orientation or Orientation(), duration=1
    )


def differences(one: Frame, other: Frame) -> Iterator[int]:
    for a, b in zip(one.planes, other.planes, strict=True):
        assert a.dtype == b.dtype
        yield int(np.abs(a.astype(int) - b.astype(int)).max())


def ones(rect: Rect) -> Mask:
    return np.ones((rect.height, rect.width), np.float32)


@pytest.mark.parametrize(("matrix", "full", "bits"), list(product(MATRICES, (False, True), DEPTHS)))
@pytest.mark.parametrize("rgb", [(0, 0, 0), (1, 1, 1), (1, 0, 0), (0.2, 0.7, 0.4), (0, 0, 1)])
def test_flat_colours_follow_the_formulas(
    rgb: tuple[float, float, float], matrix: Matrix, full: bool, bits: int
) -> None:
    codes = formula(rgb, matrix, full=full, bits=bits)
    frame = flat_frame(codes, yuv_format(bits, (1, 1)), Colour(matrix, full), (16, 12))
    rect = Rect(2, 4, 10, 10)
    code = 2.5 / (1 << bits)  # rounding of three codes, as RGB
    assert np.abs(region(frame, rect) - rgb).max() <= code
    near = np.abs(region_bytes(frame, rect) - np.array(rgb) * 255).max()
    assert near <= code * 255 + 0.5
    assert np.abs(thumbnail(frame, (8, 6)) - np.array(rgb) * 255).max() <= code * 255 + 0.5
    grey = flat_frame(
        formula((0.5, 0.5, 0.5), matrix, full=full, bits=bits), frame.format, frame.colour, (16, 12)
    )
    painted = blend(grey, [(rect, np.full((6, 8, 3), rgb, np.float32), ones(rect))])
    expected = [round(min(value, (1 << bits) - 1)) for value in codes]
    assert [int(painted.planes[n][at, at]) for n, at in enumerate((6, 3, 3))] == pytest.approx(
        expected, abs=0.51
    )
    inside = painted.planes[0][4:10, 2:10]
    assert (inside == inside[0, 0]).all()
    inside = painted.planes[1][2:5, 1:5]
    assert (inside == inside[0, 0]).all()


@pytest.mark.parametrize(("matrix", "full"), list(product(MATRICES, (False, True))))
@pytest.mark.parametrize(("bits", "shifts"), list(product(DEPTHS, SHIFTS)))
@pytest.mark.parametrize("site", [0, 2, 3, 5])
def test_unchanged_pixels_come_back(
    matrix: Matrix, full: bool, bits: int, shifts: tuple[int, int], site: int
) -> None:
    colour = Colour(matrix, full, chroma_location=site)
    frame = real_frame(yuv_format(bits, shifts), colour)
    for rect in (Rect(0, 0, 61, 47), Rect(7, 5, 40, 32), Rect(30, 20, 61, 47), Rect(9, 9, 10, 10)):
        again = blend(frame, [(rect, region(frame, rect), ones(rect))])
        assert max(differences(frame, again)) == 0


@pytest.mark.parametrize("family", ["rgb", "gray"])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_rgb_and_grey_come_back(family: str, bits: int) -> None:
    fmt = PixelFormat("planar", "rgb" if family == "rgb" else "gray", bits, alpha=True)
    matrix: Matrix = "rgb" if family == "rgb" else "bt601"
    frame = real_frame(fmt, Colour(matrix, full_range=True))
    rect = Rect(3, 2, 50, 40)
    again = blend(frame, [(rect, region(frame, rect), ones(rect))])
    assert max(differences(frame, again)) <= (0 if bits < 16 else 1)
    red = np.broadcast_to(np.array([1, 0, 0], np.float32), (38, 47, 3))
    painted = blend(frame, [(rect, red, ones(rect))])
    assert np.array_equal(painted.planes[-1], frame.planes[-1])  # alpha
    top = (1 << bits) - 1
    expected = [top, 0, 0] if family == "rgb" else [round(0.299 * top)]
    assert [int(plane[10, 10]) for plane in painted.planes[:-1]] == expected


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("shifts", SHIFTS)
def test_orientation_turns_the_picture(orientation: Orientation, shifts: tuple[int, int]) -> None:
    frame = real_frame(yuv_format(8, shifts), Colour("bt709"), orientation=orientation)
    upright = replace(frame, orientation=Orientation())

    def shown(array: NDArray[Any]) -> NDArray[Any]:
        mirrored = array[:, ::-1] if orientation.mirrored else array
        return np.rot90(mirrored, orientation.quarter_turns)

    width, height = frame.size
    everything = shown(region(upright, Rect(0, 0, 61, 47)))
    assert everything.shape == (height, width, 3)
    rect = Rect(5, 8, 31, 40)
    piece = region(frame, rect)
    assert piece == pytest.approx(
        everything[rect.top : rect.bottom, rect.left : rect.right], abs=1e-5
    )
    small = thumbnail(frame, (width // 2, height // 2))
    unturned = (
        (height // 2, width // 2) if orientation.quarter_turns % 2 else (width // 2, height // 2)
    )
    assert np.array_equal(small, shown(thumbnail(upright, unturned)))
    painted = blend(frame, [(rect, 1 - piece, ones(rect))])
    luma = shown((painted.planes[0] != frame.planes[0]).astype(np.uint8))
    touched = np.zeros_like(luma)
    touched[rect.top : rect.bottom, rect.left : rect.right] = 1
    assert not (luma > touched).any()
    assert luma[rect.top : rect.bottom, rect.left : rect.right].mean() > 0.8


@pytest.mark.parametrize("shifts", SHIFTS)
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("rect", [Rect(4, 6, 40, 38), Rect(5, 7, 42, 39), Rect(0, 0, 61, 47)])
def test_samples_under_a_mask_of_zero_stay(shifts: tuple[int, int], bits: int, rect: Rect) -> None:
    frame = real_frame(yuv_format(bits, shifts, alpha=True), Colour("bt709"))
    mask = np.zeros((rect.height, rect.width), np.float32)
    mask[11:20, 9:17] = np.linspace(0, 1, 8, dtype=np.float32)
    white = np.ones((rect.height, rect.width, 3), np.float32)
    painted = blend(frame, [(rect, white, mask)])
    whole = np.zeros((47, 61), np.float32)
    whole[rect.top : rect.bottom, rect.left : rect.right] = mask
    step_x, step_y = 1 << shifts[0], 1 << shifts[1]
    padded = np.pad(whole, ((0, -47 % step_y), (0, -61 % step_x)))
    rows, columns = padded.shape[0] // step_y, padded.shape[1] // step_x
    chroma = padded.reshape(rows, step_y, columns, step_x).max(axis=(1, 3))
    for n, covered in enumerate((whole, chroma, chroma, np.zeros((47, 61)))):
        changed = painted.planes[n] != frame.planes[n]
        assert not changed[covered == 0].any()
        assert n == 3 or changed.any()


def test_the_frame_itself_is_not_written_to() -> None:
    frame = real_frame(yuv_format(8, (1, 1)), Colour())
    before = [plane.copy() for plane in frame.planes]
    rect = Rect(0, 0, 20, 20)
    painted = blend(frame, [(rect, np.zeros((20, 20, 3), np.float32), ones(rect))])
    assert all(np.array_equal(a, b) for a, b in zip(before, frame.planes, strict=True))
    assert (painted.index, painted.pts, painted.duration) == (3, 7, 1)
    assert blend(frame, []) is frame


def test_pieces_are_blended_in_order() -> None:
    frame = real_frame(yuv_format(8, (1, 1)), Colour("bt709"))
    first, second = Rect(2, 2, 30, 30), Rect(10, 10, 40, 40)
    black = np.zeros((28, 28, 3), np.float32)
    white = np.ones((30, 30, 3), np.float32)
    both = blend(frame, [(first, black, ones(first)), (second, white, ones(second))])
    assert both.planes[0][20, 20] == 235
    assert both.planes[0][5, 5] == 16
    one = blend(frame, [(first, black, ones(first))])
    two = blend(one, [(second, white, ones(second))])
    assert max(differences(both, two)) == 0


def test_half_a_mask_is_half_the_way() -> None:
    frame = flat_frame([50, 128, 128], yuv_format(8, (1, 1)), Colour("bt709"), (32, 32))
    rect = Rect(4, 4, 20, 20)
    white = np.ones((16, 16, 3), np.float32)
    painted = blend(frame, [(rect, white, np.full((16, 16), 0.5, np.float32))])
    assert painted.planes[0][10, 10] == round((50 + 235) / 2)


def test_an_odd_edge_counts_the_covered_half_of_a_chroma_sample() -> None:
    frame = flat_frame([81, 128, 128], yuv_format(8, (1, 1)), Colour("bt601"), (32, 32))
    rect = Rect(5, 5, 21, 21)
    red = np.broadcast_to(np.array([1, 0, 0], np.float32), (16, 16, 3))
    painted = blend(frame, [(rect, red, ones(rect))])
    whole, half = 240 - 128, int(painted.planes[2][5, 2]) - 128
    assert half == pytest.approx(whole / 2, abs=1)
    assert int(painted.planes[2][2, 2]) - 128 == pytest.approx(whole / 4, abs=1)
    assert painted.planes[2][1, 1] == 128


def test_left_sited_chroma_is_that_of_the_even_columns() -> None:
    fmt = yuv_format(8, (1, 0))
    frame = flat_frame([120, 128, 128], fmt, Colour("bt709"), (16, 4))
    ramp = np.broadcast_to(np.arange(100, 132, 4, dtype=np.uint8), (4, 8))
    frame = replace(frame, planes=(frame.planes[0], frame.planes[1], ramp))
    red = region(frame, Rect(0, 0, 14, 4))[0, :, 0]
    # Linear in the code: equal steps mean that odd columns lie half-way.
    assert np.ptp(np.diff(red)) < 1e-6


@pytest.mark.parametrize(
    "rect", [Rect(-1, 0, 4, 4), Rect(0, 0, 62, 4), Rect(0, 0, 4, 48), Rect(4, 4, 4, 8)]
)
def test_rectangles_must_lie_inside(rect: Rect) -> None:
    frame = real_frame(yuv_format(8, (1, 1)), Colour())
    with pytest.raises(ParameterError, match="61x47"):
        region(frame, rect)


def test_pieces_must_fit_their_rectangle() -> None:
    frame = real_frame(yuv_format(8, (1, 1)), Colour())
    rect = Rect(0, 0, 8, 8)
    with pytest.raises(ParameterError, match="same height and width"):
        blend(frame, [(rect, np.zeros((8, 7, 3), np.float32), ones(rect))])


def test_a_thumbnail_averages_areas() -> None:
    fmt = yuv_format(8, (1, 1))
    frame = flat_frame([16, 128, 128], fmt, Colour("bt709"), (64, 64))
    checker = np.where(np.indices((64, 64)).sum(axis=0) % 2, 235, 16).astype(np.uint8)
    frame = replace(frame, planes=(checker, *frame.planes[1:]))
    small = thumbnail(frame, (16, 16))
    assert small.shape == (16, 16, 3)
    assert small.dtype == np.uint8
    assert np.abs(small.astype(int) - 128).max() <= 2
