"""The film of examples/people and its tune."""

from __future__ import annotations

from itertools import pairwise

import cv2
import demo_film
import numpy as np
import pytest
import talking_head as head
from melody import RATE, melody
from progress_line import show

from engine.values import Bytes, Points


def picture(width: int, height: int) -> Bytes:
    """Soft colours, so that a pixel's place can be read off it."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / 60), np.sin(y / 50), np.sin((x + y) / 70)]
    return (120 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def grid(width: int, height: int) -> Points:
    x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 7))
    jitter = np.random.default_rng(1).uniform(-9, 9, (2, *x.shape))
    jitter[:, [0, -1]] = 0
    jitter[:, :, [0, -1]] = 0
    return np.stack([x + jitter[0], y + jitter[1]], axis=2).reshape(-1, 2).astype(np.float32)


def test_the_script_is_as_long_as_it_says() -> None:
    frames = list(head.timeline(demo_film.SCRIPT, 25))
    seconds = sum(beat.travel + beat.stay for beat in demo_film.SCRIPT)
    assert len(frames) == pytest.approx(25 * seconds, abs=len(demo_film.SCRIPT))
    assert 7 <= seconds <= 10


def test_an_expression_is_reached_before_the_next_begins() -> None:
    frames = list(head.timeline(demo_film.SCRIPT, 25))
    for (_, after, progress), (before, following, _) in pairwise(frames):
        if following != after:
            assert progress in (0.0, 1.0)
            assert before == after


def test_triangles_cover_the_hull_once() -> None:
    points = grid(200, 100)
    a, b, c = np.moveaxis(points[head.delaunay(points)].astype(np.float64), 1, 0)
    ab, ac = b - a, c - a
    areas = np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2
    assert areas.sum() == pytest.approx(199 * 99, rel=1e-5)


def test_points_that_stay_leave_the_picture() -> None:
    width, height = head.SIZE
    points = grid(width, height)
    pose = head.Pose(picture(width, height), points)
    bent = head.Bend(points, head.delaunay(points)).apply(pose)
    inside = np.s_[4:-4, 4:-4]
    assert np.abs(bent[inside].astype(int) - pose.picture[inside]).max() <= 2


def test_points_that_move_take_the_picture_along() -> None:
    width, height = head.SIZE
    points = grid(width, height)
    pose = head.Pose(picture(width, height), points)
    bent = head.Bend(points + np.array((24, -16), np.float32), head.delaunay(points)).apply(pose)
    expected = cv2.warpAffine(pose.picture, np.array([[1, 0, 24], [0, 1, -16]], float), head.SIZE)
    inside = np.s_[8:-24, 32:-8]
    assert np.abs(bent[inside].astype(int) - expected[inside]).max() <= 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turn_keeps_lengths_and_its_axis(axis: int) -> None:
    turn = head.rotation(axis, 0.3)
    assert turn @ turn.T == pytest.approx(np.eye(3))
    assert turn[axis, axis] == 1
    assert np.linalg.det(turn) == pytest.approx(1)


def test_the_tune_lasts_as_long_as_asked_and_never_clips() -> None:
    sound = melody(2.3)
    assert sound.shape == (2, round(2.3 * RATE))
    assert 0.05 < np.abs(sound).max() <= 0.5
    assert np.abs(sound[:, -10:]).max() < 0.01


def test_frames_are_counted_as_they_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, print a line every fiftieth frame, and one at the end."""
    pictures = [picture(8, 6)] * 120
    assert len(list(demo_film.counted(pictures, 120))) == 120
    assert capsys.readouterr().out.splitlines() == [
        "  making frames: 50 of 120",
        "  making frames: 100 of 120",
        "  making frames: 120 of 120",
    ]


def test_a_terminal_sees_every_stage_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show("loading networks", 0, None)
    show("swapping", 1, 2)
    show("swapping", 2, 2)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.endswith("swapping: 2 of 2\n")
    assert "loading networks\r" in said
