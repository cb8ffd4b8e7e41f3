"""Files that were joined by writing one after the other: their clock goes on."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from av.packet import Packet

from engine.media.clock_jumps import ClockJumps
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.joined_files import is_joined_matroska
from engine.options import Trim
from tests.media.looks import packets, seconds
from tests.synth import Sound, make_clip

CODECS = {
    ".flv": ("libx264", Fraction(1, 1000)),
    ".mpg": ("mpeg2video", Fraction(1, 25)),
    ".ts": ("libx264", Fraction(1, 12800)),
}


@pytest.fixture(params=CODECS)
def joined(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    suffix: str = request.param
    sounds = [Sound(codec="mp2", seconds=1.0)]
    if suffix == ".flv":
        sounds = [Sound(codec="mp3", seconds=0.9)]  # whose encoder adds a tenth
    codec, base = CODECS[suffix]
    stamps = [round(n / (25 * base)) for n in range(25)]
    part = make_clip(
        tmp_path / f"part{suffix}", codec=codec, pts=stamps, time_base=base, sounds=sounds
    )
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(part.read_bytes() * 3)
    return path


def test_pictures_and_sound_go_on_where_the_clock_restarts(tmp_path: Path, joined: Path) -> None:
    output = tmp_path / "output.mp4"
    said: list[str] = []
    write_video(read_frames(joined, warn=said.append), output, like=joined)
    assert [sentence for sentence in said if "is joined from 3 parts" in sentence] == said
    assert len(said) == 1
    times = seconds(output)
    assert len(times) == 75
    # Sound that ends later than its picture may hold the next part back for a moment.
    assert all(Fraction(39, 1000) < b - a < Fraction(120, 1000) for a, b in pairwise(times))
    heard = [time for time, _ in packets(output, "audio")]
    whole = heard[1] - heard[0]
    assert all(0 < b - a < 4 * whole for a, b in pairwise(heard))
    assert abs(heard[-1] - times[-1]) < Fraction(1, 5)


def test_a_part_begins_at_its_time_in_the_whole(joined: Path) -> None:
    whole = list(read_frames(joined))
    origin = whole[0].pts
    begun = [(f.pts - origin) * f.time_base for f in whole]
    kept = [f.pts for f in read_frames(joined, Trim(1.5, 2.5))]
    assert kept == [
        f.pts for f, at in zip(whole, begun, strict=True) if Fraction(3, 2) <= at < Fraction(5, 2)
    ]
    assert len(kept) > 20


def test_nothing_behind_a_part_is_read_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginning is found on the way, and all before its key frame is not decoded."""
    stamps = [512 * n for n in range(200)]
    clip = make_clip(
        tmp_path / "clip.ts",
        codec="libx264",
        pts=stamps,
        time_base=Fraction(1, 12800),
        options={"g": "10"},
    )
    whole = list(read_frames(clip))
    read = 0
    follow = ClockJumps.follow

    def counted(jumps: ClockJumps, packet: Packet[Any]) -> None:
        nonlocal read
        read += 1
        follow(jumps, packet)

    monkeypatch.setattr(ClockJumps, "follow", counted)
    kept = list(read_frames(clip, Trim(2.0, 2.2)))
    assert [frame.pts for frame in kept] == [frame.pts for frame in whole[50:55]]
    assert all(
        (one == other).all()
        for frame, same in zip(kept, whole[50:55], strict=True)
        for one, other in zip(frame.planes, same.planes, strict=True)
    )
    assert read < 100


def test_sound_and_picture_of_each_part_stay_together(tmp_path: Path) -> None:
    """The next part stays in sync after a part whose sound ends before its video."""
    stamps = [512 * n for n in range(50)]
    part = make_clip(
        tmp_path / "part.ts",
        codec="libx264",
        pts=stamps,
        time_base=Fraction(1, 12800),
        sounds=[Sound(codec="mp2", seconds=1.5)],
    )
    joined, output = tmp_path / "joined.ts", tmp_path / "output.mkv"
    joined.write_bytes(part.read_bytes() * 2)
    write_video(read_frames(joined), output, like=joined)
    shown, heard = seconds(output), [time for time, _ in packets(output, "audio")]
    assert len(shown) == 100
    half = len(heard) // 2
    assert abs((heard[half] - shown[50]) - (heard[0] - shown[0])) < Fraction(1, 25)


@pytest.mark.parametrize(("suffix", "frames"), [(".mp4", 20), (".mov", 20), (".mkv", 40)])
def test_films_behind_the_first_are_told(tmp_path: Path, suffix: str, frames: int) -> None:
    part, joined = tmp_path / f"part{suffix}", tmp_path / f"joined{suffix}"
    make_clip(part, frames=20)
    joined.write_bytes(part.read_bytes() * 2)
    said: list[str] = []
    assert len(list(read_frames(part, warn=said.append))) == 20
    assert said == []
    times = [frame.pts * frame.time_base for frame in read_frames(joined, warn=said.append)]
    assert len(times) == frames
    assert all(Fraction(1, 25) <= b - a <= Fraction(2, 25) for a, b in pairwise(times))
    assert sum("contains several videos" in sentence for sentence in said) == 1
    assert len(said) == (2 if suffix == ".mkv" else 1)


@pytest.mark.parametrize("muxing", [{}, {"live": "1"}])
def test_a_film_in_matroska_is_searched_by_time(tmp_path: Path, muxing: dict[str, str]) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=5, muxing=muxing)
    assert not is_joined_matroska(clip)
    for size in range(60):
        cut = tmp_path / "cut.mkv"
        cut.write_bytes(clip.read_bytes()[:size])
        assert not is_joined_matroska(cut)


def test_a_pause_is_no_splice(tmp_path: Path) -> None:
    stamps = [512 * n for n in (*range(5), *range(400, 405))]
    clip = make_clip(
        tmp_path / "pause.ts", codec="libx264", pts=stamps, time_base=Fraction(1, 12800)
    )
    said: list[str] = []
    times = [frame.pts * frame.time_base for frame in read_frames(clip, warn=said.append)]
    assert said == []
    assert times[5] - times[4] == 396 * Fraction(512, 12800)
