"""Errors of the file system: one sentence, and no file left behind."""

from __future__ import annotations

import ast
import contextlib
import errno
import fcntl
import gc
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.bounds import MediaBounds
from engine.errors import MediaError, OutputExists
from engine.media import encode as encode_module
from engine.media import output_file as output_module
from engine.media import still as still_module
from engine.media.containers import container_of
from engine.media.decode import read_frames, read_image
from engine.media.encode import write_video
from engine.media.output_check import check_video
from engine.media.output_file import check_output, partial_output
from engine.media.packet_file import EncodedPacket
from engine.media.probe import probe
from engine.media.segment_encoder import to_mux
from engine.media.still import write_image
from engine.media.untrusted import check_header
from engine.options import EncodeOptions
from tests.footage import write_png
from tests.synth import Sound, make_clip

Trace = Callable[[FrameType, str, Any], Any]

READERS: list[Callable[[Path], object]] = [
    probe,
    read_image,
    lambda path: check_header(path, str(path), MediaBounds(10**6, 60)),
]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4")


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_may_not_be_read_says_so(
    clip: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path == clip:  # as root, nothing is forbidden in earnest
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MediaError, match=r"clip\.mp4 may not be read by this user; change .*\.$"):
        read(clip)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("name", "words"), [("x" * 300 + ".png", "too long"), ("a\0b.png", "NUL character")]
)
def test_impossible_names_of_inputs_are_explained(
    tmp_path: Path, read: Callable[[Path], object], name: str, words: str
) -> None:
    with pytest.raises(MediaError, match=words):
        read(Path(name))


