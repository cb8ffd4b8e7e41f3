"""A file is judged by its header, and a playlist never opens the files that it names."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import av
import pytest

from engine.bounds import MediaBounds
from engine.errors import MediaError
from engine.media.metadata_blocks import claimed_size
from engine.media.untrusted import TooLarge, check_header, check_pictures
from tests.footage import write_png
from tests.synth import draw, make_clip

BOUNDS = MediaBounds(pixels=64_000_000, seconds=5)


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """Return a PNG file of a hundred bytes whose header promises any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov"])
def test_a_clip_within_the_bounds_passes(tmp_path: Path, name: str) -> None:
    check_header(make_clip(tmp_path / name), "target", BOUNDS)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_picture_within_the_bounds_passes(tmp_path: Path, suffix: str) -> None:
    picture = write_png(tmp_path / f"picture{suffix}", draw(0, (64, 48)))
    check_header(picture, "source_image", BOUNDS)
    with pytest.raises(MediaError, match=r"64 x 48|at most 3,071 pixels"):
        check_header(picture, "source_image", MediaBounds(pixels=64 * 48 - 1, seconds=5))


@pytest.mark.parametrize("side", [100_000, 8_001])
def test_a_picture_of_too_many_pixels_is_refused_unread(tmp_path: Path, side: int) -> None:
    picture = png_that_claims(tmp_path / "huge.png", side, side)
    with pytest.raises(TooLarge, match=f"source_image has {side} x {side} pixels; allowed"):
        check_header(picture, "source_image", BOUNDS)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        (b"iCCP", b"profile\0\0"),
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"Comment\0\1\0en\0Comment\0"),
    ],
)
def test_a_png_whose_extras_unpack_without_end_is_refused(
    tmp_path: Path, name: bytes, before: bytes
) -> None:
    picture = write_png(tmp_path / "picture.png", draw(0, (64, 48)))
    plain = picture.read_bytes()
    for size, fits in ((1 << 20, True), (1 << 25, False)):
        body = before + zlib.compress(bytes(size))
        chunk = struct.pack(">I", len(body)) + name + body
        # Before the last chunk, which has twelve bytes: the whole file is looked through.
        picture.write_bytes(
            plain[:-12] + chunk + struct.pack(">I", zlib.crc32(name + body)) + plain[-12:]
        )
        if fits:
            check_header(picture, "source_image", BOUNDS)
        else:
            with pytest.raises(TooLarge, match="save it without them"):
                check_header(picture, "source_image", BOUNDS)


def test_a_codec_that_nobody_needs_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", codec="cinepak", pix_fmt="rgb24")
    with pytest.raises(MediaError, match="target is encoded as cinepak"):
        check_header(clip, "target", BOUNDS)
    clip = make_clip(tmp_path / "clip.mov", codec="png", pix_fmt="rgb24")
    with pytest.raises(MediaError, match="target is encoded as png"):
        check_header(clip, "target", BOUNDS)


def test_a_jpeg_claims_its_size(tmp_path: Path) -> None:
    picture = write_png(tmp_path / "picture.jpg", draw(0, (64, 48)))
    assert claimed_size(picture.read_bytes()) == (64, 48)
    assert claimed_size(picture.read_bytes()[:20]) is None


def test_a_long_clip_is_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "long.mp4", frames=6, fps=1)
    with pytest.raises(TooLarge, match="target lasts 6 seconds; allowed: at most 5"):
        check_header(clip, "target", BOUNDS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n"),
        ("passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("page.html", "<html></html>"),
    ],
)
def test_what_only_names_other_files_is_refused(tmp_path: Path, name: str, text: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    playlist = tmp_path / name
    playlist.write_text(text.format(clip=clip), encoding="utf-8")
    with pytest.raises(MediaError, match="target is not a video or an image"):
        check_header(playlist, "target", BOUNDS)


def unclosed_stream(clip: Path, path: Path) -> Path:
    """Return the clip as a stream that was never closed: Matroska without a duration."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    with (
        av.open(str(clip)) as given,
        av.open(pipe, "w", format="matroska", options={"live": "1"}) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
        written = pipe.getvalue()
    path.write_bytes(written or pipe.getvalue())
    return path


def with_false_duration(clip: Path) -> Path:
    """Return the MP4 clip, whose boxes say now that it lasts a second."""
    content = bytearray(clip.read_bytes())
    for box in (b"mvhd", b"mdhd"):
        at = content.find(box) + 16
        content[at + 4 : at + 8] = content[at : at + 4]
    at = content.find(b"edts")
    content[at : at + 4] = b"free"
    clip.write_bytes(content)
    return clip


def test_a_clip_that_does_not_say_its_length_is_measured(tmp_path: Path) -> None:
    raw = make_clip(tmp_path / "raw.h264", frames=150)
    stream = unclosed_stream(make_clip(tmp_path / "clip.mp4", frames=150), tmp_path / "live.mkv")
    for clip in (raw, stream):
        check_header(clip, "target", MediaBounds(pixels=10_000, seconds=7))
        check_pictures(clip, "target", MediaBounds(pixels=10_000, seconds=7))
        with pytest.raises(TooLarge, match="target lasts too long"):
            check_header(clip, "target", BOUNDS)


def test_a_clip_that_lies_about_its_length_is_found_out(tmp_path: Path) -> None:
    clip = with_false_duration(make_clip(tmp_path / "clip.mp4", frames=150))
    check_header(clip, "target", BOUNDS)
    with pytest.raises(TooLarge, match="target lasts too long; allowed: at most 5 s"):
        check_pictures(clip, "target", BOUNDS)


def test_a_second_holds_only_so_many_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=130, fps=1000)
    with pytest.raises(TooLarge, match="of 120 frames each"):
        check_pictures(clip, "target", MediaBounds(pixels=10_000, seconds=1))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".h264", "libx264"),
        (".hevc", "libx265"),
        (".mjpeg", "mjpeg"),
        (".obu", "libsvtav1"),
        (".ivf", "libvpx-vp9"),
        (".ivf", "libvpx"),
    ],
)
def test_a_video_whose_pictures_grow_is_found_out(tmp_path: Path, suffix: str, codec: str) -> None:
    how: dict[str, Any] = {"codec": codec}
    how["pix_fmt"] = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    small = make_clip(tmp_path / f"small{suffix}", **how).read_bytes()
    large = make_clip(tmp_path / f"large{suffix}", size=(640, 480), frames=3, **how).read_bytes()
    clip = tmp_path / f"clip{suffix}"
    clip.write_bytes(small + (large[32:] if suffix == ".ivf" else large))
    check_pictures(clip, "target", MediaBounds(pixels=640 * 480, seconds=5))
    check_header(clip, "target", MediaBounds(pixels=10_000, seconds=5))
    with pytest.raises(TooLarge, match="target has a picture of more pixels than allowed"):
        check_pictures(clip, "target", MediaBounds(pixels=10_000, seconds=5))


def test_damage_is_no_matter_of_size(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=40)
    content = bytearray(clip.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    clip.write_bytes(content)
    check_pictures(clip, "target", BOUNDS)
    for suffix in (".png", ".jpg", ".webp"):
        picture = write_png(tmp_path / f"picture{suffix}", draw(0, (64, 48)))
        check_pictures(picture, "source_image", BOUNDS)
