"""Facts of containers before decoding: the index and Dolby Vision."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest

from engine.errors import MediaError
from engine.media.decode import read_frame, read_frames
from engine.media.dolby_vision import dolby_vision
from engine.media.encode import write_video
from engine.media.mp4_boxes import has_index
from engine.media.probe import probe
from tests.synth import make_clip

_QUIET = {"x265-params": "log-level=none"}


def with_record(path: Path, profile: int, compatibility: int) -> Path:
    """An HEVC film whose sample entry has a Dolby Vision record."""
    clip = make_clip(
        path,
        codec="libx265",
        pix_fmt="yuv420p10le",
        frames=3,
        options=_QUIET,
    )
    bits = profile << 9 | 3 << 3 | 5
    record = bytes((1, 0)) + struct.pack(">HB", bits, compatibility << 4) + bytes(19)
    box = struct.pack(">I4s", 32, b"dvcC") + record
    data = bytearray(clip.read_bytes())
    place = data.index(b"hvcC") - 4
    place += struct.unpack_from(">I", data, place)[0]
    data[place:place] = box
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1", b"hev1"):
        at = data.find(name)
        if at > 0:
            (length,) = struct.unpack_from(">I", data, at - 4)
            struct.pack_into(">I", data, at - 4, length + len(box))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("profile", "compatibility"), [(5, 0), (10, 0)])
def test_dolby_vision_alone_is_refused(tmp_path: Path, profile: int, compatibility: int) -> None:
    target = with_record(tmp_path / "target.mp4", profile, compatibility)
    assert has_index(target)
    for read in (probe, lambda path: list(read_frames(path)), lambda path: read_frame(path, 1)):
        with pytest.raises(MediaError, match=r"Dolby Vision without a compatible base.*convert it"):
            read(target)


@pytest.mark.parametrize(("profile", "compatibility"), [(8, 1), (8, 4), (7, 6), (10, 1)])
def test_dolby_vision_with_a_base_is_left_out_and_said(
    tmp_path: Path, profile: int, compatibility: int
) -> None:
    target = with_record(tmp_path / "target.mp4", profile, compatibility)
    assert dolby_vision(target) == (profile, compatibility)
    info = write_video(read_frames(target), tmp_path / "output.mp4", like=target)
    assert any("Dolby Vision metadata is left out" in said for said in info.warnings)
    assert dolby_vision(tmp_path / "output.mp4") is None


def test_dolby_vision_is_found_in_matroska(tmp_path: Path) -> None:
    record = bytes((1, 0)) + struct.pack(">HB", 5 << 9 | 3 << 3 | 5, 0) + bytes(19)
    file = tmp_path / "head.mkv"
    addition = b"\x41\xe7\x84dvcC" + b"\x41\xed\x98" + record
    file.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(60) + addition + bytes(40))
    assert dolby_vision(file) == (5, 0)


def with_descriptor(path: Path, descriptor: bytes, *, spread: bool = False) -> Path:
    """An HEVC transport stream whose map has a descriptor more, on request over two packets."""
    clip = make_clip(path, codec="libx265", frames=3, options=_QUIET)
    data = bytearray(clip.read_bytes())
    prefix = 4 if path.suffix == ".m2ts" else 0
    size = 188 + prefix
    made = bytearray()
    for at in range(0, len(data), size):
        packet = data[at : at + size]
        body = bytes(packet[prefix:])
        if body[1] & 0x40 and body[5:6] == b"\x02":  # behind a pointer of zero: the map
            section = body[5 : 8 + (int.from_bytes(body[6:8], "big") & 0xFFF)]
            told = len(section) - 4  # the checksum ends it
            stream = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
            added = (bytes((0x80, 180)) + bytes(180) if spread else b"") + descriptor
            length = (int.from_bytes(section[stream + 3 : stream + 5], "big") & 0xFFF) + len(added)
            section = b"".join(
                (
                    b"\x02",
                    (0xB000 | len(section) - 3 + len(added)).to_bytes(2, "big"),
                    section[3 : stream + 3],
                    (0xF000 | length).to_bytes(2, "big"),
                    section[stream + 5 : told],
                    added,
                )
            )
            section += crc(section)
            first, rest = section[:183], section[183:]
            packet[prefix:] = body[:5] + first.ljust(183, b"\xff")
            made += packet
            if rest:
                follower = bytes((0x47, body[1] & 0x1F, body[2], 0x10 | (body[3] + 1) & 0xF))
                made += packet[:prefix] + follower + rest.ljust(184, b"\xff")
            continue
        made += packet
    path.write_bytes(made)
    return path


def crc(section: bytes) -> bytes:
    """Return the checksum of a section (ISO/IEC 13818-1, annex A)."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def described(profile: int, compatibility: int | None) -> bytes:
    bits = profile << 9 | 3 << 3 | 5
    said = b"" if compatibility is None else bytes((compatibility << 4,))
    record = bytes((1, 0)) + struct.pack(">H", bits) + said
    return bytes((0xB0, len(record))) + record


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
@pytest.mark.parametrize("compatibility", [None, 0])
@pytest.mark.parametrize("spread", [False, True])
def test_dolby_vision_alone_is_refused_in_a_transport_stream(
    tmp_path: Path, suffix: str, compatibility: int | None, *, spread: bool
) -> None:
    target = with_descriptor(
        tmp_path / f"target{suffix}", described(5, compatibility), spread=spread
    )
    with av.open(str(target)) as container:  # what FFmpeg takes for whole
        assert container.streams.video
    assert dolby_vision(target) == (5, 0)
    with pytest.raises(MediaError, match=r"Dolby Vision without a compatible base.*convert it"):
        probe(target)


def test_dolby_vision_with_a_base_is_told_in_a_transport_stream(tmp_path: Path) -> None:
    target = with_descriptor(tmp_path / "target.ts", described(8, 1))
    assert dolby_vision(target) == (8, 1)
    info = write_video(read_frames(target), tmp_path / "output.mp4", like=target)
    assert any("Dolby Vision metadata is left out" in said for said in info.warnings)


def test_damaged_maps_are_read_without_an_error(tmp_path: Path) -> None:
    target = with_descriptor(tmp_path / "target.ts", described(5, 0))
    data = target.read_bytes()
    for at in range(2 * 188 + 60):
        for value in (0, 0xFF):
            target.write_bytes(data[:at] + bytes((value,)) + data[at + 1 :])
            dolby_vision(target)
        target.write_bytes(data[:at])
        dolby_vision(target)


def test_only_the_description_of_a_track_is_read(tmp_path: Path) -> None:
    """Names in other boxes are no records, and what is large is not read."""
    target = with_record(tmp_path / "target.mp4", 5, 0)
    data = bytearray(target.read_bytes())
    place = data.index(b"dvcC")
    data[place : place + 4] = b"free"
    tags = b"\0\0\0\x20dvcC" + bytes((1, 0)) + struct.pack(">H", 5 << 9) + bytes(20)
    at = data.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", data, at)
    data[at + length : at + length] = struct.pack(">I", 8 + len(tags)) + b"udta" + tags
    struct.pack_into(">I", data, at, length + 8 + len(tags))
    target.write_bytes(data)
    assert dolby_vision(target) is None
    assert probe(target).codec == "hevc"


def test_an_ordinary_film_has_none(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv", ".ts"):
        assert dolby_vision(make_clip(tmp_path / f"clip{suffix}", frames=2)) is None
