"""Crops: the part of a picture that a similarity takes to a square, without aliasing."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine as maps
from engine.geometry.boxes import rect_around
from engine.pixels.planes import region, region_bytes
from engine.values import Affine, Bytes, Frame, Pixels, Points, Rect

Picture = TypeVar("Picture", np.float32, np.uint8)

# Pixels around the crop that interpolation looks at.
_REACH = 2.0


def warp_crop(image: NDArray[Picture], to_crop: Affine, size: int) -> NDArray[Picture]:
    """The (size, size, 3) crop of `image` (h, w, 3) that `to_crop` leads to, in the same dtype.

    `to_crop` takes pixel centres of the image to pixel centres of the crop. Beyond the image its
    border is repeated. Enlarging is bicubic; shrinking averages over the area that each pixel of
    the crop covers, first along the image's axes and then along the crop's, so that fine detail
    turns grey instead of turning into other detail.
    """
    scale = maps.scale_of(to_crop)
    shrink = int(0.5 / scale) if scale < 0.5 else 1
    if shrink > 1:
        image, to_small = _shrink(image, to_crop, size, shrink)
        to_crop = maps.compose(maps.invert(to_small), to_crop)
    samples = max(1, int(np.ceil(1 / maps.scale_of(to_crop) - 1e-6)))
    crop = cv2.warpAffine(
        image,
        maps.compose(to_crop, maps.rescale(samples)),
        (size * samples, size * samples),
        flags=cv2.INTER_LINEAR if samples > 1 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    elif crop.dtype == np.float32:
        np.clip(crop, 0, 1, out=crop)
    return crop  # type: ignore[return-value]  # cv2 keeps the dtype


def frame_crop(frame: Frame, to_crop: Affine, size: int) -> Pixels:
    """The same straight from a frame, reading only the rectangle that the crop touches.

    `to_crop` maps display space to the crop; the answer is (size, size, 3) RGB float32, 0..1.
    """
    rect = touched(to_crop, size, frame.size)
    return warp_crop(region(frame, rect), _within(rect, to_crop), size)


def byte_crop(frame: Frame, to_crop: Affine, size: int) -> Bytes:
    """`frame_crop` as (size, size, 3) uint8 RGB, 0..255: faster, for networks that take bytes."""
    rect = touched(to_crop, size, frame.size)
    return warp_crop(region_bytes(frame, rect), _within(rect, to_crop), size)


def touched(to_crop: Affine, size: int, picture: tuple[int, int]) -> Rect:
    """The pixels of a picture of (width, height) that a crop of `size` is made of."""
    corners: Points = np.array(
        [[-0.5, -0.5], [size - 0.5, -0.5], [size - 0.5, size - 0.5], [-0.5, size - 0.5]], np.float32
    )
    back = maps.invert(to_crop)
    return rect_around(maps.apply(back, corners), _REACH + maps.scale_of(back), picture)


def _within(rect: Rect, to_crop: Affine) -> Affine:
    """The map from a rectangle's own pixels, given the one from the whole picture's."""
    return maps.compose(maps.shift(rect.left, rect.top), to_crop)


def _shrink(
    image: NDArray[Picture], to_crop: Affine, size: int, factor: int
) -> tuple[NDArray[Picture], Affine]:
    """The touched part of an image shrunk by a whole factor, and the map from the image to it."""
    height, width = image.shape[:2]
    rect = touched(to_crop, size, (width, height))
    part = image[rect.top : rect.bottom, rect.left : rect.right]
    # Whole blocks only: repeat the border, as the crop does beyond the picture.
    part = cv2.copyMakeBorder(
        part, 0, -rect.height % factor, 0, -rect.width % factor, cv2.BORDER_REPLICATE
    )  # type: ignore[assignment]
    small = cv2.resize(
        part, (part.shape[1] // factor, part.shape[0] // factor), interpolation=cv2.INTER_AREA
    )
    to_small = maps.compose(maps.shift(-rect.left, -rect.top), maps.rescale(1 / factor))
    return small, to_small  # type: ignore[return-value]
