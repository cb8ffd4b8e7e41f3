"""MediaPipe's palm detector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.faces.regions import Region, pointing_angle, up_vector
from engine.geometry.boxes import nms
from engine.runtime.session import Session
from engine.values import Box, Bytes, Points

_SIZE = 192
# (stride, anchors in each cell). MediaPipe's SSD options have one layer of stride 8 and three of
# stride 16, with two anchors each.
_LAYERS = ((8, 2), (16, 6))
# As in MediaPipe's graphs: 2.6 times the palm's box, shifted by half of it towards the fingers.
_ZOOM, _SHIFT = 2.6, 0.5
_WRIST, _KNUCKLE = 0, 2  # the latter of the middle finger


class BlazePalm:
    """Palm detector (Zhang et al.: "MediaPipe Hands: On-device Real-time Hand Tracking", 2020).

    Args:
        session: the network.
        score: lowest score of a palm, 0..1.
        overlap: intersection over union above which two boxes are one palm.
    """

    size = _SIZE

    def __init__(self, session: Session, *, score: float = 0.5, overlap: float = 0.3) -> None:
        self._session = session
        self._score = score
        self._overlap = overlap

    def detect(self, images: Sequence[Bytes]) -> list[list[Region]]:
        """Return the regions of hands in the pixels of each (192, 192, 3) RGB picture."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Bytes) -> list[Region]:
        blob = image.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        blob *= np.float32(1 / 255)
        rows, scores = (output[0] for output in self._session.run(blob))
        likely = np.flatnonzero(scores[:, 0] >= self._score)
        boxes, points = decode(rows[likely], anchors()[likely])
        kept = nms(boxes, scores[likely, 0], self._overlap)
        return [region_around_palm(Box(*boxes[index].tolist()), points[index]) for index in kept]


@cache
def anchors() -> NDArray[np.float32]:
    """Return the anchor of each row of the network's output, (2016, 2), in the input's pixels.

    Anchors are the centres of the cells, row by row; all are as large as the picture.
    """
    layers = []
    for stride, count in _LAYERS:
        centres = (np.arange(_SIZE // stride, dtype=np.float32) + 0.5) * stride
        x, y = np.meshgrid(centres, centres)
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(layers)


def decode(
    rows: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Decode rows (n, 18) into boxes (n, 4), left, top, right, bottom, and points (n, 7, 2).

    A row is the box's centre and size, then the points, in pixels; all but the size are relative to
    the row's anchor (n, 2). In the network's coordinates the first pixel's centre is at 0.5; in
    display space it is at 0.
    """
    middle = rows[:, :2] + centres - 0.5
    half = rows[:, 2:4] / 2
    points = rows[:, 4:].reshape(-1, 7, 2) + centres[:, None] - 0.5
    return np.concatenate([middle - half, middle + half], axis=1), points


def region_around_palm(box: Box, points: Points) -> Region:
    """Return the region in which to look for the hand of a palm.

    `points` (7, 2) are the wrist, the knuckles of index, middle, ring and little finger, and the
    two lower joints of the thumb.
    """
    angle = pointing_angle(points[_WRIST], points[_KNUCKLE])
    middle = np.array([(box.left + box.right) / 2, (box.top + box.bottom) / 2])
    x, y = middle + _SHIFT * box.height * up_vector(angle)
    return Region(float(x), float(y), _ZOOM * max(box.width, box.height), angle)
