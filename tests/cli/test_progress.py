from __future__ import annotations

import io
import time

import pytest

from engine.cli.progress import Meter, Overall, plain, shown
from engine.pipeline.video import Progress, Stage


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    "stage", ["loading networks", "reading the source", "checking content", "writing"]
)
def test_a_stage_that_counts_nothing_is_named(stage: Stage) -> None:
    meter = Meter("frames")
    assert meter.line() == ""
    meter.observe(Progress(0, None if stage == "reading the source" else 60, stage))
    assert meter.line() == stage


def test_the_pictures_of_a_clip_are_counted_and_do_not_count_as_frames(clock: Clock) -> None:
    meter = Meter("frames", clock)
    for done in range(25):
        meter.observe(Progress(done, 24, "reading the source"))
        clock.now += 1
        assert meter.line() == f"reading the source: {done / 24:.0%}"
    meter.observe(Progress(1, 60))
    clock.now += 1
    meter.observe(Progress(2, 60))
    assert meter.line() == "swapping: 2 of 60 frames"


def test_the_count_of_targets_stands_before_the_stage_and_tells_the_time_left(
    clock: Clock,
) -> None:
    overall = Overall(4, clock)
    meter = Meter("frames", clock, overall)
    overall.begin("a.png")
    assert meter.line() == ""
    meter.observe(Progress(0, None, "checking content"))
    assert meter.line() == "0 of 4 targets; a.png: checking content"
    overall.end(skipped=True)
    clock.now += 10
    overall.begin("b.png")
    assert meter.line() == "1 of 4 targets; b.png: checking content"
    overall.end()
    overall.begin("c.mkv")
    assert meter.line() == "2 of 4 targets, 0:00:20 left; c.mkv: checking content"
    meter.observe(Progress(1, 60))
    assert meter.line() == "2 of 4 targets; c.mkv: swapping: 1 of 60 frames"


def test_no_speed_and_no_time_are_told_before_they_are_known(clock: Clock) -> None:
    meter = Meter("frames", clock)
    meter.observe(Progress(0, None, "loading networks"))
    clock.now += 40
    meter.observe(Progress(0, 60))
    clock.now += 8  # the first frame fills all stages
    meter.observe(Progress(1, 60))
    assert meter.line() == "swapping: 1 of 60 frames"
    clock.now += 1.9
    meter.observe(Progress(2, 60))
    assert meter.line() == "swapping: 2 of 60 frames"
    clock.now += 0.1
    meter.observe(Progress(11, 60))
    assert meter.line() == "swapping: 11 of 60 frames, 5.0 frames/s, 0:00:10 left"


def test_the_speed_is_that_of_the_last_seconds(clock: Clock) -> None:
    meter = Meter("frames", clock)
    for done in range(1, 101):
        clock.now += 1 if done < 50 else 0.5
        meter.observe(Progress(done, 200))
    # 30 seconds: 51 frames at two a second, and a few of the slow ones.
    assert meter.line() == "swapping: 100 of 200 frames, 1.9 frames/s, 0:00:54 left"
    clock.now += 1000  # a suspended machine
    meter.observe(Progress(101, 200))
    for done in range(102, 200):
        clock.now += 0.5
        meter.observe(Progress(done, 200))
    assert meter.line() == "swapping: 199 of 200 frames, 2.0 frames/s, 0:00:00 left"


def test_where_the_whole_is_not_known_no_time_is_told(clock: Clock) -> None:
    meter = Meter("faces", clock)
    for done in (1, 7):
        clock.now += 4
        meter.observe(Progress(done, None, "calibrating"))
    assert meter.line() == "calibrating: 7 faces, 1.5 faces/s"


def test_more_frames_than_were_expected_leave_no_time_below_zero(clock: Clock) -> None:
    meter = Meter("frames", clock)
    for done in (1, 13):
        clock.now += 4
        meter.observe(Progress(done, 12))
    assert meter.line().endswith("13 of 12 frames, 3.0 frames/s, 0:00:00 left")


def test_plain_lines_come_every_few_seconds_also_while_nothing_moves() -> None:
    stream = io.StringIO()
    with plain(stream, every=0.05) as observe:
        observe(Progress(0, None, "loading networks"))
        time.sleep(0.4)
        observe(Progress(3, 12))
        time.sleep(0.4)
    lines = stream.getvalue().splitlines()
    assert lines.count("loading networks") > 1
    assert lines.count("swapping: 3 of 12 frames") > 1
    assert len(lines) == lines.count("loading networks") + lines.count("swapping: 3 of 12 frames")


def test_the_last_plain_line_tells_the_end() -> None:
    stream = io.StringIO()
    with plain(stream, every=0.05) as observe:
        observe(Progress(3, 12))
        time.sleep(0.3)
        observe(Progress(12, 12))
        observe(Progress(12, 12, "writing"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "swapping: 3 of 12 frames"
    assert lines[-1].startswith("swapping: 12 of 12 frames")


def test_of_a_picture_no_count_is_told() -> None:
    stream = io.StringIO()
    with plain(stream, every=0.05) as observe:
        observe(Progress(0, None, "loading networks"))
        time.sleep(0.3)
        observe(Progress(0, None, "swapping"))
        time.sleep(0.3)
    assert set(stream.getvalue().splitlines()) == {"loading networks", "swapping"}


@pytest.mark.parametrize("total", [3, None])
def test_a_terminal_gets_a_bar_and_the_stage(total: int | None) -> None:
    stream = Terminal()
    with shown(stream) as observe:
        observe(Progress(0, None, "loading networks"))
        time.sleep(0.3)
        for done in range(1, 4):
            observe(Progress(done, total))
    said = stream.getvalue()
    assert "loading networks" in said
    assert "frames" in said
    assert "/?" not in said


def test_a_short_run_says_nothing_off_a_terminal() -> None:
    stream = io.StringIO()
    with shown(stream) as observe:
        observe(Progress(1, 1))
    assert not stream.getvalue()
