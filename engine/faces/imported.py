"""Batches and crops of InsightFace's networks."""

from __future__ import annotations

import numpy as np

from engine.runtime.session import Session, Tensor
from engine.values import Affine, Box

_ZOOM = 1.5


def run_batch(session: Session, blob: Tensor) -> Tensor:
    """Run a batch (n, ...), n >= 1, and return the first output, (n, ...).

    Some exports of these networks have a fixed batch of one; they are run n times.
    """
    if session.batchable or len(blob) == 1:
        return session.run(blob)[0]
    return np.concatenate([session.run(blob[i : i + 1])[0] for i in range(len(blob))])


def box_to_crop(box: Box, size: int) -> Affine:
    """Return the map from display space to InsightFace's upright crop around a box.

    The crop is 1.5 times as wide as the box's longer side, and the box's centre goes to `size` / 2
    (InsightFace, `face_align.transform`).
    """
    scale = size / (_ZOOM * max(box.width, box.height))
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return np.array([[scale, 0.0, size / 2 - scale * x], [0.0, scale, size / 2 - scale * y]])
