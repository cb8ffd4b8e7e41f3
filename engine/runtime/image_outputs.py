"""What networks draw, as pictures."""

from __future__ import annotations

import numpy as np

from engine.errors import RuntimeUnavailable
from engine.runtime.session import Tensor
from engine.values import Pixels


def picture(drawn: Tensor, span: tuple[float, float], name: str) -> Pixels:
    """RGB 0..1 of what the network `name` drew, (h, w, 3) RGB; `drawn` itself is changed.

    `span` is (low, high), what the network's pixels lie between; what lies beyond is cut off.

    Raises:
        RuntimeUnavailable: it is not all numbers, as half precision may bring about.
    """
    if not np.isfinite(drawn.sum()):
        raise RuntimeUnavailable(
            f"{name} answered with what is no picture (infinite or no number at all); use the "
            "precision fp32, or bring a good copy with `faceswap-engine weights import PATH`."
        )
    low, high = span
    if span != (0, 1):
        drawn -= np.float32(low)
        drawn /= np.float32(high - low)
    return np.clip(drawn, 0, 1, out=drawn)
