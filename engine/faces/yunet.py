"""The embedded face detector YuNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.geometry.boxes import nms
from engine.runtime.session import Session
from engine.values import Box, Bytes, Detection

_STRIDES = (8, 16, 32)
_COARSEST = _STRIDES[-1]


class YuNet:
    """YuNet detector for pictures of any size.

    Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023. The decoding is that of
    OpenCV's FaceDetectorYN: a score is sqrt(class * objectness), priors are the cells' corners, and
    sizes are exponentials. Points have the order of `Detection.points`.
    """

    def __init__(self, session: Session, *, score: float = 0.6, overlap: float = 0.4) -> None:
        self._session = session
        self._score = score
        self._overlap = overlap

    def detect(self, images: Sequence[Bytes]) -> list[list[Detection]]:
        """Return the faces of each RGB picture that score at least `score`, best first."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Bytes) -> list[Detection]:
        blob = _blob(image)
        outputs = self._session.run(blob)
        width = blob.shape[3]
        levels = [
            decode(
                *(output[0] for output in outputs[level::3]), stride=stride, columns=width // stride
            )
            for level, stride in enumerate(_STRIDES)
        ]
        scores, boxes, points = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        likely = np.flatnonzero(scores >= self._score)
        kept = likely[nms(boxes[likely], scores[likely], self._overlap)]
        return [
            Detection(Box(*boxes[index].tolist()), float(scores[index]), points[index])
            for index in kept
        ]


def decode(
    classes: NDArray[np.float32],
    objects: NDArray[np.float32],
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
    *,
    stride: int,
    columns: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Decode one level's outputs (n, 1), (n, 1), (n, 4) and (n, 10) of n cells, row by row.

    Returns:
        Scores (n,), boxes (n, 4) as left, top, right, bottom, and points (n, 5, 2), in pixels of
        the network's input.
    """
    scores = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
    row, column = np.divmod(np.arange(len(classes)), columns)
    corner = np.stack([column, row], axis=1).astype(np.float32)
    centre = (corner + boxes[:, :2]) * stride
    half = np.exp(boxes[:, 2:]) * (stride / 2)
    spots = (corner[:, None] + points.reshape(-1, 5, 2)) * stride
    return scores, np.concatenate([centre - half, centre + half], axis=1), spots


def _blob(image: Bytes) -> NDArray[np.float32]:
    """Return the picture as BGR 0..255 at the top left of a black input, (1, 3, H, W)."""
    height, width = image.shape[:2]
    blob = np.zeros(
        (1, 3, height + -height % _COARSEST, width + -width % _COARSEST), dtype=np.float32
    )
    blob[0, :, :height, :width] = image[:, :, ::-1].transpose(2, 0, 1)
    return blob
