"""What is worked out about a swap before and after its frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.options import Trim
from engine.pipeline.job import _strangers, expected_frames
from engine.values import Calibration, Colour, Orientation, PixelFormat, Portrait, VideoInfo
from tests import people

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
    has_audio=False,
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


@pytest.mark.parametrize(("distance", "warned"), [(0.0, 0), (0.75, 0), (0.85, 1), (1.2, 1)])
def test_a_picture_that_is_far_from_the_first_is_warned_of(distance: float, warned: int) -> None:
    """Two pictures of one person are hardly ever further apart than 0.8 in ArcFace's space."""
    pixels = np.zeros((8, 8, 3), np.float32)
    same, other = (
        Portrait("somebody", pixels, people.face(who=people.at_distance(one, length=512)))
        for one in (0.0, distance)
    )
    given = [(field, Path(f"{number}.jpg")) for number, field in enumerate("abc")]
    sentences = list(_strangers([same, same, other], given, Calibration()))
    assert len(sentences) == warned
    assert all(sentence.startswith("c 2.jpg may show another person") for sentence in sentences)
