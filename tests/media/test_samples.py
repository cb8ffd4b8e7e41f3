"""A cheap look into a video: which pictures, and how few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import MediaError, ParameterError
from engine.media.decode import read_frames
from engine.media.probe import probe
from engine.media.samples import sampled_frames
from engine.options import Trim
from tests.synth import make_clip

WHOLE = Trim()


def clip(path: Path, **properties: Any) -> Path:
    """Six seconds at 10 frames/s, a key frame each second."""
    given: dict[str, Any] = {
        "codec": "libx264",
        "size": (64, 48),
        "frames": 60,
        "fps": 10,
        "options": {"g": "10", "keyint_min": "10", "sc_threshold": "0", "bf": "2"},
    }
    return make_clip(path, **{**given, **properties})


def instants(path: Path, trim: Trim = WHOLE, every: float = 1.0, most: int = 32) -> list[float]:
    duration = probe(path).duration
    frames = sampled_frames(path, trim, duration=duration, every=every, most=most)
    return [round(float(frame.pts * frame.time_base), 3) for frame in frames]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_samples_are_spread_over_the_whole(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name)
    assert instants(path) == [0, 1, 2, 3, 4, 5]
    assert instants(path, most=3) == [0, 2, 4]
    assert instants(path, every=3) == [0, 2, 4]
    assert instants(path, every=100) == [0]


def test_samples_are_the_pictures_of_the_video(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    whole = {frame.pts: frame for frame in read_frames(path)}
    frames = list(sampled_frames(path, Trim(), duration=6.0, every=1.0, most=4))
    assert len(frames) == 4
    for frame in frames:
        assert (frame.planes[0] == whole[frame.pts].planes[0]).all()
        assert frame.size == (64, 48)


def test_a_part_is_sampled_from_its_first_picture_to_its_end(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    assert instants(path, Trim(start=1.5, end=4)) == [1.5, 2, 3]
    assert instants(path, Trim(start=1.5, end=1.8)) == [1.5]
    assert instants(path, Trim(end=2)) == [0, 1]


def test_a_key_frame_is_shown_once(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", options={"g": "250"})
    assert instants(path) == [0]


def test_a_length_that_is_not_known_is_not_searched(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    assert len(list(sampled_frames(path, Trim(), duration=None, every=1.0, most=9))) == 1


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4")
    with pytest.raises(ParameterError, match="no picture"):
        instants(path, Trim(start=50))
    with pytest.raises(MediaError):
        list(sampled_frames(tmp_path / "b.mp4", Trim(), duration=1.0, every=1.0, most=9))
