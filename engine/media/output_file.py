"""Check an output's place before any work, write beside it, and move into place at the end."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import FileIO
from pathlib import Path

from engine.errors import MediaError, OutputExists
from engine.media.os_errors import unwritable

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
# A name that `written_aside` gives: a label, eight hexadecimal digits for the host and eight by
# chance, and the output's suffix.
_ASIDE = re.compile(r"\..+\.([0-9a-f]{8})-[0-9a-f]{8}\.partial(\.\w+)", re.DOTALL)
# Seconds without a change, after which nobody writes to a file any more.
_LONG = 24 * 3600


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
        MediaError: unknown extension, no such folder, an unwritable folder, a pipe or a device, or
            one of the inputs.
        OutputExists: the file is there and `overwrite` is False.
    """
    if str(output) == "-" or _is_special(output):
        raise MediaError(
            f"The output {output} is no file, but a pipe, a device or a stream; name a file, as a "
            "result is moved into its place once it is whole."
        )
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


def _is_special(output: Path) -> bool:
    """Whether a path leads to something that is there and is neither a file nor a directory."""
    try:
        mode = output.stat().st_mode
    except (OSError, ValueError):
        return False  # what is wrong with the path is told by the checks of its place
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


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

    What killed writers left in the folder is removed first, whatever their outputs were named; but
    what a lock does not tell of, as another host's writer on a share, only after a day.

    Raises:
        MediaError: there is no room, or no right to write there.
        OutputExists: something appeared at `output` meanwhile, and `overwrite` is False.
    """
    _remove_abandoned(output.parent)
    aside, held = _name_aside(output), None
    # A signal may come as soon as the file is there, or while it is removed: once, so that of two
    # blocks that remove it, one always does.
    try:
        try:
            while (held := _create(aside, output)) is None:
                aside = _name_aside(output)
            yield aside
            _place(aside, output, overwrite=overwrite)
        finally:
            _discard(aside, held)
    finally:
        _discard(aside, held)


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


def _name_aside(output: Path) -> Path:
    """Return a name beside `output` that no other writer uses."""
    label = output.stem
    if len(os.fsencode(label)) > _LONGEST_LABEL:
        label = hashlib.sha256(os.fsencode(label)).hexdigest()[:16]
    token = f"{_host()}-{secrets.token_hex(4)}"
    return output.with_name(f".{label}.{token}.partial{output.suffix}")


def _create(aside: Path, output: Path) -> FileIO | None:
    """Create a file and hold its lock, where the system has locks.

    Returns None where another writer took the file for abandoned before it was locked.

    Raises:
        MediaError: it cannot be created.
    """
    try:
        held = FileIO(aside, "x+")
    except OSError as error:
        raise unwritable(output, error) from error
    _lock(held.fileno(), wait=True)
    if _leads_to(aside, held.fileno()):
        return held
    held.close()
    return None


def _discard(aside: Path, held: FileIO | None) -> None:
    if held is not None:
        held.close()
    aside.unlink(missing_ok=True)


def _leads_to(path: Path, held: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(held))
    except FileNotFoundError:
        return False


@cache
def _host() -> str:
    """This host's name as eight hexadecimal digits."""
    return hashlib.sha256(os.fsencode(platform.node())).hexdigest()[:8]


def _remove_abandoned(folder: Path) -> None:
    """Removes what no living writer holds; a lock ends with its process, however that ended."""
    with suppress(OSError):  # a folder that cannot be listed can still be written to
        for left in list(folder.iterdir()):
            match = _ASIDE.fullmatch(left.name)
            if match and match[2].lower() in (*VIDEO_FORMATS, *IMAGE_SUFFIXES):
                _remove_if_abandoned(left, own=match[1] == _host())


def _remove_if_abandoned(left: Path, *, own: bool) -> None:
    with suppress(OSError):
        if not stat.S_ISREG(left.lstat().st_mode):
            return  # a pipe or a link of that name is none of ours
        held = os.open(left, os.O_RDWR)
        try:
            unchanged = time.time() - os.fstat(held).st_mtime > _LONG
            locked = _lock(held)
            # Many shares keep the locks of each host to that host.
            if unchanged if locked is None else locked and (own or unchanged):
                left.unlink()
        finally:
            os.close(held)


def _lock(held: int, *, wait: bool = False) -> bool | None:
    """Take a file's lock; False where another has it, None where the system has no such locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
