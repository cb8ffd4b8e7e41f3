"""Parts of sheets: pictures and words on dark paper."""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.pixels.draw import Ink, fill, text_width, write
from engine.values import Bytes, Rect

PAPER: Final[Ink] = (24, 24, 27)
WORDS: Final[Ink] = (228, 228, 231)
MARK: Final[Ink] = (163, 230, 53)
GAP: Final = 12  # pixels between pictures
LINE: Final = 24  # height of a line
_TEXT = 16


def blank(width: int, height: int) -> Bytes:
    """Return an empty sheet."""
    return np.full((height, width, 3), PAPER, np.uint8)


def place(sheet: Bytes, picture: Bytes, left: int, top: int) -> None:
    """Put a picture on a sheet, by its top left corner."""
    height, width = picture.shape[:2]
    sheet[top : top + height, left : left + width] = picture


def write_line(sheet: Bytes, words: str, left: int, bottom: int, *, bold: bool = False) -> None:
    """Write a line of words that stands on `bottom`."""
    write(sheet, words, left, bottom, WORDS, size=_TEXT, bold=bold)


def write_tag(picture: Bytes, words: str, left: int, top: int) -> None:
    """Write a label at the top left corner of a box, above the box if there is room."""
    height, width = picture.shape[:2]
    tag_width = text_width(words, size=_TEXT, bold=True) + 10
    left = min(max(left, 0), max(width - tag_width, 0))
    top = min(max(top - LINE, 0), max(height - LINE, 0))
    fill(picture, Rect(left, top, left + tag_width, top + LINE), MARK)
    write(picture, words, left + 5, top + LINE - 6, PAPER, size=_TEXT, bold=True)
