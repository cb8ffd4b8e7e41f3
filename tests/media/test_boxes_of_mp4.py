"""What MP4's boxes and Matroska's elements say: an index, Dolby Vision."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engine.errors import MediaError
from engine.media.boxes import dolby_vision, has_index
from engine.media.decode import read_frame, read_frames
from engine.media.encode import write_video
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
        with pytest.raises(MediaError, match=r"Dolby Vision without a base.*convert it"):
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


def test_an_ordinary_film_has_none(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv", ".ts"):
        assert dolby_vision(make_clip(tmp_path / f"clip{suffix}", frames=2)) is None
