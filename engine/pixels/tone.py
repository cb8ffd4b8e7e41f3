"""Low-resolution fields of light and colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.values import Mask, Pixels

Field = NDArray[np.float32]  # (h, w, channels)


def shrink(pixels: NDArray[np.float32], size: int) -> Field:
    """The picture at (size, size), each pixel the mean of what it covers."""
    out: Field = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    return out


def enlarge(field: NDArray[np.float32], size: int) -> Field:
    """A smooth field brought to (size, size)."""
    out: Field = cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR)
    return out


def blur(field: NDArray[np.float32], sigma: float) -> Field:
    """Gaussian blur; the border repeats."""
    out: Field = cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return out


def weighted_blur(field: Field, weights: Mask, sigma: float) -> tuple[Field, Mask]:
    """Normalised convolution: the blur of what has weight, and how much weight each pixel saw."""
    seen = blur(weights, sigma)
    return blur(field * weights[..., None], sigma) / np.maximum(seen, 1e-4)[..., None], seen


def luma(pixels: Pixels) -> Mask:
    """BT.709 luma of RGB, (h, w)."""
    out: Mask = pixels @ np.float32((0.2126, 0.7152, 0.0722))
    return out
