"""What the file system refuses: one sentence, and nothing left behind."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import MediaError, OutputExists
from engine.media.decode import read_frames, read_image
from engine.media.encode import write_video
from engine.media.header import Bounds, check_header
from engine.media.marks import read_mark
from engine.media.output import check_output, written_aside
from engine.media.probe import probe
from engine.media.still import write_image
from tests.synth import make_clip

READERS: list[Callable[[Path], object]] = [
    probe,
    read_image,
    read_mark,
    lambda path: check_header(path, str(path), Bounds(10**6, 60)),
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
    with written_aside(output) as aside:
        aside.write_bytes(b"done")
    assert output.read_bytes() == b"done"
    assert names(tmp_path) == [output.name]


def test_what_appears_meanwhile_is_not_overwritten_unasked(tmp_path: Path) -> None:
    output = tmp_path / "output.png"
    refused = pytest.raises(OutputExists, match="exists")
    with refused, written_aside(output) as aside:
        aside.write_bytes(b"new")
        output.write_bytes(b"precious")
    assert output.read_bytes() == b"precious"
    assert names(tmp_path) == [output.name]
    with written_aside(output, overwrite=True) as aside:
        aside.write_bytes(b"new")
    assert output.read_bytes() == b"new"


def test_where_links_are_impossible_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    output = tmp_path / "output.png"
    with written_aside(output) as aside:
        aside.write_bytes(b"new")
    assert output.read_bytes() == b"new"
    with pytest.raises(OutputExists), written_aside(output) as aside:
        aside.write_bytes(b"newer")
    assert output.read_bytes() == b"new"
    assert names(tmp_path) == [output.name]


def test_only_what_a_dead_writer_left_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "[film].mp4"
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from engine.media.output import written_aside\n"
        "with written_aside(Path(sys.argv[1])) as aside:\n"
        "    aside.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    other = tmp_path / ".other.0123.partial.mp4"
    other.touch()
    with written_aside(output, overwrite=True) as first, written_aside(output) as second:
        assert set(tmp_path.iterdir()) == {first, second, other}
        assert left not in (first, second)
    assert set(tmp_path.iterdir()) == {output, other}


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow over `size` bytes; the system says "File too large" as it would of space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".nut"])
def test_a_full_disk_is_said_of_a_video(tmp_path: Path, clip: Path, suffix: str) -> None:
    output = tmp_path / f"output{suffix}"
    message = f"output{suffix} could not be written: .*Make room"
    with full_disk(2000), pytest.raises(MediaError, match=message):
        write_video(read_frames(clip), output, like=clip)
    assert names(tmp_path) == [clip.name]


def test_a_full_disk_is_said_of_a_picture(tmp_path: Path, clip: Path) -> None:
    frame = next(iter(read_frames(clip)))
    output = tmp_path / "output.png"
    with full_disk(100), pytest.raises(MediaError, match=r"output\.png could .*Make room"):
        write_image(frame, output)
    assert names(tmp_path) == [clip.name]
