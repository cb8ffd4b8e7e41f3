"""Streams that are copied: those that nobody knows, and times that no muxer takes."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from av.packet import Packet

from engine.media import copies
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.output_file import WrittenInfo
from engine.media.probe import frame_rate
from engine.media.pyav import as_fraction, open_input, open_output
from engine.options import Trim
from tests.media.looks import kinds, packets, payloads, seconds
from tests.synth import Line, Sound, make_clip


def pass_through(target: Path, output: Path, trim: Trim | None = None) -> WrittenInfo:
    trim = trim or Trim()
    return write_video(read_frames(target, trim), output, like=target, trim=trim)


def remuxed(source: Path, target: Path, edit: Any) -> Path:
    """Return a file with the packets of another, each as `edit` leaves it."""
    with open_input(source) as one, open_output(target, "matroska") as other:
        copies = {s.index: other.add_stream_from_template(s, opaque=True) for s in one.streams}
        counts = dict.fromkeys(copies, 0)
        for packet in one.demux():
            if packet.size:
                counts[packet.stream_index] += 1
                edit(packet, counts[packet.stream_index])
                packet.stream = copies[packet.stream_index]
                other.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_sound_of_an_unknown_codec_is_named(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5, sounds=[Sound(), Sound()])
    data = clip.read_bytes()
    last = data.rindex(b"mp4a")
    data = data[:last] + data[last:].replace(b"mp4a", b"apac", 1).replace(b"esds", b"dapa", 1)
    target = tmp_path / "target.mov"
    target.write_bytes(data)
    with open_input(target) as container:
        assert container.streams[2].codec_context is None
    info = pass_through(target, tmp_path / f"output{suffix}")
    assert any("audio stream 2 (of an unknown codec" in warning for warning in info.warnings)
    assert kinds(tmp_path / f"output{suffix}") == ["video", "audio"]


@pytest.mark.parametrize("name", ["clip.avi", "clip.mkv"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_pcm_whose_channels_are_only_counted_is_copied(
    tmp_path: Path, name: str, suffix: str
) -> None:
    clip = make_clip(
        tmp_path / name, frames=5, codec="mjpeg", pix_fmt="yuvj420p", sounds=[Sound("pcm_s16le")]
    )
    output = tmp_path / f"output{suffix}"
    with open_input(clip) as source:
        assert source.streams.audio[0].layout.name == "2 channels"
    assert pass_through(clip, output).warnings == ()
    with open_input(output) as written:
        (sound,) = written.streams.audio
        assert (sound.codec_context.name, sound.layout.name) == ("pcm_s16le", "stereo")
    heard = [b"".join(payloads(packets(path, "audio"))) for path in (clip, output)]
    assert heard[0] == heard[1]


def test_private_data_is_copied_or_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", frames=10)
    target = tmp_path / "target.ts"
    with open_input(clip) as source, open_output(target, "mpegts") as made:
        copy = made.add_stream_from_template(source.streams.video[0], opaque=True)
        private = made.add_data_stream("bin_data")
        for n, packet in enumerate(source.demux(video=0)):
            if not packet.size:
                continue
            extra: Packet[Any] = Packet(b"position %d" % n)
            extra.pts = extra.dts = packet.dts
            extra.time_base, extra.stream = as_fraction(packet.time_base), private
            packet.stream = copy
            made.mux(packet)
            made.mux(extra)
    sent = payloads(packets(target, "data"))
    assert len(sent) == 10
    info = pass_through(target, tmp_path / "output.ts")
    assert not any("left out" in said for said in info.warnings)
    assert payloads(packets(tmp_path / "output.ts", "data")) == sent
    for suffix in (".mp4", ".mov", ".mkv"):
        info = pass_through(target, tmp_path / f"output{suffix}")
        assert any("data stream 1 (bin_data) is left out" in said for said in info.warnings)


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_time_code_survives(tmp_path: Path, suffix: str) -> None:
    target = make_clip(
        tmp_path / "target.mov", frames=10, sounds=[Sound()], metadata={"timecode": "01:02:03:04"}
    )
    assert "data" in kinds(target)
    output = tmp_path / f"output{suffix}"
    assert pass_through(target, output).warnings == ()
    assert kinds(output) == kinds(target)
    with open_input(output) as container:
        codes = [stream.metadata.get("timecode") for stream in container.streams]
    assert codes == ["01:02:03:04", None, "01:02:03:04"]
    assert len(packets(output, "data")) == 1


def test_a_time_code_beside_chapters_is_not_left_out_silently(tmp_path: Path) -> None:
    target = make_clip(
        tmp_path / "target.mov",
        frames=25,
        metadata={"timecode": "01:02:03:04"},
        chapters=[(0.0, 0.5, "one"), (0.5, 1.0, "two")],
    )
    told = pass_through(target, tmp_path / "output.avi").warnings
    assert [said for said in told if "data stream" in said and "left out" in said]
    assert not [said for said in told if "bin_data" in said]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_repeated_times_are_put_in_order(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=25, sounds=[Sound(seconds=1.0)])
    times: list[int] = []

    def edit(packet: Packet[Any], count: int) -> None:
        if packet.stream.type != "audio":
            return
        times.append(packet.pts or 0)
        if count == 12:
            packet.pts = packet.dts = times[-2]

    target = remuxed(clip, tmp_path / "target.mkv", edit)
    output = tmp_path / f"output{suffix}"
    pass_through(target, output)
    heard = packets(output, "audio")
    assert len(heard) == len(times)
    assert all(a < b for (a, _), (b, _) in pairwise(heard))


def test_the_end_is_exclusive_for_sound(tmp_path: Path) -> None:
    target = tmp_path / "target.mkv"
    clip = make_clip(tmp_path / "clip.mkv", frames=50, sounds=[Sound("pcm_s16le", seconds=2.0)])

    def edit(packet: Packet[Any], count: int) -> None:
        if packet.stream.type == "audio":
            packet.pts = packet.dts = 20 * (count - 1)
            packet.duration = 20

    remuxed(clip, target, edit)
    pass_through(target, tmp_path / "output.mkv", Trim(None, 1.0))
    heard = [time for time, _ in packets(tmp_path / "output.mkv", "audio")]
    begun = [time for time, _ in packets(target, "audio")]
    assert Fraction(1) in begun
    assert heard == [time for time in begun if time < 1]
    assert seconds(tmp_path / "output.mkv")[-1] == Fraction(24, 25)


def test_pictures_of_avi_with_b_frames_lie_evenly(tmp_path: Path) -> None:
    target = make_clip(
        tmp_path / "target.avi", frames=20, options={"x264-params": "bframes=2:b-adapt=0"}
    )
    with open_input(target) as container:
        assert container.streams.video[0].codec_context.has_b_frames
    times = [frame.pts * frame.time_base for frame in read_frames(target)]
    assert times == [Fraction(n, 25) for n in range(20)]


def test_a_rate_near_zero_is_no_rate_of_zero(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", pts=[0, 400_000_000], time_base=Fraction(1, 1000))
    with open_input(target) as container:
        rate = frame_rate(container.streams.video[0])
    assert rate.limit_denominator(100_000) > 0
    assert pass_through(target, tmp_path / "output.mkv").frames == 2


def test_what_lies_behind_the_end_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [Sound("mp2", seconds=30.0)]
    target = make_clip(tmp_path / "target.mkv", frames=30 * 25, size=(32, 32), sounds=sounds)
    read: list[float] = []
    original = copies._is_after

    def counted(packet: Packet[Any], end: Fraction) -> bool:
        read.append(float((packet.dts or 0) * as_fraction(packet.time_base)))
        return original(packet, end)

    monkeypatch.setattr(copies, "_is_after", counted)
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    pass_through(target, whole)
    assert read == []
    pass_through(target, part, Trim(end=3.0))
    assert 12 < max(read) < 16
    assert packets(part, "audio") == [one for one in packets(whole, "audio") if one[0] < 3]


def test_subtitles_at_the_end_of_a_file_are_found(tmp_path: Path) -> None:
    lines = [Line(float(second), second + 0.5, str(second)) for second in range(30)]
    sounds = [Sound("mp2", seconds=30.0)]
    target = make_clip(
        tmp_path / "target.mkv", frames=30 * 25, size=(32, 32), sounds=sounds, lines=lines
    )
    output = tmp_path / "output.mkv"
    pass_through(target, output, Trim(end=3.0))
    assert [text for _, text in packets(output, "subtitle")] == [b"0", b"1", b"2"]
