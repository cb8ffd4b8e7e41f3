"""A folder of pictures with two faces each."""

from __future__ import annotations

from pathlib import Path

from tests.footage import Spot, picture, write_png

_PEOPLE = tuple(f"P{number:03}" for number in range(1, 11))


def write_album(folder: Path, pictures: int = 9) -> Path:
    """Write a folder of pictures, each with two of ten synthetic people."""
    folder.mkdir()
    for number in range(pictures):
        left, right = (_PEOPLE[(2 * number + side) % len(_PEOPLE)] for side in (0, 1))
        spots = (Spot(left, 15), Spot(right, 215))
        write_png(folder / f"{number}.png", picture(spots, 2 * number))
    return folder