@pytest.mark.parametrize(
    ("name", "words"), [("x" * 300 + ".png", "too long"), ("a\0b.png", "NUL character")]
)
def test_impossible_names_of_outputs_are_explained(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        check_output(tmp_path / name)


def test_an_input_with_an_impossible_name_is_not_laid_at_the_outputs_door(tmp_path: Path) -> None:
    output = tmp_path / "output.png"
    output.touch()
    check_output(output, overwrite=True, inputs=[Path("x" * 300 + ".png")])


def test_the_longest_name_that_there_is_can_be_written(tmp_path: Path) -> None:
    output = tmp_path / ("x" * 251 + ".png")
    with partial_output(output) as aside:
        aside.write_bytes(b"done")
    assert output.read_bytes() == b"done"
    assert names(tmp_path) == [output.name]


def test_what_appears_meanwhile_is_not_overwritten_unasked(tmp_path: Path) -> None:
    output = tmp_path / "output.png"
    refused = pytest.raises(OutputExists, match="exists")
    with refused, partial_output(output) as aside:
        aside.write_bytes(b"new")
        output.write_bytes(b"precious")
    assert output.read_bytes() == b"precious"
    assert names(tmp_path) == [output.name]
    with partial_output(output, overwrite=True) as aside:
        aside.write_bytes(b"new")
    assert output.read_bytes() == b"new"


def test_where_links_are_impossible_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    output = tmp_path / "output.png"
    with partial_output(output) as aside:
        aside.write_bytes(b"new")
    assert output.read_bytes() == b"new"
    with pytest.raises(OutputExists), partial_output(output) as aside:
        aside.write_bytes(b"newer")
    assert output.read_bytes() == b"new"
    assert names(tmp_path) == [output.name]


def killed_writer(output: Path) -> Path:
    """Return the partial output of a writer of `output` that was killed."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from engine.media.output_file import partial_output\n"
        "with partial_output(Path(sys.argv[1])) as aside:\n"
        "    aside.write_bytes(b'half'); print(aside, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(output)], check=False, stdout=subprocess.PIPE, text=True
    )
    assert killed.returncode == -signal.SIGKILL
    return Path(killed.stdout.removesuffix("\n"))


@pytest.mark.parametrize("name", ["[film].mp4", "another film.mkv", "x" * 200 + ".png", "a\nb.ts"])
def test_only_what_dead_writers_left_is_removed(tmp_path: Path, name: str) -> None:
    left = killed_writer(tmp_path / name)
    assert left.exists()
    # None of these is named as what a writer leaves, or is no plain file.
    others = {
        tmp_path / f
        for f in (".other.0123.partial.mp4", ".a.01234567-89abcdef.partial.txt", "film.mp4")
    }
    for other in others:
        other.touch()
    pipe = tmp_path / ".pipe.01234567-89abcdef.partial.mp4"
    os.mkfifo(pipe)
    output = tmp_path / "[film].mp4"
    with partial_output(output, overwrite=True) as first, partial_output(output) as second:
        assert set(tmp_path.iterdir()) == {first, second, pipe, *others}
        assert left not in (first, second)
    assert set(tmp_path.iterdir()) == {output, pipe, *others}


def test_what_another_host_writes_is_removed_only_once_it_is_old(tmp_path: Path) -> None:
    left = killed_writer(tmp_path / "film.mp4")
    own = left.name.split(".")[2].split("-")[0]
    other = left.rename(left.with_name(left.name.replace(f".{own}-", ".00000000-")))
    with partial_output(tmp_path / "film.mp4"):
        assert other.exists()
    days_ago = time.time() - 3 * 24 * 3600
    os.utime(other, (days_ago, days_ago))
    with partial_output(tmp_path / "film.mp4", overwrite=True):
        assert not other.exists()


def test_without_locks_only_what_is_old_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    left = killed_writer(tmp_path / "film.mp4")
    with partial_output(tmp_path / "film.mp4"):
        assert left.exists()
    days_ago = time.time() - 3 * 24 * 3600
    os.utime(left, (days_ago, days_ago))
    with partial_output(tmp_path / "film.mp4", overwrite=True):
        assert not left.exists()


def test_a_writer_whose_file_is_taken_for_abandoned_begins_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks: list[int] = []
    lock = output_module._lock

    def remove_first(held: int, *, wait: bool = False) -> bool | None:
        if not locks:
            (begun,) = tmp_path.iterdir()
            begun.unlink()  # as another writer does that looks just now
        locks.append(held)
        return lock(held, wait=wait)

    monkeypatch.setattr(output_module, "_lock", remove_first)
    with partial_output(tmp_path / "film.mp4") as aside:
        assert aside.exists()
        aside.write_bytes(b"whole")
    assert len(locks) == 2
    assert (tmp_path / "film.mp4").read_bytes() == b"whole"


def interrupted_at(step: int, run: Callable[[], None]) -> bool:
    """Raise KeyboardInterrupt, as a signal does, before a bytecode of the writer or of contextlib.

    Returns False where `run` ended before that step.
    """
    files = (output_module.__file__, contextlib.__file__)
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Trace | None:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt as error:
        error.with_traceback(None)  # as told() does: blocks that were just entered end here
        return True
    finally:
        sys.settrace(None)
    return False


# A descriptor that was not yet held by a name is closed by its collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_leaves_nothing_wherever_it_comes(tmp_path: Path) -> None:
    output = tmp_path / "film.mp4"

    def write() -> None:
        with partial_output(output) as aside:
            aside.write_bytes(b"whole")

    step, left = 1, []
    while interrupted_at(step, write):
        if any(path != output for path in tmp_path.iterdir()):
            gc.collect()  # traced frames refer to themselves
        if any(path != output for path in tmp_path.iterdir()):
            left.append(step)
        for path in tmp_path.iterdir():
            path.unlink()
        step += 1
    assert step > 200  # from before the first line to after the last
    assert not left


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_is_no_file_is_refused(tmp_path: Path, *, overwrite: bool) -> None:
    pipe, link = tmp_path / "pipe.mp4", tmp_path / "null.mp4"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for output in (pipe, link, Path("/dev/null"), Path("-")):
        with pytest.raises(MediaError, match=r"is a pipe.*; name a file"):
            check_output(output, overwrite=overwrite)


NAMES = [
    "tcp:127.0.0.1:9977/out.ts",
    "12:30.mp4",
    "http:o6.mkv",
    "out%03d.mp4",
    "-.mp4",
    "-i.mov",
    "a\\b.nut",
    "two\nlines.mp4",
    "concat:a|b.webm",
    "pipe:1.flv",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_taken_for_a_protocol(
    tmp_path: Path, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = Path(name)
    output.parent.mkdir(exist_ok=True)
    info = write_video(read_frames(clip), output, like=clip)
    assert info.frames == len(list(read_frames(output))) == 12
    copied = Path("in", name)
    copied.parent.mkdir(parents=True)
    output.rename(copied)
    for read in READERS:
        if read is not read_image:
            read(copied)


@pytest.mark.parametrize(
    "name", ["tcp:x.png", "12:30.jpg", "out%03d.png", "-.webp", "a\\b.jpg", "a\nb.png"]
)
def test_a_pictures_name_is_never_taken_for_a_protocol(
    tmp_path: Path, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = next(iter(read_frames(clip)))
    write_image(frame, Path(name))
    assert read_image(Path(name)).size == frame.size


def test_ffmpeg_is_given_no_bare_path() -> None:
    root = Path(__file__).parents[2]
    calls = 0
    for folder in ("engine", "scripts", "benchmarks"):
        for module in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open"):
                    continue
                calls += 1
                given = ast.unparse(node.args[0])
                assert given.startswith(("media_url(", "io.BytesIO(")), f"{module}: {given}"
            # The one way to open a file with FFmpeg, so that the walk above misses none.
            assert "from av import open" not in module.read_text()
            assert "av.container.open" not in module.read_text()
    assert calls >= 5


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow over `size` bytes; the system says "File too large" as it would of space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".nut", ".avi", ".ts", ".flv"])
def test_a_full_disk_is_said_of_a_video(tmp_path: Path, clip: Path, suffix: str) -> None:
    output = tmp_path / f"output{suffix}"
    message = f"output{suffix} could not be written: .*Make room"
    with full_disk(2000), pytest.raises(MediaError, match=message):
        write_video(read_frames(clip), output, like=clip)
    assert names(tmp_path) == [clip.name]


def test_a_disk_that_fills_at_the_end_of_a_short_transport_stream_is_said(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=1, size=(32, 32))
    output = tmp_path / "output.ts"
    with full_disk(6000), pytest.raises(MediaError, match=r"could not be written: .*Make room"):
        write_video(read_frames(clip), output, like=clip)
    assert names(tmp_path) == [clip.name]


def test_a_full_disk_is_said_of_a_picture(tmp_path: Path, clip: Path) -> None:
    frame = next(iter(read_frames(clip)))
    output = tmp_path / "output.png"
    with full_disk(100), pytest.raises(MediaError, match=r"output\.png could .*Make room"):
        write_image(frame, output)
    assert names(tmp_path) == [clip.name]


def test_a_disk_that_fills_later_is_said_of_a_video(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=60, size=(160, 128))
    for suffix in (".avi", ".mp4", ".mkv"):
        output = tmp_path / f"output{suffix}"
        with full_disk(16_000), pytest.raises(MediaError, match="Make room"):
            write_video(read_frames(clip), output, like=clip, options=EncodeOptions(crf=1))
    assert names(tmp_path) == [clip.name]


def test_what_a_muxer_refuses_is_not_laid_at_the_disks_door(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(packet: EncodedPacket, stream: VideoStream) -> Packet[VideoStream]:
        return to_mux(replace(packet, dts=-packet.dts), stream)

    monkeypatch.setattr("engine.media.encode.to_mux", backwards)
    with pytest.raises(MediaError, match=r"refuses one of the streams \(.*another container"):
        write_video(read_frames(clip), tmp_path / "output.mp4", like=clip)
    assert names(tmp_path) == [clip.name]


def test_an_output_that_cannot_be_read_again_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=1, size=(32, 32))
    output = tmp_path / "output.ts"
    write_video(read_frames(clip), output, like=clip)
    assert probe(output).size == (32, 32)
    cut = lambda aside: os.truncate(aside, 100)  # noqa: E731 - as a muxer with a fault writes it
    monkeypatch.setattr(encode_module, "pad_mpegts", cut)
    before = output.read_bytes()
    with pytest.raises(MediaError, match=r"output\.ts could not .* so that it can be read back"):
        write_video(read_frames(clip), output, like=clip, overwrite=True)
    assert output.read_bytes() == before
    assert sorted(names(tmp_path)) == ["clip.mp4", "output.ts"]


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".mts"])
def test_the_shortest_transport_stream_is_readable(tmp_path: Path, suffix: str) -> None:
    sounds = [Sound("pcm_s16le", seconds=0.04)]
    clip = make_clip(tmp_path / "clip.mkv", frames=1, size=(32, 32), sounds=sounds)
    output = tmp_path / f"output{suffix}"
    write_video(read_frames(clip), output, like=clip)
    assert len(list(read_frames(output))) == 1


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_an_output_is_judged_by_the_picture_that_was_encoded(tmp_path: Path, suffix: str) -> None:
    """Of two pictures, a reader prefers the richer one, which may be one that was copied."""
    clip = two_pictures(tmp_path / f"clip{suffix}")
    output = tmp_path / f"output{suffix}"
    options = EncodeOptions(crf=45)
    write_video(read_frames(clip), output, like=clip, options=options)
    with av.open(str(output)) as container:
        assert [stream.width for stream in container.streams.video] == [192, 160]
    # A picture of the right size elsewhere in the file does not stand for it.
    with pytest.raises(MediaError, match="its first picture is 192x160"):
        check_video(
            output, output, container=container_of(output), frames=25, size=(160, 160), sounds=0
        )


def two_pictures(path: Path) -> Path:
    """Writes a clip with pictures of 192x160 and, beside them, poorer ones of 160x160."""
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as made:
        streams = []
        for width, quality in ((192, "2"), (160, "8")):
            stream = made.add_stream("libx264", rate=25, options={"bf": "0", "qp": quality})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, 160, "yuv420p"
            stream.disposition = Disposition.default
            streams.append(stream)
        for n in range(25):
            for stream in streams:
                noise = rng.integers(0, 256, (160, stream.width, 3), np.uint8)
                picture = VideoFrame.from_ndarray(noise, format="rgb24")
                picture.pts, picture.time_base = n, Fraction(1, 25)
                made.mux(stream.encode(picture))
        for stream in streams:
            made.mux(stream.encode(None))
    return path


def test_a_picture_that_cannot_be_read_again_takes_no_place(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = next(iter(read_frames(clip)))
    encoded = still_module._encode
    monkeypatch.setattr(still_module, "_encode", lambda *given: encoded(*given)[:60])
    with pytest.raises(MediaError, match=r"output\.png could not .* so that it can be read back"):
        write_image(frame, tmp_path / "output.png")
    assert names(tmp_path) == [clip.name]


def test_a_name_with_a_percent_sign_is_no_pattern_of_other_pictures(tmp_path: Path) -> None:
    for name, width in (("x%d.png", 64), ("x1.png", 128)):
        write_png(tmp_path / name, np.zeros((48, width, 3), np.uint8))
    assert read_image(tmp_path / "x%d.png").size == (64, 48)
