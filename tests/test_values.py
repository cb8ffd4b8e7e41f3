from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from engine.api import FoundFaces
from engine.pixels.planes import as_frame, region_bytes
from engine.values import (
    Aligned,
    Attributes,
    BareFace,
    Box,
    Colour,
    Detection,
    Face,
    Frame,
    Mesh,
    Orientation,
    Patch,
    PixelFormat,
    Portrait,
    Rect,
)

RNG = np.random.default_rng(5)
PICTURE = RNG.integers(0, 256, (40, 60, 3), np.uint8)
FLOATS = RNG.random((64, 64, 3), np.float32)
FACE = Face(
    Detection(Box(10, 5, 30, 29), 0.9, np.zeros((5, 2), np.float32)),
    Mesh(np.zeros((468, 3), np.float32), 0.8),
    embedding=np.ones(512, np.float32),
    attributes=Attributes(age=30),
)
MAP = np.eye(2, 3)


@pytest.mark.parametrize(
    "value",
    [
        as_frame(PICTURE),
        FACE,
        Portrait("a", FLOATS, FACE, BareFace(FLOATS[..., 0], MAP)),
        Aligned(FLOATS, MAP, np.zeros((468, 3), np.float32), embedding=np.ones(512, np.float32)),
        Patch(FLOATS, FLOATS[..., 0], MAP),
        FoundFaces(as_frame(PICTURE), (FACE,) * 30, (None,) * 30),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_repr_is_short_and_shows_no_array(value: object) -> None:
    text = repr(value)
    assert text.startswith(f"{type(value).__name__}(")
    assert "array(" not in text
    assert "\n" not in text
    assert len(text) < 2000


def test_a_repr_tells_type_and_shape() -> None:
    assert repr(Patch(FLOATS, FLOATS[..., 0], MAP)) == (
        "Patch(pixels=<float32 (64, 64, 3)>, mask=<float32 (64, 64)>, to_crop=<float64 (2, 3)>)"
    )


def test_a_frame_of_rgb_gives_its_picture_back() -> None:
    assert np.array_equal(as_frame(PICTURE).to_rgb(), PICTURE)
    turned = replace(as_frame(PICTURE), orientation=Orientation(quarter_turns=1))
    assert np.array_equal(turned.to_rgb(), np.rot90(PICTURE))


def test_a_frame_of_yuv_is_converted() -> None:
    planes = tuple(
        RNG.integers(16, 236, shape, np.uint8) for shape in ((40, 60), (20, 30), (20, 30))
    )
    frame = Frame(0, 0, Fraction(1), planes, PixelFormat("yuv420p", "yuv", 8, 1, 1), Colour())
    rgb = frame.to_rgb()
    assert rgb.dtype == np.uint8
    assert rgb.shape == (40, 60, 3)
    assert np.array_equal(rgb, region_bytes(frame, Rect(0, 0, 60, 40)))


def test_a_found_face_has_a_picture() -> None:
    picture = FoundFaces(as_frame(PICTURE), (FACE,), (None,)).picture(0, size=48)
    assert picture.dtype == np.uint8
    assert picture.shape == (48, 48, 3)
    # 1.6 times the box's 24 rows are 38.4 pixels: the picture's middle is the box's.
    expected = PICTURE[16:18, 19:21].mean()
    assert abs(picture[22:26, 22:26].mean() - expected) < 40
