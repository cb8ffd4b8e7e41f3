"""Files that are cut off, are no media, or change midway are reported as such."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.bounds import MediaBounds
from engine.errors import MediaError
from engine.media.decode import read_frame, read_frames, read_image
from engine.media.encode import write_video
from engine.media.probe import first_picture, is_image, open_media, probe
from engine.media.pyav import codec_of
from engine.media.untrusted import check_header, check_pictures
from tests.media.looks import kinds, seconds
from tests.synth import Sound, draw, make_clip


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_that_only_lacks_its_last_marker_is_whole(tmp_path: Path, progressive: int) -> None:
    whole, bare = tmp_path / "whole.jpg", tmp_path / "bare.jpg"
    cv2.imwrite(str(whole), draw(0, (256, 192)), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])
    bare.write_bytes(whole.read_bytes().removesuffix(b"\xff\xd9"))
    assert bare.stat().st_size == whole.stat().st_size - 2
    check_pictures(bare, "it", MediaBounds(10**6, 60))
    said: list[str] = []
    frame, same = read_image(bare, warn=said.append), read_image(whole, warn=said.append)
    assert all(np.array_equal(*both) for both in zip(frame.planes, same.planes, strict=True))
    assert said == []


# Where a picture is read: as a source, as a target, by its number, and for strangers.
READERS: tuple[Callable[[Path], object], ...] = (
    read_image,
    lambda path: list(read_frames(path)),
    lambda path: read_frame(path, 1),
    probe,
    lambda path: check_pictures(path, str(path), MediaBounds(10**6, 60)),
)


@pytest.mark.parametrize("part", [0.4, 0.75, 0.97])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 0]),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".png", []),
        (".webp", []),
        (".tiff", []),
        (".bmp", []),
    ],
)
def test_a_cut_picture_is_refused_by_every_reader(
    tmp_path: Path, suffix: str, options: list[int], part: float
) -> None:
    path = tmp_path / f"cut{suffix}"
    cv2.imwrite(str(path), draw(0, (256, 192)), options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    for read in READERS:
        with pytest.raises(MediaError) as raised:
            read(path)
        assert str(raised.value).startswith(str(path))
        assert "truncated" in str(raised.value)


def test_only_a_missing_index_is_called_missing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20)
    data = clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"index \(moov\) is missing"):
        probe(cut)
    broken = tmp_path / "broken.mp4"
    place = data.index(b"moov")
    broken.write_bytes(data[: place + 4] + bytes(len(data) - place - 4))
    with pytest.raises(MediaError) as raised:
        probe(broken)
    assert "moov" not in str(raised.value)


@pytest.fixture(params=["pipe", "socket", "device", "directory"])
def no_file(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, str]]:
    path = tmp_path / "in.mp4"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "directory":
        path.mkdir()
    elif request.param == "device":
        path.symlink_to(os.devnull)
    else:
        monkeypatch.chdir(tmp_path)  # a socket's name must be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
            yield path, "a socket, .* save it to a file first"
        return
    remedy = "name a video" if request.param == "directory" else "save it to a file first"
    yield path, f"a {request.param}.* {remedy}"


def test_what_is_no_file_is_refused_at_once(no_file: tuple[Path, str]) -> None:
    path, said = no_file
    bounds = MediaBounds(pixels=1 << 20, seconds=1)
    for read in (
        probe,
        is_image,
        read_image,
        lambda path: list(read_frames(path)),
        lambda path: read_frame(path, 1),
        lambda path: check_header(path, "it", bounds),
    ):
        with pytest.raises(MediaError, match=said):
            read(path)


def test_a_size_that_changes_is_scaled_to_the_first(tmp_path: Path) -> None:
    parts = [
        make_clip(tmp_path / f"{n}.h264", size=size, frames=10)
        for n, size in enumerate([(64, 48), (32, 48), (64, 48)])
    ]
    target = tmp_path / "target.h264"
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    said: list[str] = []
    frames = list(read_frames(target, warn=said.append))
    assert {frame.coded_size for frame in frames} == {(64, 48)}
    (sentence,) = [one for one in said if "changes its size" in one]
    assert "at frame 11, from 64x48 to 32x48" in sentence
    shown, again = frames[3].planes[0], frames[13].planes[0]
    assert np.abs(shown.astype(int) - again.astype(int)).mean() < 60
    output = tmp_path / "output.mp4"
    assert write_video(read_frames(target), output, like=target).frames == len(frames)
    assert len(set(seconds(output))) == len(frames)


class Unreadable:
    """A file whose first packet cannot be read."""

    def demux(self, _: object) -> Iterator[Packet[VideoStream]]:
        """Refuse to read."""
        raise av.InvalidDataError(1, "Invalid data")
        yield


def test_a_file_without_a_packet_that_can_be_read_holds_no_picture(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=3)
    with open_media(clip) as container:
        stream = container.streams.video[0]
        with pytest.raises(MediaError, match="contains no picture that can be decoded"):
            first_picture(cast("InputContainer", Unreadable()), stream, clip)


def test_a_decoder_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """PyAV 19 answers the second packet with a ValueError."""
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=3)
    with av.open(str(clip)) as container:
        parameters = container.streams.video[0].codec_context.extradata
    assert parameters
    clip.write_bytes(clip.read_bytes().replace(parameters, bytes(len(parameters))))
    with pytest.raises(MediaError, match="contains no picture that can be decoded"):
        probe(clip)
    with pytest.raises(MediaError, match="contains no picture that can be decoded"):
        list(read_frames(clip))


def test_damage_of_the_last_packet_is_told(tmp_path: Path) -> None:
    """A decoder with threads meets it when there are no more packets, and says nothing."""
    clip = make_clip(tmp_path / "clip.mkv", frames=8)
    with av.open(str(clip)) as container:
        last = [bytes(packet) for packet in container.demux(video=0) if packet.size][-1]
    data = clip.read_bytes()
    assert data.count(last) == 1
    clip.write_bytes(data.replace(last, last[:4] + b"\xff" * (len(last) - 4)))
    said: list[str] = []
    read = len(list(read_frames(clip, warn=said.append)))
    assert read < 8
    assert any(f"{read} of 8 frames could be decoded" in sentence for sentence in said)


def test_pictures_behind_the_last_damaged_packet_are_read(tmp_path: Path) -> None:
    """A decoder with threads meets it when there are no more packets, and gives up."""
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", options={"g": "1"}, frames=8)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert all(packet.is_keyframe for packet in packets)
        damaged = bytes(packets[-2])
    data = clip.read_bytes()
    assert data.count(damaged) == 1
    clip.write_bytes(data.replace(damaged, b"\xff" * len(damaged)))
    said: list[str] = []
    frames = list(read_frames(clip, warn=said.append))
    assert [frame.pts for frame in frames] == [
        packet.pts for packet in packets if packet.pts != packets[-2].pts
    ]
    assert any("1 packets could not be decoded" in sentence for sentence in said)


def test_a_stream_of_an_unknown_codec_has_no_name() -> None:
    class Context:
        @property
        def codec(self) -> None:
            raise UnknownCodecError

    class Stream:
        codec_context = Context()

    assert codec_of(cast("Any", Stream())) == ""


def test_sound_of_no_known_format_is_left_out_by_name(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", sounds=[Sound("aac")])
    target.write_bytes(target.read_bytes().replace(b"A_AAC", b"A_DTS"))
    output = tmp_path / "output.webm"
    info = write_video(read_frames(target), output, like=target)
    assert kinds(output) == ["video"]
    assert any("(dts, eng) is left out" in warning for warning in info.warnings)


@pytest.mark.parametrize("lost", [(5,), (20, 21)])
@pytest.mark.parametrize("late", [0, 8])  # with the head of the next packet
def test_avi_is_in_time_again_at_the_key_frame_after_damage(
    tmp_path: Path, lost: tuple[int, ...], late: int
) -> None:
    options = {"bf": "3", "b-adapt": "0", "g": "15", "sc_threshold": "0"}
    clip = make_clip(
        tmp_path / "clip.avi",
        pts=range(60),
        time_base=Fraction(1, 25),
        options=options,
        paint=shaded_picture,
    )
    assert painted_numbers(clip) == [(n, n) for n in range(60)]
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        found = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert all(data.count(packet) == 1 for packet in found)
    for number in lost:
        place = clip.read_bytes().index(found[number]) + late
        data[place : place + len(found[number])] = bytes(len(found[number]))
    clip.write_bytes(data)
    read = painted_numbers(clip)
    assert len(read) < 60
    after = 30 if lost[0] >= 15 else 15
    assert [pair for pair in read if pair[0] >= after] == [(n, n) for n in range(after, 60)]


def shaded_picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture of one shade below a strip of noise, which no two have alike."""
    width, height = size
    picture = np.full((height, width, 3), 4 * number, np.uint8)
    picture[:8] = np.random.default_rng(number).integers(0, 256, (8, width, 3), np.uint8)
    return picture


def painted_numbers(clip: Path) -> list[tuple[int, int]]:
    """Return the number by its time, and the one painted, of each picture of a clip."""
    return [
        (
            round(frame.pts * frame.time_base * 25),
            round((float(frame.planes[0][24:].mean()) - 16) / 3.44),
        )
        for frame in read_frames(clip)
    ]


def test_a_picture_behind_a_film_is_refused_at_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mov", frames=3)
    picture = box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(
        b"meta", bytes(4) + box(b"iinf", bytes(6))
    )
    clip.write_bytes(clip.read_bytes() + picture)
    with pytest.raises(MediaError, match="a HEIF image follows its video"):
        probe(clip)


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def test_a_film_cut_within_its_index_is_refused_or_read(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "clip.mp4", codec="libx265", frames=3).read_bytes()
    cut = tmp_path / "cut.mp4"
    for left_out in range(1, 700):
        cut.write_bytes(whole[:-left_out])
        with suppress(MediaError):
            probe(cut)
