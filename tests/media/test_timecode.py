"""Time codes at the beginning of a part."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.pyav import open_input
from engine.media.timecode import advance_time_code
from engine.options import EncodeOptions, Trim
from tests.synth import make_clip

NTSC = Fraction(30_000, 1001)


def codes(path: Path) -> set[str]:
    """Return all time codes that a file states."""
    with open_input(path) as container:
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
        return {value for of in tags for key, value in of.items() if key.lower() == "timecode"}


@pytest.mark.parametrize(
    ("before", "seconds", "rate", "after"),
    [
        ("01:00:00:00", Fraction(1), Fraction(25), "01:00:01:00"),
        ("00:59:59:24", Fraction(1, 25), Fraction(25), "01:00:00:00"),
        ("23:59:59:24", Fraction(1, 25), Fraction(25), "00:00:00:00"),
        ("01:00:59;29", 1 / NTSC, NTSC, "01:01:00;02"),
        ("01:09:59;29", 1 / NTSC, NTSC, "01:10:00;00"),
        ("01:00:59:29", 1 / NTSC, NTSC, "01:01:00:00"),
        ("00:00:59;59", 1 / (2 * NTSC), 2 * NTSC, "00:01:00;04"),
        ("00:00:00;00", 107_892 / NTSC, NTSC, "01:00:00;00"),
        # An average of a film that ends with a long picture.
        ("00:00:00:00", Fraction(3600), Fraction(2995, 100), "00:59:56:12"),
        ("00:00:00:00", Fraction(1001, 1000), Fraction(24_000, 1001), "00:00:01:00"),
    ],
)
def test_a_code_counts_frames(before: str, seconds: Fraction, rate: Fraction, after: str) -> None:
    assert advance_time_code(before, seconds, rate) == after


def test_dropped_numbers_are_never_given() -> None:
    """Counted frame by frame over eleven minutes."""
    minute = second = frame = 0
    for number in range(11 * 1798):
        expected = f"00:{minute:02}:{second:02};{frame:02}"
        if frame < 4 or frame == 29:
            assert advance_time_code("00:00:00;00", number / NTSC, NTSC) == expected
        frame += 1
        if frame == 30:
            second, frame = second + 1, 0
        if second == 60:
            minute, second = minute + 1, 0
            frame = 2 if minute % 10 else 0


@pytest.mark.parametrize("code", ["", "noon", "01:00:00:25", "01:60:00:00", "1:2:3:4"])
def test_what_is_no_code_cannot_be_advanced(code: str) -> None:
    assert advance_time_code(code, Fraction(1), Fraction(25)) is None


@pytest.mark.parametrize("before", [".mov", ".mkv"])
@pytest.mark.parametrize("after", [".mov", ".mp4", ".mkv"])
def test_a_part_has_the_code_of_its_first_frame(tmp_path: Path, before: str, after: str) -> None:
    stamps = [1001 * n for n in range(40)]
    target = make_clip(
        tmp_path / f"target{before}",
        pts=stamps,
        fps=30,
        time_base=Fraction(1, 30_000),
        metadata={"timecode": "00:00:59;15"},
    )
    assert codes(target) == {"00:00:59;15"}
    trim, output = Trim(0.6), tmp_path / f"output{after}"
    frames = list(read_frames(target, trim))
    assert len(frames) == 22
    write_video(frames, output, like=target, trim=trim)
    assert codes(output) == {"00:01:00;05"}  # 18 frames later, and two numbers are dropped


def test_a_code_that_cannot_be_advanced_is_left_out_and_told(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", frames=10, metadata={"timecode": "noon"})
    told = write_video(read_frames(target), tmp_path / "whole.mkv", like=target).warnings
    assert codes(tmp_path / "whole.mkv") == {"noon"}
    assert not [said for said in told if "noon" in said]
    trim, output = Trim(0.2), tmp_path / "part.mkv"
    told = write_video(read_frames(target, trim), output, like=target, trim=trim).warnings
    assert [said for said in told if "time code noon is left out" in said]
    assert codes(output) == set()


def test_no_code_is_kept_without_metadata(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mov", frames=10, metadata={"timecode": "01:00:00:00"})
    trim, output = Trim(0.2), tmp_path / "part.mov"
    options = EncodeOptions(metadata="none")
    write_video(read_frames(target, trim), output, like=target, trim=trim, options=options)
    assert codes(output) == set()
