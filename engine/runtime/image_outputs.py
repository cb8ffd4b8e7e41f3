"""Convert image outputs of networks to RGB."""

from __future__ import annotations

import numpy as np

from engine.errors import RuntimeUnavailable
from engine.runtime.session import Tensor
from engine.values import Pixels


def to_rgb(output: Tensor, span: tuple[float, float], name: str) -> Pixels:
    """Return an image output as (h, w, 3) float32 RGB 0..1; `output` is changed in place.

    Args:
        output: The network's output, (h, w, 3) RGB.
        span: Lowest and highest value of the network's pixels; others are clipped.
        name: Name of the network, for the error.

    Raises:
        RuntimeUnavailable: The output is not finite, as may happen at half precision.
    """
    if not np.isfinite(output.sum()):
        raise RuntimeUnavailable(
            f"The output of {name} is not finite; use the precision fp32, or bring a good copy "
            "with `faceswap-engine weights import PATH`."
        )
    low, high = span
    if span != (0, 1):
        output -= np.float32(low)
        output /= np.float32(high - low)
    return np.clip(output, 0, 1, out=output)
