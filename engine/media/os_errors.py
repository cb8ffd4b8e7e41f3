"""Turn what the file system refuses into errors with the file's name and the remedy."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import MediaError

# A pipe would also keep its reader waiting, perhaps for ever.
_PIPED = "and what is read must be a file, as it is read more than once; save it to a file first"
_KINDS = {
    stat.S_IFDIR: "a directory; name a video or image file in it",
    stat.S_IFIFO: f"a pipe, {_PIPED}",
    stat.S_IFSOCK: f"a socket, {_PIPED}",
    stat.S_IFCHR: f"a device, {_PIPED}",
    stat.S_IFBLK: f"a device, {_PIPED}",
}
_SHOWN = 80  # characters of a name that is itself what is wrong
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DISK = _ABSENT | _FULL | {errno.EACCES, errno.EROFS, errno.EIO, errno.ENAMETOOLONG}


def media_url(path: Path) -> str:
    """The URL under which FFmpeg opens a file, whatever its name looks like.

    A bare path such as `tcp:host/out.ts` or `12:30.mp4` would be taken for another protocol.
    """
    return f"file:{path}"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the file system says to a read of `path` into a sentence.

    Raises:
        MediaError: the file is not there, may not be read, has an impossible name, or is no file
            but a directory, a pipe, a socket or a device.
    """
    try:
        _check_kind(path)
        yield
    except MediaError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def _check_kind(path: Path) -> None:
    kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    if kind is not None:
        raise MediaError(f"{path} is {kind}.")


def read_bytes(path: Path) -> bytes:
    """The whole of a file.

    Raises:
        MediaError: the file is not there, may not be read, or has an impossible name.
    """
    with reading(path):
        return path.read_bytes()


def unreadable(path: Path, error: Exception) -> MediaError:
    """Why a file cannot be read, and what mends it."""
    reason = getattr(error, "errno", None)
    if reason in _ABSENT:
        return MediaError(f"{path} does not exist; check the path.")
    if reason in _FORBIDDEN:
        return MediaError(
            f"{path} may not be read by this user; change its permissions or those of its folder."
        )
    return MediaError(_impossible_name(path, error) or f"{path} cannot be read: {_words(error)}.")


def unwritable(path: Path, error: Exception) -> MediaError:
    """Why a file cannot be written, and what mends it."""
    reason = getattr(error, "errno", None)
    if reason in _FULL:
        return MediaError(
            f"{path} could not be written: {_words(error)}. Make room, or choose another folder."
        )
    if reason in _FORBIDDEN or reason == errno.EROFS:
        return MediaError(
            f"The folder {path.parent} cannot be written to; change its permissions or choose "
            "another."
        )
    return MediaError(
        _impossible_name(path, error) or f"{path} could not be written: {_words(error)}."
    )


def of_the_disk(error: Exception) -> bool:
    """Whether it is the file system that speaks, and not an encoder or a muxer."""
    return getattr(error, "errno", None) in _DISK


def refusal_to_grow(path: Path) -> OSError | None:
    """What the file system says where a file, which is not to be kept, cannot grow any further."""
    try:
        with path.open("ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def _impossible_name(path: Path, error: Exception) -> str | None:
    if getattr(error, "errno", None) == errno.ENAMETOOLONG:
        return f"{_shown(path)} has a name that is too long for its folder; choose a shorter one."
    if "\0" in str(path):
        return f"{_shown(path)!r} has a NUL character in its name; choose a name without."
    return None


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
