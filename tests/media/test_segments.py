"""Segments that are joined equal the stream of one run, in whatever order they were made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from engine.media.containers import VIDEO_CONTAINERS
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.packet_file import EncodedPacket, PacketWriter, read_facts, read_packets
from engine.media.segments import join_segments, segment_length, split_frames
from engine.options import EncodeOptions
from engine.values import Bytes, Frame
from tests.media.looks import packets, pictures, same_samples, stamps
from tests.synth import Sound, make_clip

LENGTH = 8


@dataclass
class Kept:
    """Segments in memory."""

    before: list[list[EncodedPacket]] = field(default_factory=list)
    made: list[list[EncodedPacket]] = field(default_factory=list)
    length: int = LENGTH

    def finished(self) -> Iterator[Iterator[EncodedPacket]]:
        return map(iter, self.before)

    def keep(self, packets: Iterator[EncodedPacket]) -> Iterator[EncodedPacket]:
        mine: list[EncodedPacket] = []
        for packet in packets:
            mine.append(packet)
            yield packet
        self.made.append(mine)


def write(
    clip: Path,
    output: Path,
    kept: Kept,
    *,
    skip: int = 0,
    options: EncodeOptions = EncodeOptions(),  # noqa: B008 - frozen
) -> None:
    frames = read_frames(clip)
    first = next(read_frames(clip))
    write_video(
        islice(frames, skip, None), output, like=clip, options=options, segments=kept, first=first
    )


CODECS = ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "libvpx", "mpeg4", "ffv1", "prores_ks"]


@pytest.mark.parametrize("codec", CODECS)
def test_an_interrupted_run_gives_the_bytes_of_an_uninterrupted_one(
    tmp_path: Path, codec: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=27, size=(96, 80), sounds=[Sound()])
    options = EncodeOptions(codec=codec)
    whole, again = Kept(), Kept()
    write(clip, tmp_path / "whole.mkv", whole, options=options)
    assert [len(packets) for packets in whole.made] == [8, 8, 8, 3]
    again.before = whole.made[:2]
    write(clip, tmp_path / "again.mkv", again, skip=16, options=options)
    assert again.made == whole.made[2:]
    first, second = (packets(tmp_path / name, "video") for name in ("whole.mkv", "again.mkv"))
    assert first == second
    assert packets(tmp_path / "whole.mkv", "audio") == packets(tmp_path / "again.mkv", "audio")


@pytest.mark.parametrize("suffix", sorted(VIDEO_CONTAINERS))
def test_every_container_takes_segments(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=27, size=(96, 80), sounds=[Sound()])
    output = tmp_path / f"output{suffix}"
    write(clip, output, Kept(), options=EncodeOptions(crf=0))
    write(clip, tmp_path / f"one{suffix}", Kept(length=100), options=EncodeOptions(crf=0))
    assert len(pictures(output)) == 27
    assert stamps(output) == stamps(tmp_path / f"one{suffix}")
    with av.open(str(output)) as container:
        times = [p.dts for p in container.demux(container.streams.video[0]) if p.size]
    assert all(b > a for a, b in pairwise(t for t in times if t is not None))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_uneven_times_are_kept_at_the_joints(tmp_path: Path, codec: str) -> None:
    pts = np.cumsum([0, *[40, 400, 1, 1, 900, 7, 300, 300, 3, 2000] * 3]).tolist()
    clip = make_clip(tmp_path / "clip.mp4", pts=pts, time_base=Fraction(1, 12800), size=(96, 80))
    output = tmp_path / "output.mp4"
    write(clip, output, Kept(), options=EncodeOptions(codec=codec))
    base, times = stamps(output)
    assert [time * base for time in times] == [Fraction(time, 12800) for time in pts]
    with av.open(str(output)) as container:
        found = [p for p in container.demux(container.streams.video[0]) if p.size]
    assert all((p.dts or 0) <= (p.pts or 0) for p in found)
    assert all((b.dts or 0) > (a.dts or 0) for a, b in pairwise(found))


@pytest.mark.parametrize("width", [64, 80, 128])
def test_equal_runs_give_equal_packets(tmp_path: Path, width: int) -> None:
    blocks = np.random.default_rng(0).integers(0, 255, (8, 30, 3)).astype(np.uint8)
    texture = np.kron(blocks, np.ones((16, 16, 1), np.uint8))

    def paint(number: int, size: tuple[int, int]) -> Bytes:
        width, height = size
        return np.ascontiguousarray(texture[number : number + height, number : number + width])

    clip = make_clip(tmp_path / "clip.mp4", frames=12, size=(width, 64), paint=paint)
    runs = []
    for number in range(20):
        kept = Kept(length=12)
        write(clip, tmp_path / f"{number}.mp4", kept)
        runs.append((kept.made, (tmp_path / f"{number}.mp4").read_bytes()))
        _fill_memory(number)
    assert all(run == runs[0] for run in runs)


def _fill_memory(value: int) -> None:
    """Leave memory that an encoder may get in another state than before."""
    for size in (1_000, 5_000, 20_000, 50_000, 100_000, 200_000) * 40:
        bytes([value]) * size


def test_transparency_survives_segments(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mov", frames=10, size=(64, 48), codec="qtrle", pix_fmt="argb")
    kept = Kept(length=4)
    write(clip, tmp_path / "whole.webm", kept)
    files = []
    for number, segment in enumerate(kept.made[:2]):
        files.append(tmp_path / f"{number}")
        keep(files[-1], segment, {})
    again = Kept(before=[list(read_packets(file)) for file in files], length=4)
    write(clip, tmp_path / "again.webm", again, skip=8)
    assert same_samples(tmp_path / "whole.webm", tmp_path / "again.webm")
    assert next(read_frames(tmp_path / "again.webm")).format.alpha


def keep(path: Path, packets: Iterable[EncodedPacket], facts: object) -> None:
    with path.open("wb") as file:
        writer = PacketWriter(file)
        for packet in packets:
            writer.add(packet)
        writer.finish(facts)


PACKETS = [
    EncodedPacket(b"abc", 0, -512, 512, is_keyframe=True),
    EncodedPacket(b"", 2**40, 0, 0, is_keyframe=False),
    EncodedPacket(bytes(range(256)), 512, 512, 512, is_keyframe=False, alpha=b"xy"),
]


def test_packets_are_read_back_as_they_were(tmp_path: Path) -> None:
    keep(tmp_path / "file", PACKETS, {"frames": [1, 2]})
    assert list(read_packets(tmp_path / "file")) == PACKETS
    assert read_facts(tmp_path / "file") == {"frames": [1, 2]}


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    keep(path, PACKETS, {"frames": 3})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        with pytest.raises(ValueError, match=r"ends too early|damaged"):
            read_facts(path)
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="damaged"):
            read_facts(path)


def test_first_packets_of_a_segment_take_the_last_times_of_the_one_before() -> None:
    def segment(begin: int) -> list[EncodedPacket]:
        shown = [begin, begin + 3, begin + 1, begin + 2]
        decoded = [begin - 2, begin - 1, begin, begin + 1]
        return [
            EncodedPacket(b"", pts, dts, 1, is_keyframe=pts == begin)
            for pts, dts in zip(shown, decoded, strict=True)
        ]

    # The second segment begins late: its own encoder would decode it before the first one ends.
    joined = list(join_segments([segment(0), segment(100)]))
    assert [packet.dts for packet in joined] == [-2, -1, 0, 1, 2, 3, 100, 101]
    assert [packet.pts for packet in joined] == [0, 3, 1, 2, 100, 103, 101, 102]


def test_a_segment_is_about_ten_seconds() -> None:
    assert segment_length(Fraction(25)) == 250
    assert segment_length(Fraction(24000, 1001)) == 240
    assert segment_length(Fraction(1)) == 50
    assert segment_length(Fraction(1000)) == 600
    assert segment_length(Fraction(0)) == 50


def test_frames_are_split_as_they_come(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=7)
    parts: list[list[Frame]] = [list(part) for part in split_frames(read_frames(clip), 3)]
    assert [[frame.index for frame in part] for part in parts] == [[0, 1, 2], [3, 4, 5], [6]]
