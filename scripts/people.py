"""The synthetic people of the package `openpeople`: portraits, selfies, sheets of expressions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from engine.values import Bytes, Rect

EXPRESSIONS = (
    *("neutral", "happy", "sad", "angry"),
    *("surprised", "disgusted", "scared", "confused"),
    *("smug", "flirty", "thoughtful", "pensive"),
    *("exhausted", "shocked", "playful", "determined"),
)
# The white frame around a cell, with its rounded corners and the blur beside it.
FRAME = 9


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic person and the folder of their pictures."""

    name: str
    folder: Path

    @property
    def portrait(self) -> Path:
        return self.folder / "studio_portrait.jpg"

    @property
    def selfie(self) -> Path:
        return self.folder / "amateur_selfie.jpg"

    @property
    def sheet(self) -> Path:
        return self.folder / "emotions_sheet.jpg"

    def expressions(self) -> dict[str, Bytes]:
        """Return the sixteen expressions by name, each an RGB picture of its own size."""
        sheet = read(self.sheet)
        return {
            name: sheet[cell.top : cell.bottom, cell.left : cell.right]
            for name, cell in zip(EXPRESSIONS, cells(sheet), strict=True)
        }


def people() -> tuple[Person, ...]:
    """Return all persons of the package, P001 first."""
    root = Path(str(files("openpeople") / "data" / "curated"))
    return tuple(Person(folder.name, folder / "assets") for folder in sorted(root.glob("P*")))


def person(name: str) -> Person:
    """Return the person of that name.

    Raises:
        LookupError: there is none.
    """
    for each in people():
        if each.name == name:
            return each
    raise LookupError(f"{name} is none of {', '.join(each.name for each in people())}.")


def read(path: Path) -> Bytes:
    """Return an image file as RGB.

    Raises:
        OSError: it is not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f"{path} cannot be read as an image.")
    return cast("Bytes", cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def cells(sheet: Bytes) -> list[Rect]:
    """Return the insides of a sheet's 4 x 4 cells, row by row, found by their white frames.

    Raises:
        ValueError: there are not sixteen frames.
    """
    height, width = sheet.shape[:2]
    white = (sheet.min(axis=2) > 225).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(white, connectivity=8)
    # A frame, and a white shirt that joins it, fills about a fifth of the sheet each way; letters
    # and teeth are far smaller.
    framed = [
        (left, top, wide, high)
        for left, top, wide, high, _ in stats[1:].tolist()
        if 0.12 < wide / width < 0.25 and 0.12 < high / height < 0.25
    ]
    if len(framed) != len(EXPRESSIONS):
        raise ValueError(f"The sheet shows {len(framed)} frames, not {len(EXPRESSIONS)}.")
    by_row = sorted(framed, key=lambda box: box[1] + box[3] / 2)
    rows = [sorted(by_row[start : start + 4]) for start in range(0, len(by_row), 4)]
    return [
        Rect(left + FRAME, top + FRAME, left + wide - FRAME, top + high - FRAME)
        for row in rows
        for left, top, wide, high in row
    ]
