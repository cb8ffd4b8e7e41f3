"""Still images: samples, alpha, depth, orientation, profile and provenance."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError, OutputExists
from engine.media.decode import read_frames, read_image
from engine.media.formats import pixel_format
from engine.media.metadata_blocks import (
    exif_of_upright,
    exif_orientation,
    icc_profile,
    resolution,
    with_metadata,
)
from engine.media.probe import is_image, probe
from engine.media.provenance_tags import SOURCE_TYPE
from engine.media.still import write_image
from engine.values import Colour, Frame, Orientation, Plane
from tests.media.looks import provenance, xmp_packet
from tests.synth import draw

ORIENTATIONS = [Orientation(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
# EXIF's values 1 to 8 for the picture's first row and column, as the standard words them.
EXIF = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def rgb_frame(name: str = "gbrp", orientation: Orientation | None = None) -> Frame:
    """Return a picture of 43 x 31 in an RGB or grey format; deep ones use all their bits."""
    fmt = pixel_format(name)
    rng = np.random.default_rng(5)
    picture = draw(0, (43, 31))
    channels = [picture[..., 1]] if fmt.family == "gray" else [picture[..., n] for n in range(3)]
    planes: list[Plane] = []
    for channel in [*channels, *([picture[..., 2]] if fmt.alpha else [])]:
        if fmt.bits == 8:
            planes.append(channel.copy())
        else:
            planes.append(
                channel.astype(np.uint16) * 257
                ^ rng.integers(0, 255, channel.shape).astype(np.uint16)
            )
    colour = Colour("rgb" if fmt.family == "rgb" else "bt601", full_range=True)
    return Frame(0, 0, Fraction(1, 25), tuple(planes), fmt, colour, orientation or Orientation())


def with_exif(jpeg: bytes, value: int) -> bytes:
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, value, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def upright(frame: Frame) -> list[np.ndarray]:
    turned = [plane[:, ::-1] if frame.orientation.mirrored else plane for plane in frame.planes]
    return [np.rot90(plane, frame.orientation.quarter_turns) for plane in turned]


@pytest.mark.parametrize(
    "name", ["gbrp", "gbrap", "gbrp16le", "gbrap16le", "gray", "gray16le", "ya8", "ya16le"]
)
def test_png_keeps_every_sample(tmp_path: Path, name: str) -> None:
    frame = rgb_frame(name)
    output = tmp_path / "output.png"
    write_image(frame, output)
    again = read_image(output)
    assert again.format == frame.format
    for before, after in zip(frame.planes, again.planes, strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("name", ["gbrp", "gbrap"])
def test_webp_keeps_every_sample_of_rgb(tmp_path: Path, name: str) -> None:
    frame = rgb_frame(name)
    output = tmp_path / "output.webp"
    write_image(frame, output, provenance={"comment": "x"})
    again = read_image(output)
    opaque = frame.planes[3] > 0 if frame.format.alpha else np.ones((31, 43), bool)
    for before, after in zip(frame.planes, again.planes, strict=False):
        assert np.array_equal(before[opaque], after[opaque])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_outputs_are_upright(tmp_path: Path, orientation: Orientation, suffix: str) -> None:
    frame = rgb_frame(orientation=orientation)
    output = tmp_path / f"output{suffix}"
    info = write_image(frame, output)
    again = read_image(output)
    assert again.orientation == Orientation()
    assert again.size == frame.size == info.size
    write_image(again, tmp_path / "again.png")
    shown = read_image(tmp_path / "again.png").planes
    for before, after in zip(upright(frame), shown, strict=False):
        off = np.abs(before.astype(int) - after.astype(int))
        assert off.mean() < 3


@pytest.mark.parametrize("value", list(EXIF))
def test_exif_orientation_is_obeyed(tmp_path: Path, value: int) -> None:
    plain = tmp_path / "plain.jpg"
    write_image(rgb_frame(), plain)
    tagged = tmp_path / "tagged.jpg"
    tagged.write_bytes(with_exif(plain.read_bytes(), value))
    luma = read_image(plain).planes[0]
    frame = read_image(tagged)
    assert np.array_equal(upright(frame)[0], EXIF[value](luma))
    assert probe(tagged).orientation == frame.orientation
    assert probe(tagged).size == frame.size
    (only,) = read_frames(tagged)
    assert only.orientation == frame.orientation


def test_jpeg_keeps_its_chroma_and_nearly_every_sample(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jpg", tmp_path / "second.jpg"
    write_image(rgb_frame(), first)
    frame = read_image(first)
    assert frame.format.name == "yuv444p"
    assert (frame.colour.matrix, frame.colour.full_range) == ("bt601", True)
    write_image(frame, second)
    again = read_image(second)
    for before, after in zip(frame.planes, again.planes, strict=True):
        assert np.abs(before.astype(int) - after.astype(int)).max() <= 4


def test_transparency_lost_is_said(tmp_path: Path) -> None:
    info = write_image(rgb_frame("gbrap"), tmp_path / "output.jpg")
    assert any("transparency" in warning for warning in info.warnings)


def test_transparency_that_is_not_there_is_not_missed(tmp_path: Path) -> None:
    for name in ("gbrap", "gbrap16le", "ya8"):
        frame = rgb_frame(name)
        opaque = np.full_like(frame.planes[-1], (1 << frame.format.bits) - 1)
        frame = replace(frame, planes=(*frame.planes[:-1], opaque))
        assert write_image(frame, tmp_path / f"{name}.jpg").warnings == ()


def place_exif(order: str) -> bytes:
    """EXIF with a GPS directory that holds a place in words."""
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    first = struct.pack(f"{order}HHHIII", 1, 0x8825, 4, 1, 26, 0)
    gps = struct.pack(f"{order}HHHIII", 1, 0x1B, 7, 12, 44, 0)
    return head + first + gps + b"Rue de Seine"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_place_is_kept_with_a_warning_or_left_out(
    tmp_path: Path, suffix: str, order: str
) -> None:
    source = tmp_path / f"source{suffix}"
    write_image(rgb_frame(), source)
    data, exif = source.read_bytes(), place_exif(order)
    source.write_bytes(
        with_metadata(data, xmp=None, icc=b"profile", exif=exif, size=(43, 31), alpha=False)
    )
    words = {"comment": "Faces were swapped."}
    kept, bare = tmp_path / f"kept{suffix}", tmp_path / f"bare{suffix}"
    info = write_image(rgb_frame(), kept, like=source, provenance=words)
    assert b"Rue de Seine" in kept.read_bytes()
    assert any("GPS" in warning and "metadata none" in warning for warning in info.warnings)
    info = write_image(rgb_frame(), bare, like=source, provenance=words, metadata="none")
    assert b"Rue de Seine" not in bare.read_bytes()
    assert info.warnings == ()
    assert icc_profile(bare.read_bytes()) == b"profile"
    assert provenance(bare) == words["comment"]
    assert read_image(bare).size == (43, 31)


@pytest.mark.parametrize("before", [".png", ".jpg"])
@pytest.mark.parametrize("after", [".png", ".jpg"])
def test_the_resolution_in_print_is_kept(tmp_path: Path, before: str, after: str) -> None:
    source, output = tmp_path / f"source{before}", tmp_path / f"output{after}"
    write_image(rgb_frame(), source)
    data = with_metadata(
        source.read_bytes(),
        xmp=None,
        icc=None,
        size=(43, 31),
        alpha=False,
        resolution=(11811, 5906),  # 300 and 150 dots per inch
    )
    source.write_bytes(data)
    assert resolution(data) == (11811, 5906)
    for turns in (0, 1):
        frame = rgb_frame(orientation=Orientation(turns))
        write_image(frame, output, like=source, metadata="none", overwrite=True)
        assert resolution(output.read_bytes()) == ((11811, 5906), (5906, 11811))[turns]
        assert read_image(output).size == frame.size


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("name", ["gbrp", "gbrap"])
def test_marks_and_profiles_are_written(tmp_path: Path, suffix: str, name: str) -> None:
    profile = bytes(range(256)) * 300
    source = tmp_path / "source.png"
    write_image(rgb_frame(), source)
    plain = source.read_bytes()
    assert icc_profile(plain) is None
    source.write_bytes(with_metadata(plain, xmp=None, icc=profile, size=(43, 31), alpha=False))
    assert icc_profile(source.read_bytes()) == profile
    output = tmp_path / f"output{suffix}"
    words = {"comment": "Faces <were> swapped & marked."}
    write_image(rgb_frame(name), output, like=source, provenance=words)
    data = output.read_bytes()
    assert icc_profile(data) == profile
    assert SOURCE_TYPE in xmp_packet(output)
    assert provenance(output) == words["comment"]
    assert provenance(source) is None
    assert read_image(output).size == (43, 31)
    assert is_image(output)


def photograph_exif(order: str, secret: bytes, note: bytes) -> bytes:
    """EXIF that says 6 for the orientation and a date, with a maker's note and a thumbnail."""
    date = b"2020:01:01 00:00:00\0"
    # Three tags at 8, one at 50, two at 68; then the date, the note and the thumbnail.
    at = 98
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    first = struct.pack(f"{order}HHHIHH", 3, 0x112, 3, 1, 6, 0)
    first += struct.pack(f"{order}HHII", 0x132, 2, len(date), at)
    first += struct.pack(f"{order}HHII", 0x8769, 4, 1, 50) + struct.pack(f"{order}I", 68)
    own = struct.pack(f"{order}HHHIII", 1, 0x927C, 7, len(note), at + len(date), 0)
    second = struct.pack(f"{order}HHHII", 2, 0x201, 4, 1, at + len(date) + len(note))
    second += struct.pack(f"{order}HHIII", 0x202, 4, 1, len(secret), 0)
    block = head + first + own + second
    assert len(block) == at
    return block + date + note + secret


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_kept_without_what_shows_the_old_picture(
    tmp_path: Path, suffix: str, order: str
) -> None:
    secret, note = b"thumbnail of the old face", b"note with a preview"
    exif = photograph_exif(order, secret, note)
    source, output = tmp_path / f"source{suffix}", tmp_path / f"output{suffix}"
    write_image(rgb_frame(), source)
    plain = source.read_bytes()
    source.write_bytes(
        with_metadata(plain, xmp=None, icc=None, exif=exif, size=(43, 31), alpha=False)
    )
    assert exif_orientation(source.read_bytes()) == Orientation(3)
    write_image(read_image(source), output, like=source)
    data = output.read_bytes()
    assert b"2020:01:01 00:00:00" in data
    assert secret not in data
    assert note not in data
    assert exif_orientation(data) == Orientation()
    assert read_image(output).size == (31, 43)


