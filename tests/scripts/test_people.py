"""The cells of a sheet of expressions."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import people
import pytest

from engine.values import Bytes, Rect


def sheet(frames: int, seed: int = 0) -> tuple[Bytes, list[Rect]]:
    """Return a grey sheet with framed dark cells in rows of four, and their insides."""
    noise = np.random.default_rng(seed)
    picture = np.full((900, 1200, 3), 120, np.uint8)
    insides = []
    for number in range(frames):
        row, column = divmod(number, 4)
        left, top = 40 + 290 * column, 30 + 215 * row + int(noise.integers(0, 6))
        right, bottom = left + 220, top + 150
        cv2.rectangle(picture, (left, top), (right, bottom), (255, 255, 255), 4)
        picture[top + 4 : bottom - 3, left + 4 : right - 3] = noise.integers(0, 200, 3)
        insides.append(Rect(left + 3, top + 3, right - 2, bottom - 2))
    return picture, insides


@pytest.mark.parametrize("seed", range(5))
def test_cells_are_the_insides_of_the_frames_row_by_row(seed: int) -> None:
    picture, insides = sheet(16, seed)
    for cell, inside in zip(people.cells(picture), insides, strict=True):
        assert cell.left >= inside.left
        assert cell.top >= inside.top
        assert cell.right <= inside.right
        assert cell.bottom <= inside.bottom
        assert cell.width * cell.height > 0.75 * inside.width * inside.height
        assert picture[cell.top : cell.bottom, cell.left : cell.right].max() < 200


def test_a_missing_frame_is_an_error() -> None:
    with pytest.raises(ValueError, match="15 frames, not 16"):
        people.cells(sheet(15)[0])


@pytest.mark.parametrize("each", people.people(), ids=lambda each: str(each.name))
def test_every_person_has_sixteen_cells_apart(each: people.Person) -> None:
    found = people.cells(people.read(each.sheet))
    assert len(found) == len(people.EXPRESSIONS)
    widths, heights = [cell.width for cell in found], [cell.height for cell in found]
    assert max(widths) - min(widths) < 16
    assert max(heights) - min(heights) < 16
    for one, other in combinations(found, 2):
        beside = one.right < other.left or other.right < one.left
        assert beside or one.bottom < other.top or other.bottom < one.top
