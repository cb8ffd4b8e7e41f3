"""SCRFD face detectors of imported packs."""

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
# InsightFace includes a box's last row and column when it measures overlaps.
_INCLUSIVE = np.array([0, 0, 1, 1], np.float32)
# Mean positions of the five points in a box of upright portraits, for variants without points: a
# first guess for the landmark network.
_IN_BOX = np.array(
    [(0.27, 0.40), (0.73, 0.40), (0.50, 0.59), (0.30, 0.74), (0.70, 0.74)], np.float32
)


class SCRFD:
    """SCRFD detector, any variant: with or without points, one or two anchors in a cell.

    Guo, Deng, Lattas, Zafeiriou: "Sample and Computation Redistribution for Efficient Face
    Detection", 2021. An anchor has a score, the distances of the box's four edges from the cell's
    corner, and the points, in strides. Levels, anchors and strides follow from the outputs' shapes.
    Points have the order of `Detection.points`; variants without points return those of an upright
    face in the box.
    """

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
        """Return the faces of each RGB picture that score at least `score`, best first."""
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
        """Return the picture at the top left of a black canvas, and the scale that made it fit."""
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
    """Decode the outputs for one input, in any order, each (n, k) or (1, n, k).

    Returns:
        Scores (n,), boxes (n, 4) as left, top, right, bottom, and points (n, 5, 2), in pixels of
        the input.

    Raises:
        ValueError: The length of an output fits no stride.
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
    """Return the outputs with `values` numbers a row, as (n, values), the finest level first."""
    levels = [o.reshape(-1, values) for o in outputs if o.shape[-1] == values]
    return sorted(levels, key=lambda level: -len(level))


def _cells(count: int, height: int, width: int) -> tuple[NDArray[np.float32], int]:
    """Return the cell's corner (n, 2) of each row of a level, and the level's stride.

    Strides are powers of two, so twice the number of cells of one is never that of another.
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
