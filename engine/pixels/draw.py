"""Draw rectangles and text on uint8 RGB pictures, in place."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import cv2

from engine.values import Bytes, Rect

Ink: TypeAlias = tuple[int, int, int]  # RGB, 0..255

_REGULAR = 400
_BOLD = 700
_FAR = 1 << 20


def fill(canvas: Bytes, rect: Rect, ink: Ink) -> None:
    """Paint the pixels of `rect` that lie on the canvas."""
    canvas[max(rect.top, 0) : max(rect.bottom, 0), max(rect.left, 0) : max(rect.right, 0)] = ink


def outline(canvas: Bytes, rect: Rect, ink: Ink, *, width: int = 2) -> None:
    """Draw the border of `rect`, `width` pixels wide, inside it."""
    left, top, right, bottom = rect.left, rect.top, rect.right, rect.bottom
    fill(canvas, Rect(left, top, right, min(top + width, bottom)), ink)
    fill(canvas, Rect(left, max(bottom - width, top), right, bottom), ink)
    fill(canvas, Rect(left, top, min(left + width, right), bottom), ink)
    fill(canvas, Rect(max(right - width, left), top, right, bottom), ink)


def write(
    canvas: Bytes, words: str, left: int, baseline: int, ink: Ink, *, size: int, bold: bool = False
) -> None:
    """Write a line of text, `size` pixels high, that begins at (left, baseline).

    It is clipped at the canvas's edge.
    """
    weight = _BOLD if bold else _REGULAR
    # A far right edge keeps OpenCV from wrapping a long line.
    edge = (left, _FAR)
    cv2.putText(canvas, words, (left, baseline), ink, _font(), size, weight, 0, edge)


def text_width(words: str, *, size: int, bold: bool = False) -> int:
    """Return the width in pixels of the text that `write` draws."""
    weight = _BOLD if bold else _REGULAR
    _, _, width, _ = cv2.getTextSize((0, 0), words, (0, 0), _font(), size, weight)
    return int(width)


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")
