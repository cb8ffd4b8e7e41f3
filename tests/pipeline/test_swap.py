"""Facts of a swap that are computed before and after its frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from engine.options import Trim
from engine.pipeline.swap import expected_frames
from engine.values import Colour, Orientation, PixelFormat, VideoInfo

INFO = VideoInfo(
    kind="video",
    size=(320, 240),
    frame_rate=Fraction(30000, 1001),
    frame_count=300,
    duration=10.01,
    codec="h264",
    format=PixelFormat("yuv420p", "yuv", 8, 1, 1),
    colour=Colour(),
    orientation=Orientation(),
)


@pytest.mark.parametrize(
    ("trim", "count"),
    [
        (Trim(), 300),
        (Trim(start=0), 300),
        (Trim(end=1.001), 30),
        (Trim(start=9.009), 30),
        (Trim(start=1.001, end=3.003), 60),
        (Trim(start=5, end=99), 150),
        (Trim(start=50), 1),
    ],
)
def test_the_frames_to_come_are_told_from_rate_and_part(trim: Trim, count: int) -> None:
    assert expected_frames(INFO, trim) == count


def test_an_unknown_length_stays_unknown() -> None:
    assert expected_frames(replace(INFO, frame_count=None), Trim(end=1)) is None
