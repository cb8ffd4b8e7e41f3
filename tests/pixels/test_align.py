from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.geometry import affine as maps
from engine.pixels.align import byte_crop, frame_crop, source_rect, warp_crop
from engine.pixels.planes import region
from engine.values import Affine, Colour, Frame, PixelFormat, Pixels, Rect

SCALES = [0.07, 0.2, 0.29, 0.31, 0.39, 0.41, 0.45, 0.5, 0.55, 0.75, 0.81, 0.97, 1.0, 1.4, 3.0]


def similarity(scale: float, angle: float, middle: float, size: int) -> Affine:
    """Scale and turn around (middle, middle), which goes to the middle of the crop."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, (size - 1) / 2 - linear @ [middle, middle]])


def grid(size: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:size, :size]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)


def gradient(height: int, width: int) -> Pixels:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x / width, y / height, (x + y) / (width + height)], axis=2)


def rgb_frame(pixels: Pixels) -> Frame:
    planes = tuple(np.rint(pixels[..., n] * 255).astype(np.uint8) for n in range(3))
    fmt = PixelFormat("gbrp", "rgb", 8)
    return Frame(0, 0, Fraction(1, 25), planes, fmt, Colour("rgb", full_range=True))


def yuv_frame(width: int, height: int) -> Frame:
    rng = np.random.default_rng(1)
    luma = np.clip(np.cumsum(rng.normal(size=(height, width)), axis=1) + 120, 16, 235)
    half = (height // 2, width // 2)
    planes = (luma.astype(np.uint8), np.full(half, 110, np.uint8), np.full(half, 150, np.uint8))
    return Frame(0, 0, Fraction(1, 25), planes, PixelFormat("yuv420p", "yuv", 8, 1, 1))


def test_the_identity_gives_the_picture_back() -> None:
    picture = np.random.default_rng(0).random((40, 40, 3), np.float32)
    np.testing.assert_allclose(warp_crop(picture, maps.identity(), 40), picture, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.5])
def test_a_pixel_of_the_crop_shows_exactly_its_place(scale: float, angle: float) -> None:
    size = max(4, int(200 * scale))
    to_crop = maps.compose(similarity(scale, angle, 200, size), maps.shift(0.37, -0.21))
    crop = warp_crop(gradient(400, 400), to_crop, size)
    places = maps.apply(maps.invert(to_crop), grid(size))
    expected = np.stack(
        [places[:, 0] / 400, places[:, 1] / 400, places.sum(axis=1) / 800], axis=1
    ).reshape(size, size, 3)
    # OpenCV's bicubic filter (a = -0.75) is off by up to 0.05 pixels on a slope.
    tolerance = 0.05 / 400 if scale >= 0.8 else 1e-4
    np.testing.assert_allclose(crop, expected, atol=tolerance)


@pytest.mark.parametrize("scale", [scale for scale in SCALES if scale <= 0.55])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_a_fine_checkerboard_turns_grey(scale: float, angle: float) -> None:
    board = (np.indices((600, 600)).sum(axis=0) % 2).astype(np.float32)
    size = max(4, int(400 * scale))
    crop = warp_crop(
        np.repeat(board[..., None], 3, axis=2), similarity(scale, angle, 300, size), size
    )
    np.testing.assert_allclose(crop, 0.5, atol=0.08)
    assert crop.std() < 0.06


def test_bytes_stay_bytes_and_floats_stay_within_0_and_1() -> None:
    picture = (np.random.default_rng(0).random((50, 50, 3)) > 0.5).astype(np.float32)
    enlarged = warp_crop(picture, similarity(3.0, 0.2, 25, 90), 90)
    assert enlarged.min() >= 0
    assert enlarged.max() <= 1
    assert warp_crop((picture * 255).astype(np.uint8), maps.identity(), 50).dtype == np.uint8


@pytest.mark.parametrize("scale", [0.1, 0.6, 2.0])
def test_beyond_the_picture_its_border_is_repeated(scale: float) -> None:
    picture = np.full((64, 64, 3), 0.25, np.float32)
    picture[:, 32:] = 0.75
    away = maps.compose(similarity(scale, 0, 32, 32), maps.shift(-40 - 100 * scale, 0))
    np.testing.assert_allclose(warp_crop(picture, away, 32), 0.75, atol=1e-6)


@pytest.mark.parametrize("scale", [0.08, 0.3, 0.8, 2.0])
@pytest.mark.parametrize("middle", [60.0, 5.0, -40.0])
def test_a_crop_of_a_frame_is_the_crop_of_its_picture(scale: float, middle: float) -> None:
    for frame in (rgb_frame(gradient(121, 163)), yuv_frame(164, 120)):
        width, height = frame.size
        whole = region(frame, Rect(0, 0, width, height))
        to_crop = similarity(scale, 0.3, middle, 48)
        expected = warp_crop(whole, to_crop, 48)
        # Blocks of the first shrinking start elsewhere in the whole picture.
        np.testing.assert_allclose(frame_crop(frame, to_crop, 48), expected, atol=0.02)
        np.testing.assert_allclose(byte_crop(frame, to_crop, 48) / 255, expected, atol=0.03)


def test_only_the_touched_rectangle_is_read() -> None:
    rect = source_rect(similarity(1.0, 0.0, 100, 20), 20, (200, 200))
    assert (rect.left, rect.top) >= (80, 80)
    assert rect.width <= 34
    assert source_rect(similarity(1.0, 0.0, -500, 20), 20, (200, 200)).width >= 1
