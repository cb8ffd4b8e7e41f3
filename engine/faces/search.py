"""Detect faces of any size and rotation in one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.faces.motion import map_detection
from engine.faces.protocols import Detector
from engine.geometry import affine as maps
from engine.geometry.boxes import contained_share, nms
from engine.pixels.planes import thumbnail
from engine.values import Affine, Bytes, Detection, Frame

_MAX_OVERLAP = 0.4
_MIN_CONTAINED = 0.7  # share of a box inside a better one, from which both are one face
_MAX_ENLARGEMENT = 2


@dataclass(frozen=True, slots=True)
class DetectorView:
    """Picture of a frame for the detector.

    The longer side is scaled to `side` pixels, a black border of `border` times `side` is added,
    and the result is rotated counter-clockwise by `quarter_turns`.
    """

    side: int
    border: float = 0.0
    quarter_turns: int = 0


def detector_views(
    size: tuple[int, int], side: int, *, thorough: bool, rotated: bool
) -> tuple[DetectorView, ...]:
    """Return the views for a frame of (width, height).

    `thorough` adds half of `side` within a wide border, for a face that fills the picture, and
    twice `side`, for small faces in a large picture.
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
    """Return the faces detected in any of the views, in display space, best first, each once."""
    pictures, back = zip(*_render_views(frame, views), strict=True)
    found = [
        map_detection(detection, to_display)
        for detections, to_display in zip(detector.detect(pictures), back, strict=True)
        for detection in detections
    ]
    boxes = [(d.box.left, d.box.top, d.box.right, d.box.bottom) for d in found]
    faces: list[Detection] = []
    for index in nms(boxes, [d.score for d in found], _MAX_OVERLAP):
        # A part of a face may be detected as a face in a view too large for the whole of it.
        if all(contained_share(found[index].box, better.box) < _MIN_CONTAINED for better in faces):
            faces.append(found[index])
    return faces


def _render_views(frame: Frame, views: Sequence[DetectorView]) -> Iterator[tuple[Bytes, Affine]]:
    """Yield each view's RGB picture, and the map from it to display space."""
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
