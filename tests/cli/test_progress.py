from __future__ import annotations

import io

import pytest

from engine.cli.progress import line, plain, rate_of, shown
from engine.pipeline.run import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "expected"),
    [
        (50, 200, 10.0, "50 of 200 frames, 5.0 frames/s, 0:00:30 left"),
        (200, 200, 10.0, "200 of 200 frames, 20.0 frames/s, 0:00:00 left"),
        (7, None, 2.0, "7 frames, 3.5 frames/s"),
        (0, 200, 10.0, "0 of 200 frames, 0.0 frames/s"),
    ],
)
def test_a_line_says_frames_speed_and_time_left(
    done: int, total: int | None, elapsed: float, expected: str
) -> None:
    assert line(done, total, elapsed) == expected


def test_no_time_passed_is_no_speed() -> None:
    assert rate_of(3, 0.0) == "- frames/s"


def test_plain_lines_come_every_few_seconds() -> None:
    now = iter(range(100))  # one second for each frame
    stream = io.StringIO()
    with plain(stream, clock=lambda: float(next(now))) as observe:
        for done in range(1, 13):
            observe(Progress(done, 12))
    assert stream.getvalue().splitlines() == [
        "5 of 12 frames, 1.0 frames/s, 0:00:07 left",
        "10 of 12 frames, 1.0 frames/s, 0:00:02 left",
    ]


def test_it_says_what_is_counted() -> None:
    now = iter((0, 10))
    stream = io.StringIO()
    with plain(stream, "faces", clock=lambda: float(next(now))) as observe:
        observe(Progress(5, None))
    assert stream.getvalue() == "5 faces, 0.5 faces/s\n"


@pytest.mark.parametrize("total", [3, None])
def test_a_terminal_gets_a_bar(total: int | None) -> None:
    stream = Terminal()
    with shown(stream) as observe:
        for done in range(1, 4):
            observe(Progress(done, total))
    assert "frames" in stream.getvalue()


def test_a_short_run_says_nothing_off_a_terminal() -> None:
    stream = io.StringIO()
    with shown(stream) as observe:
        observe(Progress(1, 1))
    assert not stream.getvalue()
