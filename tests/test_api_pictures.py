"""Swaps of pictures and frames in memory, by the embedded networks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import Engine
from engine.media.decode import read_frames, read_image
from engine.media.encode import write_video
from engine.options import EncodeOptions
from engine.pipeline.pictures import picture_file, picture_frame, video_frames
from engine.values import Bytes
from tests.footage import STRANGER, TWO, asset, picture, write_clip, write_png

SOURCE = asset(STRANGER)


class Pillow:
    """Methods of `PIL.Image.Image` that the engine uses."""

    def __init__(self, pixels: Bytes, orientation: int | None = None) -> None:
        self._pixels = pixels
        self._exif = {} if orientation is None else {0x0112: orientation}

    def getexif(self) -> dict[int, int]:
        return self._exif

    def convert(self, mode: str) -> Bytes:
        assert mode == "RGB"
        return self._pixels


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO))


@pytest.fixture(scope="module")
def expected(warm: Engine, target: Path) -> Bytes:
    """The swap from file to file."""
    output = target.with_name("swapped.png")
    warm.swap(SOURCE, target, output, face_selector_mode="many")
    return read_image(output).to_rgb()


@pytest.mark.parametrize("form", ["array", "pillow", "bytes", "path"])
def test_a_swap_in_memory_has_the_pixels_of_one_through_files(
    warm: Engine, target: Path, expected: Bytes, form: str
) -> None:
    pixels = read_image(target).to_rgb()
    pictures: dict[str, Any] = {
        "array": pixels,
        "pillow": Pillow(pixels),
        "bytes": target.read_bytes(),
        "path": target,
    }
    before = pixels.copy()
    swapped = warm.swap_image(SOURCE, pictures[form], face_selector_mode="many")
    assert swapped.dtype == np.uint8
    assert np.array_equal(swapped, expected)
    assert np.array_equal(pixels, before)
    assert not np.array_equal(swapped, before)


def test_a_source_in_memory_is_as_good_as_a_file(target: Path, expected: Bytes) -> None:
    for source in (SOURCE.read_bytes(), read_image(SOURCE).to_rgb()):
        swapped = engine.swap_image(source, target, face_selector_mode="many", device="cpu")
        if isinstance(source, bytes):
            assert np.array_equal(swapped, expected)
        assert np.abs(swapped.astype(int) - expected).mean() < 0.5


def test_the_reference_is_looked_for_in_the_picture_itself(warm: Engine, target: Path) -> None:
    output = target.with_name("one.png")
    choice: Any = {"face_selector_order": "left-right", "reference_face_position": 1}
    warm.swap(SOURCE, target, output, **choice)
    swapped = warm.swap_image(SOURCE, target, **choice)
    assert np.array_equal(swapped, read_image(output).to_rgb())


def test_frames_are_swapped_as_those_of_a_video(warm: Engine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 480, 40))
    frames = [frame.to_rgb() for frame in read_frames(clip)]
    rgb: Any = {"video_codec": "ffv1", "pixel_format": "bgr0"}
    lossless = tmp_path / "lossless.mkv"
    write_video(
        video_frames(frames, 25),
        lossless,
        like=clip,
        options=EncodeOptions(codec="ffv1", pixel_format="bgr0"),
    )
    output = tmp_path / "out.mkv"
    choice: Any = {"face_selector_mode": "many", "detect_every": 4}
    warm.swap(SOURCE, lossless, output, **choice, **rgb)
    swapped = list(warm.swap_frames(SOURCE, iter(frames), frame_rate=25, **choice))
    assert len(swapped) == len(frames)
    for one, other in zip(swapped, read_frames(output), strict=True):
        assert np.array_equal(one, other.to_rgb())


def test_frames_may_be_left_before_their_end(warm: Engine) -> None:
    shown = picture(TWO)
    swapped = warm.swap_frames(SOURCE, (shown for _ in range(1000)), reference_frame_number=2)
    assert next(swapped).shape == shown.shape
    swapped.close()


def test_closing_ends_the_threads_and_the_frames(warm: Engine) -> None:
    closed = list[bool]()

    def film() -> Iterator[Bytes]:
        try:
            while True:
                yield picture(TWO)
        finally:
            closed.append(True)

    frames, before = film(), set(threading.enumerate())
    swapped = warm.swap_frames(SOURCE, frames, face_selector_mode="many")
    next(swapped)
    swapped.close()
    assert closed == [True]
    assert not [one for one in set(threading.enumerate()) - before if one.is_alive()]


def test_closing_before_the_first_frame_closes_the_frames(warm: Engine) -> None:
    closed = list[bool]()

    def film() -> Iterator[Bytes]:
        try:
            yield picture(TWO)
            yield picture(TWO)
        finally:
            closed.append(True)

    # In reference mode the first frame is read at once.
    warm.swap_frames(SOURCE, film()).close()
    assert closed == [True]
    unread = film()
    warm.swap_frames(SOURCE, unread, face_selector_mode="many").close()
    assert list(unread) == []


@pytest.mark.parametrize("layout", ["rows", "channels"])
def test_a_buffer_may_be_used_again_for_the_next_frame(layout: str) -> None:
    shape = (4, 6, 3) if layout == "rows" else (3, 4, 6)
    memory = np.zeros(shape, np.uint8)
    buffer = memory if layout == "rows" else memory.transpose(1, 2, 0)

    def film() -> Iterator[Bytes]:
        for value in range(5):
            buffer[:] = value
            yield buffer

    frames = list(video_frames(film(), 25))
    assert [frame.to_rgb().max() for frame in frames] == list(range(5))


def test_an_image_with_an_orientation_is_turned_upright() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    upright = picture_frame("target", Pillow(pixels, 6)).to_rgb()
    assert np.array_equal(upright, np.rot90(pixels, -1))
    with picture_file("source_image", Pillow(pixels, 6)) as path:
        assert np.array_equal(read_image(path).to_rgb(), upright)
    for unknown in (None, 0, 1, 9):
        assert np.array_equal(picture_frame("target", Pillow(pixels, unknown)).to_rgb(), pixels)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            (SOURCE, np.zeros((8, 8), np.uint8)),
            r"target is an array of uint8 \(8, 8\); allowed",
        ),
        ((np.zeros((8, 8, 3), np.float32), SOURCE), "source_image is an array of float32"),
        ((SOURCE, np.zeros((0, 8, 3), np.uint8)), "target is an array without pixels"),
        ((SOURCE, 3), "target is 3; allowed: a path, the bytes"),
        ((None, SOURCE), "source_image is None; allowed: a path, the bytes"),
        ((SOURCE, "https://example.org/a.png"), "target is 'https.*no network"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(
    warm: Engine, arguments: tuple[Any, Any], words: str
) -> None:
    with pytest.raises(engine.ParameterError, match=words):
        warm.swap_image(*arguments)


def test_bytes_that_are_no_image_are_an_error_of_media(warm: Engine) -> None:
    with pytest.raises(engine.MediaError, match="target"):
        warm.swap_image(SOURCE, b"no image")


def test_errors_about_bytes_name_the_argument_and_no_temporary_file(warm: Engine) -> None:
    blank = np.full((64, 64, 3), 90, np.uint8)
    for source, target, field in (
        (SOURCE, b"no image", "target"),
        (b"no image", blank, "source_image"),
        (blank, blank, "source_image"),
    ):
        with pytest.raises(engine.EngineError, match=field) as caught:
            warm.swap_image(source, target)
        assert "faceswap-engine-" not in str(caught.value)


def test_a_video_is_no_picture(warm: Engine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 120, 40))
    with pytest.raises(engine.ParameterError, match=r"target is a video; swap it by engine\.swap"):
        warm.swap_image(SOURCE, clip)


def test_parameters_of_files_are_not_ignored_in_silence(warm: Engine, target: Path) -> None:
    with pytest.raises(engine.ParameterError, match="crf, start cannot be used on pictures"):
        warm.swap_image(SOURCE, target, crf=20, start=1)


def test_frames_are_checked_before_they_are_swapped(warm: Engine) -> None:
    shown = picture(TWO)
    with pytest.raises(engine.ParameterError, match=r"frames\[1\] has the size"):
        list(warm.swap_frames(SOURCE, [shown, shown[:-2]], face_selector_mode="many"))
    with pytest.raises(engine.ParameterError, match=r"frames\[0\] is 'a.png'; allowed: an array"):
        warm.swap_frames(SOURCE, ["a.png"])  # type: ignore[list-item]
    with pytest.raises(engine.ParameterError, match="frame_rate is 0; allowed"):
        warm.swap_frames(SOURCE, [shown], frame_rate=0)
    for rate in ("25", True, None):
        with pytest.raises(engine.ParameterError, match=r"frame_rate is .*; allowed"):
            warm.swap_frames(SOURCE, [shown], frame_rate=rate)  # type: ignore[arg-type]
    for frames in (3, "film.mp4", None):
        with pytest.raises(engine.ParameterError, match=r"frames is .*; allowed"):
            warm.swap_frames(SOURCE, frames)  # type: ignore[arg-type]
    with pytest.raises(engine.ParameterError, match="number is 3, and frames has 1 frames"):
        warm.swap_frames(SOURCE, [shown], reference_frame_number=3)


def test_the_content_check_is_on(warm: Engine, target: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("engine.trust.content.LIMIT", 0.0)
    with pytest.raises(engine.ContentBlocked):
        warm.swap_image(SOURCE, target)
    assert warm.swap_image(SOURCE, target, content_check=False).shape == picture(TWO).shape
