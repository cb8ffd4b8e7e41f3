"""Where results go: checked before any work, written beside, moved into place at the end."""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import MediaError, OutputExists
from engine.media.files import unwritable

if sys.platform != "win32":
    import fcntl

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
VIDEO_FORMATS = {
    ".avi": "avi",
    ".flv": "flv",
    ".m2ts": "mpegts",
    ".m4v": "mp4",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp4": "mp4",
    ".mts": "mpegts",
    ".nut": "nut",
    ".ts": "mpegts",
    ".webm": "webm",
}
_LONGEST_LABEL = 150  # bytes; most file systems take names of 255, some of 143


@dataclass(frozen=True, slots=True)
class WrittenInfo:
    """What was written, and in sentences what could not be carried over as it was."""

    frames: int
    size: tuple[int, int]
    codec: str
    pixel_format: str
    warnings: tuple[str, ...]


def check_output(output: Path, *, overwrite: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Whether a result could be written there, said before any work is done.

    Raises:
        MediaError: unknown extension, no such folder, an unwritable folder, or one of the inputs.
        OutputExists: the file is there and `overwrite` is False.
    """
    suffix = output.suffix.lower()
    if suffix not in VIDEO_FORMATS and suffix not in IMAGE_SUFFIXES:
        known = ", ".join(sorted((*VIDEO_FORMATS, *IMAGE_SUFFIXES)))
        raise MediaError(f"The output {output} must end in one of {known}.")
    try:
        _check_place(output, inputs)
        exists = os.path.lexists(output)
    except MediaError:
        raise
    except (OSError, ValueError) as error:
        raise unwritable(output, error) from error
    if exists and not overwrite:
        raise _exists(output)


def _check_place(output: Path, inputs: Sequence[Path]) -> None:
    folder = output.parent
    if not folder.is_dir():
        raise MediaError(f"The folder of the output, {folder}, does not exist; make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(
            f"The folder of the output, {folder}, cannot be written to; change its permissions or "
            "choose another."
        )
    try:
        # Unlike Path.exists, this says so where a name is too long or impossible.
        output.lstat()
    except FileNotFoundError:
        return
    if output.is_dir():
        raise MediaError(f"The output {output} is a directory; name a file.")
    for source in inputs:
        if _same(output, source):
            raise MediaError(f"The output {output} is also an input; choose another name.")


def _same(output: Path, source: Path) -> bool:
    try:
        return output.samefile(source)
    except (OSError, ValueError):
        return False  # a source that cannot be reached is told by whoever reads it


@contextmanager
def written_aside(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A path beside `output` to write to; moved onto it at the end, removed on any exception.

    What writers of the same output left behind that were killed is removed first.

    Raises:
        MediaError: there is no room, or no right to write there.
        OutputExists: something appeared at `output` meanwhile, and `overwrite` is False.
    """
    label = output.stem
    if len(os.fsencode(label)) > _LONGEST_LABEL:
        label = hashlib.sha256(os.fsencode(label)).hexdigest()[:16]
    _remove_abandoned(output, label)
    aside = output.with_name(f".{label}.{secrets.token_hex(4)}.partial{output.suffix}")
    try:
        held = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise unwritable(output, error) from error
    try:
        _lock(held)
        yield aside
        _place(aside, output, overwrite=overwrite)
    finally:
        os.close(held)
        aside.unlink(missing_ok=True)


def _place(aside: Path, output: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            # Unlike a move, a link never replaces what is there.
            os.link(aside, output)
        except FileExistsError:
            raise _exists(output) from None
        except OSError:  # not every file system has links
            if os.path.lexists(output):
                raise _exists(output) from None
        else:
            return
    try:
        aside.replace(output)
    except OSError as error:
        raise unwritable(output, error) from error


def _exists(output: Path) -> OutputExists:
    return OutputExists(
        f"{output} exists; choose another name or overwrite it (`--overwrite`, `overwrite=True`)."
    )


def _remove_abandoned(output: Path, label: str) -> None:
    """Removes what no living writer holds; a lock ends with its process, however that ended."""
    for left in output.parent.glob(f".{glob.escape(label)}.*.partial{glob.escape(output.suffix)}"):
        with suppress(OSError):
            held = os.open(left, os.O_RDWR)
            try:
                if _lock(held):
                    left.unlink()
            finally:
                os.close(held)


def _lock(held: int) -> bool:
    """Takes a file's lock; False where another has it or the system knows no such locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