def test_damaged_exif_is_as_good_as_none(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    write_image(rgb_frame(), source)
    plain = source.read_bytes()
    exif = photograph_exif("<", b"secret", b"maker's note")
    for cut in range(len(exif)):
        data = with_metadata(plain, xmp=None, icc=None, exif=exif[:cut], size=(43, 31), alpha=False)
        kept = exif_of_upright(data)
        assert kept is None or len(kept) == cut


def test_a_broken_profile_is_as_good_as_none(tmp_path: Path) -> None:
    body = b"ICC_PROFILE\0"
    assert icc_profile(b"\xff\xd8\xff\xe2" + struct.pack(">H", len(body) + 2) + body) is None
    source = tmp_path / "source.png"
    write_image(rgb_frame(), source)
    data, body = source.read_bytes(), b"name\0\0no deflate stream"
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body + b"0000"
    assert icc_profile(data[:33] + chunk + data[33:]) is None


def test_outputs_are_not_overwritten_unasked(tmp_path: Path) -> None:
    output = tmp_path / "output.png"
    write_image(rgb_frame(), output)
    with pytest.raises(OutputExists):
        write_image(rgb_frame(), output)
    write_image(rgb_frame(), output, overwrite=True)
    with pytest.raises(MediaError, match=r"\.png"):
        write_image(rgb_frame(), tmp_path / "output.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output.png"]
