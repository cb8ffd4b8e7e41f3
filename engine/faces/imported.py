"""What the imported networks share: batches, and the upright crop around a box."""

from __future__ import annotations

import numpy as np

from engine.runtime.session import Session, Tensor
from engine.values import Affine, Box

_ZOOM = 1.5


def run_batch(session: Session, blob: Tensor) -> Tensor:
    """The first output for each picture of a batch (n, ...), n >= 1, whatever batch a graph takes.

    Exports of these networks differ in that: some fix the batch to one.
    """
    if session.batchable or len(blob) == 1:
        return session.run(blob)[0]
    return np.concatenate([session.run(blob[i : i + 1])[0] for i in range(len(blob))])


def box_to_crop(box: Box, size: int) -> Affine:
    """The map from display space to the crop in which InsightFace's networks see a face.

    It is never turned, and one and a half times the box's longer side wide (InsightFace,
    `face_align.transform`; there, too, the box's middle goes to `size` / 2).
    """
    scale = size / (_ZOOM * max(box.width, box.height))
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return np.array([[scale, 0.0, size / 2 - scale * x], [0.0, scale, size / 2 - scale * y]])
