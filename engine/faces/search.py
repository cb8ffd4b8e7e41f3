"""Looking for faces of every size and direction in one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.faces.protocols import Detector
from engine.geometry import affine as maps
from engine.geometry.boxes import contained_share, nms
from engine.pixels.planes import thumbnail
from engine.values import Affine, Box, Bytes, Detection, Frame, Points

_MAX_OVERLAP = 0.4
_MIN_CONTAINED = 0.7  # share of a box inside a better one from which it is a part of that face
_MAX_ENLARGEMENT = 2


@dataclass(frozen=True, slots=True)
class DetectorView:
    """One way of showing a frame to the detector.

    The longer side is brought to `side` pixels, black is put around it (`border`, as a share of
    `side`), and the whole is turned counter-clockwise by `quarter_turns`.
    """

    side: int
    border: float = 0.0
    quarter_turns: int = 0


def detector_views(
    size: tuple[int, int], side: int, *, thorough: bool, rotated: bool
) -> tuple[DetectorView, ...]:
    """The views that a frame of (width, height) needs.

    `thorough` adds half of `side` within a wide border, so that a face that fills the picture
    shows as a whole face, and twice `side` for small faces in a large picture.
    """
    limit = _MAX_ENLARGEMENT * max(size)
    plain = [DetectorView(min(side, limit))]
    if thorough:
        plain.append(DetectorView(min(side // 2, limit), border=0.5))
        if max(size) > side:
            plain.append(DetectorView(min(2 * side, max(size))))
    turns = range(4) if rotated else range(1)
    return tuple(DetectorView(view.side, view.border, turn) for view in plain for turn in turns)


def find_faces(frame: Frame, detector: Detector, views: Sequence[DetectorView]) -> list[Detection]:
    """The faces seen in any of the views, in display space, best score first, each once."""
    pictures, back = zip(*_render_views(frame, views), strict=True)
    found = [
        _moved(detection, to_display)
        for detections, to_display in zip(detector.detect(pictures), back, strict=True)
        for detection in detections
    ]
    boxes = [(d.box.left, d.box.top, d.box.right, d.box.bottom) for d in found]
    faces: list[Detection] = []
    for index in nms(boxes, [d.score for d in found], _MAX_OVERLAP):
        # Half of a face may pass for a face where the view was too large for the whole of it.
        if all(contained_share(found[index].box, better.box) < _MIN_CONTAINED for better in faces):
            faces.append(found[index])
    return faces


def _render_views(frame: Frame, views: Sequence[DetectorView]) -> Iterator[tuple[Bytes, Affine]]:
    """Each view's picture, and the map from it to display space."""
    width, height = frame.size
    for view in views:
        scale = view.side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        border = round(view.border * view.side)
        picture = thumbnail(frame, size)
        if border:
            picture = np.pad(picture, ((border, border), (border, border), (0, 0)))
        to_display = maps.compose(
            maps.unturn(view.quarter_turns, picture.shape[1], picture.shape[0]),
            maps.shift(-border, -border),
            maps.rescale(width / size[0], height / size[1]),
        )
        yield np.ascontiguousarray(np.rot90(picture, view.quarter_turns)), to_display


def _moved(detection: Detection, affine: Affine) -> Detection:
    box = detection.box
    corners: Points = np.array([[box.left, box.top], [box.right, box.bottom]], np.float32)
    moved = maps.apply(affine, corners)
    (left, top), (right, bottom) = moved.min(axis=0).tolist(), moved.max(axis=0).tolist()
    return Detection(
        Box(left, top, right, bottom), detection.score, maps.apply(affine, detection.points)
    )
