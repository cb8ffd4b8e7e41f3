"""Pictures of twice the size, from which a bilinear warp reads almost all of their detail.

A bicubic warp is twice as dear as this doubling and a bilinear warp, and dims fine detail.
"""

from __future__ import annotations

from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.values import Affine

# OpenCV's bicubic doubling (a = -0.75) and a bilinear sample of it dim detail by a share that grows
# with its frequency w. These taps undo the mean of that share over all places between pixels:
# least squares over w up to the finest detail there is, weighted by 1 / w², pictures' spectrum.
_SHARPEN: Final = np.array([0.035, -0.1065, 1.143, -0.1065, 0.035])

PICTURE_DOUBLED: Final[Affine] = affine.rescale(2)
DOUBLED_PICTURE: Final[Affine] = affine.invert(PICTURE_DOUBLED)


def doubled(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture (h, w) or (h, w, channels) as (2 h, 2 w) or (2 h, 2 w, channels).

    To be sampled bilinearly where `PICTURE_DOUBLED` leads. It may overshoot the picture's range,
    and is of no use for looking at.
    """
    sharp = cv2.sepFilter2D(picture, -1, _SHARPEN, _SHARPEN, borderType=cv2.BORDER_REPLICATE)
    height, width = picture.shape[:2]
    size = (2 * width, 2 * height)
    return cast("NDArray[np.float32]", cv2.resize(sharp, size, interpolation=cv2.INTER_CUBIC))
