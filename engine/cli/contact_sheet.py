"""The contact sheet: a frame with its faces numbered, and a card for each face."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from engine.pixels.align import face_picture
from engine.pixels.draw import outline
from engine.pixels.planes import thumbnail
from engine.pixels.sheet import GAP, LINE, MARK, PAPER, blank, place, write_line, write_tag
from engine.values import Attributes, Bytes, Face, Frame, Rect

_COLUMNS = 5
_CARD = 240  # side of a face's picture
_LINES = 4
_WIDTH = _COLUMNS * (_CARD + GAP) + GAP
_OVERVIEW = (_WIDTH - 2 * GAP, 800)  # the frame is fitted into this


def contact_sheet(
    frame: Frame, faces: Sequence[Face], distances: Sequence[float | None] | None = None
) -> Bytes:
    """Return a picture to choose a face from: (h, w, 3) RGB, uint8, of a fixed width.

    Faces are numbered from 0 in their order. If they are ordered and filtered, the number is the
    `reference_face_position`. `distances` has one item for each face.

    Raises:
        ValueError: The number of distances is not that of the faces.
    """
    to_reference = distances if distances is not None else [None] * len(faces)
    overview = _overview(frame, faces)
    rows = math.ceil(len(faces) / _COLUMNS)
    card_height = _CARD + _LINES * LINE + GAP
    height = GAP + overview.shape[0] + GAP + (rows * (card_height + GAP) if rows else LINE * 2)
    sheet = blank(_WIDTH, height)
    place(sheet, overview, (_WIDTH - overview.shape[1]) // 2, GAP)
    below = GAP + overview.shape[0] + GAP
    if not faces:
        write_line(sheet, "No face was found.", GAP, below + LINE, bold=True)
    for index, (face, distance) in enumerate(zip(faces, to_reference, strict=True)):
        row, column = divmod(index, _COLUMNS)
        left = GAP + column * (_CARD + GAP)
        top = below + row * (card_height + GAP)
        place(sheet, _card(frame, index, face, distance), left, top)
    return sheet


def _overview(frame: Frame, faces: Sequence[Face]) -> Bytes:
    """Return the whole frame, fitted into the sheet, with a numbered box around each face."""
    width, height = frame.size
    scale = min(_OVERVIEW[0] / width, _OVERVIEW[1] / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    picture = np.ascontiguousarray(thumbnail(frame, size))
    # Larger faces first, so that no label hides under a larger face's box.
    for index in sorted(range(len(faces)), key=lambda index: -faces[index].box.area):
        box = faces[index].box
        rect = Rect(
            round(box.left * scale),
            round(box.top * scale),
            round(box.right * scale),
            round(box.bottom * scale),
        )
        outline(picture, rect, PAPER, width=4)
        outline(picture, rect, MARK, width=2)
        write_tag(picture, str(index), rect.left, rect.top)
    return picture


def _card(frame: Frame, index: int, face: Face, distance: float | None) -> Bytes:
    """Return a card: the face with its surroundings, and its attributes below."""
    card = blank(_CARD, _CARD + _LINES * LINE + GAP)
    place(card, face_picture(frame, face.box, _CARD), 0, 0)
    write_tag(card, str(index), 0, 0)
    for number, line in enumerate(_lines(face, distance), start=1):
        write_line(card, line, 0, _CARD + number * LINE)
    return card


def _lines(face: Face, distance: float | None) -> Iterator[str]:
    read = face.attributes or Attributes()
    age = None if read.age is None else f"age {read.age}"
    person = ", ".join(word for word in (read.gender, age) if word is not None)
    if person:
        yield person
    if read.race is not None:
        yield read.race
    score = f"score {face.score:.2f}"
    yield score if distance is None else f"{score}, distance {distance:.2f}"
    box = face.box
    yield f"box {box.left:.0f},{box.top:.0f} to {box.right:.0f},{box.bottom:.0f}"
