"""Shots: where they begin, and how far ahead their frames are read."""

from collections.abc import Iterator

import numpy as np
import pytest

from engine.faces.shots import is_cut, split_at, split_shots
from engine.values import Frame
from tests.faces.pictures import frame_of


def grey(value: int, index: int) -> Frame:
    return frame_of(np.full((90, 160, 3), value, np.uint8), index)


@pytest.mark.parametrize(
    ("values", "lengths"),
    [
        ([], []),
        ([90], [1]),
        ([90, 98, 106, 114], [4]),  # slow changes add up to no cut
        ([90, 90, 200, 200, 200, 90], [2, 3, 1]),
    ],
)
def test_a_shot_ends_where_the_picture_changes_at_once(
    values: list[int], lengths: list[int]
) -> None:
    shots = [list(shot) for shot in split_shots(grey(v, n) for n, v in enumerate(values))]
    assert [len(shot) for shot in shots] == lengths
    assert [frame.index for shot in shots for frame in shot] == list(range(len(values)))


def test_frames_are_read_as_they_are_asked_for() -> None:
    taken = 0

    def source() -> Iterator[Frame]:
        nonlocal taken
        for index in range(100):
            taken += 1
            yield grey(90, index)

    shot = next(split_shots(source()))
    for asked in range(1, 20):
        next(shot)
        assert taken == asked


def test_a_stream_is_split_where_it_is_told() -> None:
    assert [list(part) for part in split_at(range(7), lambda n: n % 3 == 0)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]


def test_small_changes_are_no_cut() -> None:
    dark = np.full((18, 32, 3), 90, np.uint8)
    assert is_cut(dark, dark + np.uint8(30))
    assert not is_cut(dark, dark + np.uint8(8))
