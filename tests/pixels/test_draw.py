from __future__ import annotations

import numpy as np
import pytest

from engine.pixels.draw import fill, outline, text_width, write
from engine.values import Bytes, Rect

RED = (255, 0, 0)


def canvas(width: int = 80, height: int = 40) -> Bytes:
    return np.zeros((height, width, 3), np.uint8)


def painted(picture: Bytes) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom (exclusive) of the pixels that are not black."""
    rows, columns = np.nonzero(picture.any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_a_fill_paints_its_rectangle_in_rgb_and_nothing_else() -> None:
    picture = canvas()
    fill(picture, Rect(10, 5, 20, 9), RED)
    assert painted(picture) == (10, 5, 20, 9)
    assert (picture[5:9, 10:20] == RED).all()


@pytest.mark.parametrize(
    ("rect", "expected"),
    [
        (Rect(-5, -5, 3, 4), (0, 0, 3, 4)),
        (Rect(70, 30, 900, 900), (70, 30, 80, 40)),
    ],
)
def test_a_fill_is_cut_at_the_border(rect: Rect, expected: tuple[int, int, int, int]) -> None:
    picture = canvas()
    fill(picture, rect, RED)
    assert painted(picture) == expected


@pytest.mark.parametrize(
    "rect", [Rect(-9, 3, -2, 9), Rect(90, 3, 99, 9), Rect(3, -9, 9, -1), Rect(3, 50, 9, 60)]
)
def test_what_lies_outside_paints_nothing(rect: Rect) -> None:
    picture = canvas()
    fill(picture, rect, RED)
    outline(picture, rect, RED)
    assert not picture.any()


def test_an_outline_leaves_the_inside_alone() -> None:
    picture = canvas()
    outline(picture, Rect(10, 5, 30, 25), RED, width=3)
    assert painted(picture) == (10, 5, 30, 25)
    assert not picture[8:22, 13:27].any()
    assert picture[5:8, 10:30].any(axis=2).all()


def test_words_stand_on_their_baseline_and_take_the_width_they_say() -> None:
    picture = canvas(200)
    write(picture, "Hamlet", 10, 30, RED, size=20, bold=True)
    left, _, right, bottom = painted(picture)
    assert bottom in (30, 31)
    assert abs(left - 10) <= 3
    assert abs(right - (10 + text_width("Hamlet", size=20, bold=True))) <= 3


def test_a_long_line_is_cut_and_not_folded() -> None:
    picture = canvas(60, 100)
    write(picture, "words that go on and on and on and on", 5, 25, RED, size=16)
    assert painted(picture)[3] < 35
