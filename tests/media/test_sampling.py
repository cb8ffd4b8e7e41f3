"""A cheap look into a video: which pictures, and how few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import MediaError, ParameterError
from engine.media import sampling
from engine.media.decode import read_frames
from engine.media.probe import probe
from engine.media.sampling import sampled_frames, spread_frames
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
    with pytest.raises(ParameterError, match="no frame"):
        instants(path, Trim(start=50))
    with pytest.raises(MediaError):
        list(sampled_frames(tmp_path / "b.mp4", Trim(), duration=1.0, every=1.0, most=9))


def spread(path: Path, most: int = 24) -> list[float]:
    frames = spread_frames(path, probe(path), most)
    return [round(float((frame.pts - frames[0].pts) * frame.time_base), 3) for frame in frames]


def test_pictures_are_spread_over_a_short_video_whatever_its_key_frames(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", options={"g": "600", "bf": "2"})
    assert spread(path, most=6) == [0, 0.8, 1.6, 3.2, 4, 5.6]
    assert len(spread(path)) == 24
    assert spread(path, most=100) == [n / 10 for n in range(60)]
    assert spread(clip(tmp_path / "one.mp4", frames=1)) == [0]


def test_of_a_long_video_key_frames_are_taken_where_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_MAX_DECODED", 30 * 64 * 48)
    monkeypatch.setattr(sampling, "_ENOUGH", 4)
    assert spread(clip(tmp_path / "a.mp4")) == [0, 1, 2, 3, 4, 5]
    sparse = clip(tmp_path / "sparse.mp4", options={"g": "600", "bf": "0"})
    assert spread(sparse, most=6) == [0, 0.4, 0.8, 1.6, 2, 2.8]


def test_a_video_of_unknown_length_is_decoded_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip(tmp_path / "a.mp4")
    monkeypatch.setattr(sampling, "_MAX_DECODED", 20 * 64 * 48)
    unknown = replace(probe(path), duration=None)
    frames = spread_frames(path, unknown, 10)
    assert [frame.index for frame in frames] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


def test_fewer_large_pictures_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.mp4")
    monkeypatch.setattr(sampling, "_MAX_HELD", 10 * 64 * 48)
    assert len(spread(path)) == 10
    monkeypatch.setattr(sampling, "_MAX_HELD", 1)
    assert len(spread(path)) == sampling._ENOUGH


def test_an_animated_picture_is_spread_as_a_video_is(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.gif", codec="gif", pix_fmt="rgb8", frames=20, fps=10)
    assert spread(path, most=4) == [0, 0.4, 0.8, 1.6]
