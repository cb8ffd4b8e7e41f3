"""Reading: whatever the file, clear frames or one clear sentence."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.errors import MediaError, ParameterError
from engine.media.decode import (
    _Decoder,
    frame_seconds,
    read_frame,
    read_frames,
    read_image,
    shown_seconds,
)
from engine.media.encode import write_video
from engine.media.formats import picture_planes
from engine.media.probe import is_image, probe
from engine.media.pyav import open_input, open_output
from engine.options import Trim
from tests.media.looks import seconds
from tests.synth import Sound, Tags, draw, make_clip


def sound_only(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as out:
        track = out.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((2, 4096), np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        for resampled in av.AudioResampler("fltp", "stereo", 48_000, 1024).resample(frame):
            out.mux(track.encode(resampled))
        out.mux(track.encode(None))
    return path


def text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("This is no video.\n" * 100)
    return path


def real_text(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("This is no video.\n" * 100)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def folder_itself(folder: Path) -> Path:
    return folder


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def without_index(folder: Path) -> Path:
    whole = make_clip(folder / "whole.mp4", frames=30)
    path = folder / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return path


def zeroed(folder: Path) -> Path:
    whole = make_clip(folder / "whole.mp4", frames=3, muxing={"movflags": "+faststart"})
    data = bytearray(whole.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path = folder / "zeroed.mp4"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (sound_only, "sound but no picture"),
        (text, "not a video or an image"),
        (real_text, "not a video"),
        (empty, "empty"),
        (folder_itself, "directory"),
        (missing, "does not exist"),
        (without_index, "incomplete"),
        (zeroed, "damaged"),
    ],
)
def test_bad_files_get_one_clear_sentence(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    path = make(tmp_path)
    for attempt in (
        lambda: probe(path),
        lambda: list(read_frames(path)),
        lambda: read_frame(path, 1),
        lambda: write_video([], tmp_path / "output.mp4", like=path),
    ):
        with pytest.raises(MediaError) as caught:
            attempt()
        if attempt.__code__.co_names[0] != "write_video":
            assert caught.match(said)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_cut_video_gives_what_it_has(tmp_path: Path, suffix: str) -> None:
    whole = make_clip(
        tmp_path / f"whole{suffix}",
        frames=100,
        options={"g": "10"},
        muxing={"movflags": "+faststart"} if suffix == ".mp4" else {},
    )
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    warnings: list[str] = []
    frames = list(read_frames(cut, warn=warnings.append))
    assert 20 < len(frames) < 90
    assert suffix == ".ts" or any("incomplete" in w or "seems truncated" in w for w in warnings)
    assert not list(read_frames(whole, warn=pytest.fail))[100:]


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", frames=120, options={"g": "10"})
    data = bytearray(whole.read_bytes())
    start = data.index(b"mdat") + 4
    rng = np.random.default_rng(3)
    for place in rng.integers(start + 2000, start + (len(data) - start) // 2, 60):
        data[place] ^= 0xFF
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    warnings: list[str] = []
    frames = list(read_frames(damaged, warn=warnings.append))
    assert len(frames) > 60
    stamps = [frame.pts for frame in frames]
    assert stamps == sorted(set(stamps))
    assert len(frames) == 120 or warnings


def test_frames_are_read_only_views_with_their_times(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", size=(70, 50), pts=[0, 300, 1200, 1300])
    frames = list(read_frames(target))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.pts * frame.time_base for frame in frames] == seconds(target)
    for frame in frames:
        assert [plane.shape for plane in frame.planes] == [(50, 70), (25, 35), (25, 35)]
        assert not any(plane.flags.writeable for plane in frame.planes)
        assert frame.format.name == "yuv420p"


def test_planes_outlive_the_container(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", codec="ffv1", frames=20)
    kept = list(read_frames(target))
    copies = [[plane.copy() for plane in frame.planes] for frame in read_frames(target)]
    for frame, planes in zip(kept, copies, strict=True):
        for held, copied in zip(frame.planes, planes, strict=True):
            assert np.array_equal(held, copied)


@pytest.mark.parametrize(
    ("packed", "planar"),
    [
        ("nv12", "yuv420p"),
        ("nv21", "yuv420p"),
        ("nv16", "yuv422p"),
        ("nv24", "yuv444p"),
        ("p010le", "yuv420p10le"),
        ("yuyv422", "yuv422p"),
        ("uyvy422", "yuv422p"),
        ("rgb24", "gbrp"),
        ("bgr24", "gbrp"),
        ("rgba", "gbrap"),
        ("argb", "gbrap"),
        ("bgr0", "gbrp"),
        ("0rgb", "gbrp"),
        ("rgb48le", "gbrp16le"),
        ("rgb48be", "gbrp16le"),
        ("ya8", "ya8"),
        ("gray16be", "gray16le"),
        ("yuv420p10be", "yuv420p10le"),
    ],
)
def test_packed_formats_are_taken_apart_without_loss(packed: str, planar: str) -> None:
    picture = av.VideoFrame.from_ndarray(draw(0, (62, 46)), format="rgb24").reformat(format=packed)
    planes, described = picture_planes(picture)
    assert described.name == planar
    assert planes[0].shape == (46, 62)
    assert not any(plane.flags.writeable for plane in planes)
    if planar == "ya8":
        return  # FFmpeg has no planar form of it to compare with
    expected = picture.reformat(format=planar)
    order = (2, 0, 1, 3) if planar.startswith("gbr") else (0, 1, 2)
    for n, plane in enumerate(planes):
        source: Any = expected.planes[order[n]]
        lines = np.frombuffer(source, plane.dtype)
        lines = lines.reshape(source.height, -1)[:, : source.width]
        assert np.array_equal(plane, lines)


def test_palettes_become_colours(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.gif", codec="gif", pix_fmt="rgb8", frames=4)
    assert probe(target).kind == "video"
    frames = list(read_frames(target))
    assert len(frames) == 4
    red, green, blue = (plane.astype(int) for plane in frames[0].planes[:3])
    shown = draw(0, (64, 48)).astype(int)
    assert np.abs(np.stack([red, green, blue], axis=-1) - shown).mean() < 40


def test_numbers_count_from_one(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=5)
    stamps = [frame.pts for frame in read_frames(target)]
    assert read_frame(target, 1).pts == read_frame(target, 0).pts == stamps[0]
    assert read_frame(target, 5).pts == stamps[4]
    with pytest.raises(ParameterError, match="only 5 frames"):
        read_frame(target, 6)
    with pytest.raises(ParameterError, match="count from 1"):
        read_frame(target, -1)


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("b-frames.mp4", {}),
        ("stream.ts", {}),
        ("late.avi", {}),
        ("without-packets.mkv", {"codec": "ffv1"}),
        ("uneven.mp4", {"pts": [0, 100, 300, 310, 900, 1700], "time_base": Fraction(1, 1000)}),
    ],
)
def test_the_time_of_a_frame_is_known_by_its_number(
    name: str, properties: dict[str, Any], tmp_path: Path
) -> None:
    path = make_clip(tmp_path / name, **{"frames": 40, **properties})
    frames = list(read_frames(path))
    times = [(frame.pts - frames[0].pts) * frame.time_base for frame in frames]
    assert [frame_seconds(path, number) for number in range(1, len(times) + 1)] == times
    assert frame_seconds(path, 2, start=float(times[3]) - 0.001) == times[4]
    with pytest.raises(ParameterError, match=rf"is 99, but .* has only {len(times)}\."):
        frame_seconds(path, 99)


def test_the_time_of_a_frame_is_known_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "film.mp4", frames=200)
    decoded = []
    decode = _Decoder.decode

    def counted(self: _Decoder, *given: Any) -> Any:
        decoded.append(given)
        return decode(self, *given)

    monkeypatch.setattr(_Decoder, "decode", counted)
    assert frame_seconds(path, 150) == Fraction(149, 25)
    assert len(decoded) < 20


def test_the_frame_that_is_shown_at_a_time(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 120, 15_000, 15_500, 60_000]
    path = make_clip(tmp_path / "slides.mp4", pts=stamps, time_base=Fraction(1, 1000))
    for at, shown in (
        (0, 0),
        (0.0395, 0.04),
        (0.039, 0),
        (0.1, 0.08),
        (0.12, 0.12),
        (14.9, 0.12),
        (15, 15),
        (15.4, 15),
        (59.9, 15.5),
        (60, 60),
    ):
        assert shown_seconds(path, at) == Fraction(str(shown)), at
    with pytest.raises(ParameterError, match=r"time is 99 s, but .*slides.mp4 ends at 60"):
        shown_seconds(path, 99)


def test_parts_that_hold_no_picture_are_refused(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=5)
    with pytest.raises(ParameterError, match="earlier start"):
        list(read_frames(target, Trim(5.0)))
    with pytest.raises(ParameterError, match="earlier start"):
        list(read_frames(target, Trim(1e15)))  # no container can count so far
    with pytest.raises(ParameterError, match="after the start"):
        list(read_frames(target, Trim(0.2, 0.1)))


@pytest.mark.parametrize(("space", "name"), [(8, "YCgCo"), (14, "ICtCp")])
def test_colours_that_would_be_read_wrongly_are_refused(
    tmp_path: Path, space: int, name: str
) -> None:
    target = make_clip(tmp_path / "target.mkv", codec="ffv1", tags=Tags(space=space), frames=2)
    for read in (probe, lambda path: list(read_frames(path))):
        with pytest.raises(MediaError, match=rf"{name}.*convert it"):
            read(target)


def test_an_animated_webp_is_read_as_a_video_or_called_so(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.webp", codec="libwebp_anim", frames=4)
    if "webp_anim" in av.formats_available:
        assert probe(target).kind == "video"
        assert len(list(read_frames(target))) == 4
        return
    for read in (probe, read_image):
        with pytest.raises(MediaError, match=r"animated WebP.*MP4"):
            read(target)


def test_an_animated_webp_that_is_damaged_is_called_so(tmp_path: Path) -> None:
    target = tmp_path / "target.webp"
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0x02) + bytes((63, 0, 0, 47, 0, 0))
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    target.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    for read in (probe, read_image):
        with pytest.raises(MediaError, match=r"animated WebP.*MP4"):
            read(target)


def test_probe_says_what_is_there(tmp_path: Path) -> None:
    target = make_clip(
        tmp_path / "target.mp4", size=(64, 48), rotation=90, sounds=[Sound()], tags=Tags(1, 1, 1)
    )
    info = probe(target)
    assert (info.kind, info.size, info.codec) == ("video", (48, 64), "h264")
    assert (info.frame_rate, info.frame_count) == (Fraction(25), 12)
    assert info.duration == pytest.approx(0.48, abs=0.04)
    assert info.orientation == next(iter(read_frames(target))).orientation


def test_a_part_of_a_file_that_cannot_be_searched_is_found_by_decoding(tmp_path: Path) -> None:
    clip, raw = make_clip(tmp_path / "clip.mp4", frames=30), tmp_path / "clip.h264"
    with open_input(clip) as source, open_output(raw, "h264") as made:
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    whole = list(read_frames(raw))
    part = list(read_frames(raw, Trim(0.9)))
    assert [frame.index for frame in part] == list(range(7))
    for one, other in zip(part, whole[-7:], strict=True):
        assert one.pts == other.pts
        assert np.array_equal(one.planes[0], other.planes[0])


def test_kind_is_judged_by_content(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=2)
    assert not is_image(Path(shutil.copy(clip, tmp_path / "clip.jpg")))
    with av.open(str(tmp_path / "still.png"), "w", format="image2") as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        picture = av.VideoFrame.from_ndarray(draw(0, (64, 48)), format="rgb24")
        out.mux(stream.encode(picture))
    assert is_image(Path(shutil.copy(tmp_path / "still.png", tmp_path / "still.mp4")))
    assert probe(tmp_path / "still.mp4").kind == "image"


def test_names_are_taken_literally(tmp_path: Path) -> None:
    for name in ("100%03d.mp4", "http:host.mp4", "a b'c.mp4"):
        path = tmp_path / name
        shutil.copy(make_clip(tmp_path / "clip.mp4", frames=2), path)
        assert len(list(read_frames(path))) == 2


def test_untagged_high_definition_is_bt709(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.mp4", frames=1)
    large = make_clip(tmp_path / "large.mp4", frames=1, size=(1280, 720))
    assert probe(small).colour.matrix == "bt601"
    assert probe(large).colour.matrix == "bt709"
