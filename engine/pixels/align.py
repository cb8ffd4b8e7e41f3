"""Crops: square pictures that a similarity cuts out of a frame, without aliasing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.geometry import affine as maps
from engine.geometry.boxes import rect_around
from engine.pixels.planes import region, rgb_bytes_of, rgb_of, sampled_planes
from engine.pixels.upsampling import DOUBLED_PICTURE, upsample_2x
from engine.values import Affine, Box, Bytes, Frame, Pixels, Points, Rect

Picture = TypeVar("Picture", np.float32, np.uint8)
Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
# A function that samples a crop with at least the resolution of the picture.
_Enlarge: TypeAlias = Callable[[NDArray[Any], Affine, int], NDArray[Any]]

_MARGIN = 1.6  # side of a face's picture over the longer side of its box
_OUTSIDE = 64  # grey of a face's picture where there is no frame
# Pixels around the crop that interpolation reads.
_REACH = 4.5
# Largest distance of two bilinear samples in pixels of the image; their tents still overlap.
_FARTHEST = 1.25
# A picture that is reduced further than this is first reduced by an integer factor.
_LEAST_SAMPLED = 0.6


def warp_crop(image: NDArray[Picture], to_crop: Affine, size: int) -> NDArray[Picture]:
    """Return the crop (size, size, 3) of `image` (h, w, 3), in the same dtype.

    `to_crop` maps pixel centres of the image to pixel centres of the crop. Beyond the image, its
    border is repeated. Enlarging is bicubic. Reducing averages over the area of each pixel of the
    crop, first along the image's axes and then along the crop's, so that fine detail does not
    alias.
    """
    crop = _sample(image, to_crop, size, image.dtype, _bicubic)
    if crop.dtype == np.float32:
        np.clip(crop, 0, 1, out=crop)
    return cast("NDArray[Picture]", crop)


def frame_crop(frame: Frame, to_crop: Affine, size: int) -> Pixels:
    """Return the crop (size, size, 3) of a frame, RGB float32 0..1.

    `to_crop` maps display space to the crop. Only the part of the frame under the crop is read.
    Enlarging is sharper than in `warp_crop`.
    """
    crops = _plane_crops(frame, to_crop, size, np.float32, _sharp)
    return rgb_of(crops, frame.format, frame.colour)


def byte_crop(frame: Frame, to_crop: Affine, size: int) -> Bytes:
    """Return the crop (size, size, 3) of a frame as uint8 RGB, sampled as by `warp_crop`."""
    kind = np.uint8 if frame.format.bits == 8 else np.float32
    return rgb_bytes_of(
        _plane_crops(frame, to_crop, size, kind, _bicubic), frame.format, frame.colour
    )


def face_picture(frame: Frame, box: Box, size: int) -> Bytes:
    """Return an upright square picture around a box: (size, size, 3) RGB, uint8.

    Its side is 1.6 times the longer side of the box. What lies outside the frame is grey.
    """
    side = max(box.width, box.height, 1.0) * _MARGIN
    # The crop's first pixel edge, at -0.5 in the crop, is half a side left of the box's middle.
    left = (box.left + box.right) / 2 - side / 2
    top = (box.top + box.bottom) / 2 - side / 2
    to_crop = maps.compose(maps.shift(-left - 0.5, -top - 0.5), maps.rescale(size / side))
    picture = byte_crop(frame, to_crop, size)
    width, height = frame.size
    edges = np.array([(-0.5, -0.5), (width - 0.5, height - 0.5)], np.float32)
    (first_x, first_y), (end_x, end_y) = np.ceil(maps.apply(to_crop, edges)).astype(int)
    outside = np.ones((size, size), bool)
    outside[max(first_y, 0) : max(end_y, 0), max(first_x, 0) : max(end_x, 0)] = False
    picture[outside] = _OUTSIDE
    return picture


def crop_rect(frame: Frame, rect: Rect, most: int) -> tuple[Pixels, Affine]:
    """Return a rectangle of a frame, RGB 0..1, and the map from display space to its pixels.

    If a side has more than `most` pixels, it is reduced by an integer factor, by area.
    """
    part, to_part = region(frame, rect), maps.shift(-rect.left, -rect.top)
    factor = -(-max(rect.width, rect.height) // most)
    if factor == 1:
        return part, to_part
    small, from_small = _reduce(part, maps.invert(to_part), factor)
    return cast("Pixels", small), maps.invert(from_small)


def _plane_crops(
    frame: Frame, to_crop: Affine, size: int, kind: type[Picture], enlarge: _Enlarge
) -> list[NDArray[Picture]]:
    """Return the crops of a frame's planes, each sampled from the plane itself.

    Colours are then converted for the pixels of the crop only. Subsampled chroma is bilinear.
    """
    full = frame.planes[0].shape
    return [
        _sample(
            plane,
            maps.compose(to_display, to_crop),
            size,
            kind,
            enlarge if plane.shape == full else _bilinear,
        )
        for plane, to_display in sampled_planes(frame)
    ]


def _sample(
    image: Image, to_crop: Affine, size: int, kind: DTypeLike, enlarge: _Enlarge
) -> NDArray[Any]:
    """Return the crop of a picture or plane as dtype `kind`; `enlarge` makes it if not reduced."""
    height, width = image.shape[:2]
    rect = source_rect(to_crop, size, (width, height))
    part = image[rect.top : rect.bottom, rect.left : rect.right].astype(kind, copy=False)
    to_crop = maps.compose(maps.shift(rect.left, rect.top), to_crop)
    scale = _least_scale(to_crop)
    if scale <= _LEAST_SAMPLED / 2:
        part, to_crop = _reduce(part, to_crop, int(_LEAST_SAMPLED / scale))
    samples = max(1, int(np.ceil(1 / (_FARTHEST * _least_scale(to_crop)) - 1e-6)))
    if samples == 1:
        return enlarge(part, to_crop, size)
    fine = _bilinear(part, maps.compose(to_crop, maps.rescale(samples)), size * samples)
    return cast("NDArray[Any]", cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA))


def _sharp(part: NDArray[Any], to_crop: Affine, size: int) -> NDArray[Any]:
    return _bilinear(upsample_2x(part), maps.compose(DOUBLED_PICTURE, to_crop), size)


def _bicubic(part: NDArray[Any], to_crop: Affine, size: int) -> NDArray[Any]:
    return _warp(part, to_crop, size, cv2.INTER_CUBIC)


def _bilinear(part: NDArray[Any], to_crop: Affine, size: int) -> NDArray[Any]:
    return _warp(part, to_crop, size, cv2.INTER_LINEAR)


def _warp(part: NDArray[Any], to_crop: Affine, size: int, flags: int) -> NDArray[Any]:
    return cv2.warpAffine(part, to_crop, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _least_scale(affine: Affine) -> float:
    """Return the scale in the direction of the strongest reduction; chroma may have one only."""
    return float(np.linalg.norm(affine[:, :2], -2))


def source_rect(to_crop: Affine, size: int, picture: tuple[int, int]) -> Rect:
    """Return the pixels of a picture of (width, height) that a crop of `size` reads."""
    corners: Points = np.array(
        [[-0.5, -0.5], [size - 0.5, -0.5], [size - 0.5, size - 0.5], [-0.5, size - 0.5]], np.float32
    )
    back = maps.invert(to_crop)
    return rect_around(maps.apply(back, corners), _REACH + maps.scale_of(back), picture)


def _reduce(part: NDArray[Any], to_crop: Affine, factor: int) -> tuple[NDArray[Any], Affine]:
    """Return a picture reduced by an integer factor, and the map from there to the crop."""
    height, width = part.shape[:2]
    # Complete the last blocks by repeating the border, as the crop does beyond the picture.
    part = cv2.copyMakeBorder(part, 0, -height % factor, 0, -width % factor, cv2.BORDER_REPLICATE)
    small = cv2.resize(
        part, (part.shape[1] // factor, part.shape[0] // factor), interpolation=cv2.INTER_AREA
    )
    return small, maps.compose(maps.rescale(factor), to_crop)
