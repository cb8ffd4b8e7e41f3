"""Synthetic people and frames made of them."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import openpeople

from engine.values import Affine, Bytes, Colour, Frame, PixelFormat

FOLDER = Path(openpeople.__file__).parent / "data" / "curated"


@cache
def picture(person: str, kind: str = "studio_portrait", longest: int = 1024) -> Bytes:
    """An RGB picture of a person of the package openpeople, shrunk to `longest` pixels."""
    found = cv2.imread(str(FOLDER / person / "assets" / f"{kind}.jpg"))
    assert found is not None
    scale = longest / max(found.shape[:2])
    small = cv2.resize(found, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1]).astype(np.uint8)


def frame_of(image: Bytes, index: int = 0) -> Frame:
    planes = tuple(np.ascontiguousarray(image[..., n]) for n in range(3))
    fmt = PixelFormat("gbrp", "rgb", 8)
    return Frame(index, index, Fraction(1, 25), planes, fmt, Colour("rgb", full_range=True))


def turned(image: Bytes, degrees: float, size: int, zoom: float = 1.0) -> tuple[Bytes, Affine]:
    """Return the picture turned clockwise around its middle on a square, and the matrix used."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(
        (width / 2, height / 2), -degrees, zoom * size / max(width, height)
    )
    matrix[:, 2] += (size / 2 - width / 2, size / 2 - height / 2)
    moved = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return moved.astype(np.uint8), np.asarray(matrix, np.float64)


def moving(image: Bytes, count: int, noise: float = 2.0) -> list[Frame]:
    """Return a clip of 320x320 in which the picture swings."""
    rng = np.random.default_rng(0)
    frames = []
    for index in range(count):
        small, _ = turned(image, 6 * np.sin(index / 6), 320, 1 + 0.05 * np.sin(index / 4))
        noisy = small + rng.normal(scale=noise, size=small.shape)
        frames.append(frame_of(np.clip(noisy, 0, 255).astype(np.uint8), index))
    return frames
