"""The SCRFD face detectors, which users import."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine as maps
from engine.geometry.boxes import nms
from engine.pixels.align import warp_crop
from engine.runtime.session import Session, Tensor
from engine.values import Box, Bytes, Detection
from engine.weights.manifest import InputSpec

_FINEST = 8
_MOST_ANCHORS = 2
# InsightFace counts a box's last row and column as its own where it measures overlaps.
_INCLUSIVE = np.array([0, 0, 1, 1], np.float32)
# Where the five points lie in a box, on the average of upright portraits: a first guess for the
# variants that find boxes alone; the landmark network looks for the face from there.
_IN_BOX = np.array(
    [(0.27, 0.40), (0.73, 0.40), (0.50, 0.59), (0.30, 0.74), (0.70, 0.74)], np.float32
)


class SCRFD:
    """Guo, Deng, Lattas, Zafeiriou: "Sample and Computation Redistribution for Efficient Face
    Detection", 2021; any variant, with points or without, of one anchor a cell or two.

    Each cell says how sure it is of a face, how far from its corner the box's four edges lie and
    where the points do, in strides. Levels, anchors and strides are read off the outputs. Points
    come in the order of `Detection.points`; a variant without them gives those of an upright face
    in its box.
    """  # noqa: D205

    def __init__(
        self,
        session: Session,
        input: InputSpec,  # noqa: A002
        *,
        score: float = 0.5,
        overlap: float = 0.4,
    ) -> None:
        self._session = session
        self._input = input
        self._score = score
        self._overlap = overlap
        self._fixed = session.inputs[0].shape[-1]
        levels = 5 if len(session.outputs) % 5 == 0 else 3
        self._multiple = max(input.multiple, _FINEST << (levels - 1))

    def detect(self, images: Sequence[Bytes]) -> list[list[Detection]]:
        """Faces that score at least the limit, best first, in each picture's own pixels."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Bytes) -> list[Detection]:
        canvas, scale = self._canvas(image)
        outputs = self._session.run(self._input.tensor([canvas]))
        scores, boxes, points = decode(outputs, canvas.shape[0], canvas.shape[1])
        likely = np.flatnonzero(scores >= self._score)
        kept = likely[nms(boxes[likely] + _INCLUSIVE, scores[likely], self._overlap)]
        to_image = maps.rescale(1 / scale)
        return [
            Detection(
                Box(*maps.apply(to_image, boxes[index].reshape(2, 2)).ravel().tolist()),
                float(scores[index]),
                maps.apply(to_image, points[index]),
            )
            for index in kept
        ]

    def _canvas(self, image: Bytes) -> tuple[Bytes, float]:
        """The picture at the top left of black, and by how much it had to be scaled to fit."""
        height, width = image.shape[:2]
        if self._fixed is None:
            canvas = np.zeros(
                (height + -height % self._multiple, width + -width % self._multiple, 3), np.uint8
            )
            canvas[:height, :width] = image
            return canvas, 1.0
        scale = min(1.0, self._fixed / max(height, width))
        canvas = warp_crop(image, maps.rescale(scale), self._fixed)
        canvas[max(1, round(height * scale)) :] = 0
        canvas[:, max(1, round(width * scale)) :] = 0
        return canvas, scale


def decode(
    outputs: Sequence[Tensor], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The raw outputs for one input of these sizes, in any order, each (n, k) or (1, n, k).

    Returns scores (n,), boxes (n, 4) as left, top, right, bottom, and points (n, 5, 2), in pixels
    of the input.

    Raises:
        ValueError: a level's length is that of no stride.
    """
    scores, boxes, points = (_levels(outputs, values) for values in (1, 4, 10))
    corners, strides = zip(*(_cells(len(level), height, width) for level in scores), strict=True)
    corner = np.concatenate(corners)
    stride = np.concatenate(
        [
            np.full((len(level), 1), step, np.float32)
            for level, step in zip(scores, strides, strict=True)
        ]
    )
    reach = np.concatenate(boxes) * stride
    found = np.concatenate([corner - reach[:, :2], corner + reach[:, 2:]], axis=1)
    if points:
        offsets = np.concatenate(points) * stride
        spots = corner[:, None] + offsets.reshape(-1, 5, 2)
    else:
        sides = (found[:, 2:] - found[:, :2])[:, None]
        spots = found[:, None, :2] + _IN_BOX * sides
    return np.concatenate(scores)[:, 0], found, spots


def _levels(outputs: Sequence[Tensor], values: int) -> list[Tensor]:
    """The outputs of so many values a cell, as (n, values), the finest level first."""
    levels = [o.reshape(-1, values) for o in outputs if o.shape[-1] == values]
    return sorted(levels, key=lambda level: -len(level))


def _cells(count: int, height: int, width: int) -> tuple[NDArray[np.float32], int]:
    """The corner (n, 2) that each row of a level speaks for, and the level's stride.

    Strides are powers of two, so that twice the cells of one are never the cells of another.
    """
    for power in range(2, 9):
        stride = 1 << power
        rows, columns = height // stride, width // stride
        for anchors in range(1, _MOST_ANCHORS + 1):
            if rows * columns * anchors == count:
                place = np.arange(count) // anchors
                row, column = np.divmod(place, columns)
                return np.stack([column, row], axis=1).astype(np.float32) * stride, stride
    raise ValueError(
        f"A level of {count} anchors fits no stride of an input of {width} x {height} pixels; "
        "this is not an SCRFD detector."
    )
