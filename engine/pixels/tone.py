"""Resize, blur and convert fields of light and colour."""

from __future__ import annotations

import math
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.values import Mask

Field = NDArray[np.float32]  # (h, w, channels)
ArrayT = TypeVar("ArrayT", bound=np.generic)

_LUMA = np.array([(0.2126, 0.7152, 0.0722)], np.float32)


def shrink(pixels: NDArray[np.float32], size: int) -> Field:
    """Reduce a picture to (size, size) by averaging over areas."""
    return cast("Field", cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def enlarge(field: NDArray[np.float32], size: int) -> Field:
    """Enlarge a smooth field to (size, size), bilinear."""
    return cast("Field", cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR))


def resize_square(field: NDArray[np.float32], size: int) -> Field:
    """Resize a square picture to (size, size), with `shrink` or `enlarge`."""
    return (shrink if size < field.shape[0] else enlarge)(field, size)


def blur(field: NDArray[np.float32], sigma: float) -> Field:
    """Blur with a Gaussian; the border repeats."""
    return cast("Field", cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def blur_along(field: NDArray[np.float32], sigma: float, axis: int) -> Field:
    """Blur with a Gaussian along one axis: 0 is y, 1 is x; the border repeats."""
    side = 2 * math.ceil(4 * sigma) + 1
    kernel = (1, side) if axis == 0 else (side, 1)
    return cast("Field", cv2.GaussianBlur(field, kernel, sigma, borderType=cv2.BORDER_REPLICATE))


def soft_inside(mask: Mask, sigma: float) -> Mask:
    """Return a mask with a soft edge inside its own: the upper half of its blur, as 0..1."""
    return np.clip(2 * blur(mask, sigma) - 1, 0, 1)


def weighted_blur(field: Field, weights: Mask, sigma: float) -> tuple[Field, Mask]:
    """Return the weighted blur of a field (normalised convolution), and the blurred weights."""
    seen = blur(weights, sigma)
    total = blur(field * weights[..., None], sigma)
    mean = total / np.maximum(seen, 1e-4)[..., None]
    return mean.astype(np.float32, copy=False), seen


def luma(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the BT.709 luma (...) of RGB (..., 3)."""
    # Not a matrix product, for which BLAS would start its threads in every worker.
    flat = np.ascontiguousarray(pixels).reshape(-1, 1, 3)
    return cast("Mask", cv2.transform(flat, _LUMA)).reshape(pixels.shape[:-1])


def transform(array: NDArray[ArrayT], matrix: NDArray[np.float64]) -> NDArray[ArrayT]:
    """Multiply each pixel (c,) by a (d, c + 1) matrix: (h, w, d), saturated, in the same dtype."""
    out = cv2.transform(cast("NDArray[np.float32]", array), matrix)
    return cast("NDArray[ArrayT]", out.reshape(*array.shape[:2], matrix.shape[0]))


def smoothstep(low: float, high: float, values: ArrayLike) -> NDArray[np.float32]:
    """Return 0 below `low`, 1 above `high`, and a cubic step between."""
    t = np.clip((np.asarray(values, np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
