"""The contact sheet: a frame with its faces numbered, and a card for each face."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from engine.pixels.align import face_picture
from engine.pixels.draw import Ink, fill, outline, text_width, write
from engine.pixels.planes import thumbnail
from engine.values import Attributes, Bytes, Face, Frame, Rect

_COLUMNS = 5
_CARD = 240  # side of a face's picture
_GAP = 12
_LINE = 24
_LINES = 4
_TEXT = 16
_PAPER: Ink = (24, 24, 27)
_WORDS: Ink = (228, 228, 231)
_MARK: Ink = (163, 230, 53)
_WIDTH = _COLUMNS * (_CARD + _GAP) + _GAP
_OVERVIEW = (_WIDTH - 2 * _GAP, 800)  # the frame is fitted into this


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
    card_height = _CARD + _LINES * _LINE + _GAP
    height = _GAP + overview.shape[0] + _GAP + (rows * (card_height + _GAP) if rows else _LINE * 2)
    sheet = np.full((height, _WIDTH, 3), _PAPER, np.uint8)
    _paste(sheet, overview, (_WIDTH - overview.shape[1]) // 2, _GAP)
    below = _GAP + overview.shape[0] + _GAP
    if not faces:
        write(sheet, "No face was found.", _GAP, below + _LINE, _WORDS, size=_TEXT, bold=True)
    for index, (face, distance) in enumerate(zip(faces, to_reference, strict=True)):
        row, column = divmod(index, _COLUMNS)
        left = _GAP + column * (_CARD + _GAP)
        top = below + row * (card_height + _GAP)
        _paste(sheet, _card(frame, index, face, distance), left, top)
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
        outline(picture, rect, _PAPER, width=4)
        outline(picture, rect, _MARK, width=2)
        _tag(picture, str(index), rect.left, rect.top)
    return picture


def _tag(picture: Bytes, words: str, left: int, top: int) -> None:
    """Draw a label at the top left corner of a box, above the box if there is room."""
    height, width = picture.shape[:2]
    tag_width = text_width(words, size=_TEXT, bold=True) + 10
    left = min(max(left, 0), max(width - tag_width, 0))
    top = min(max(top - _LINE, 0), max(height - _LINE, 0))
    fill(picture, Rect(left, top, left + tag_width, top + _LINE), _MARK)
    write(picture, words, left + 5, top + _LINE - 6, _PAPER, size=_TEXT, bold=True)


def _card(frame: Frame, index: int, face: Face, distance: float | None) -> Bytes:
    """Return a card: the face with its surroundings, and its attributes below."""
    card = np.full((_CARD + _LINES * _LINE + _GAP, _CARD, 3), _PAPER, np.uint8)
    card[:_CARD] = face_picture(frame, face.box, _CARD)
    _tag(card, str(index), 0, 0)
    for number, line in enumerate(_lines(face, distance), start=1):
        write(card, line, 0, _CARD + number * _LINE, _WORDS, size=_TEXT)
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


def _paste(sheet: Bytes, picture: Bytes, left: int, top: int) -> None:
    height, width = picture.shape[:2]
    sheet[top : top + height, left : left + width] = picture
