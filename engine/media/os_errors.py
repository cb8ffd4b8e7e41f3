"""Turn errors of the file system into `MediaError` with the file's name and a remedy."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import MediaError

# Opening a pipe could also block for ever.
_PIPED = "but an input is read more than once, so it must be a file; save it to a file first"
_KINDS = {
    stat.S_IFDIR: "a directory; name a video or image file in it",
    stat.S_IFIFO: f"a pipe, {_PIPED}",
    stat.S_IFSOCK: f"a socket, {_PIPED}",
    stat.S_IFCHR: f"a device, {_PIPED}",
    stat.S_IFBLK: f"a device, {_PIPED}",
}
_SHOWN = 80  # characters of a faulty name that an error quotes
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DISK = _ABSENT | _FULL | {errno.EACCES, errno.EROFS, errno.EIO, errno.ENAMETOOLONG}


def media_url(path: Path) -> str:
    """Return the URL with which FFmpeg opens a file of any name.

    FFmpeg would take the beginning of a bare path such as `tcp:host/out.ts` or `12:30.mp4` for a
    protocol.
    """
    return f"file:{path}"


@contextmanager
def explain_read_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system, while `path` is read, into `MediaError`.

    Raises:
        MediaError: the file does not exist, may not be read, has an invalid name, or is a
            directory, pipe, socket or device.
    """
    try:
        _check_kind(path)
        yield
    except MediaError:
        raise
    except (OSError, ValueError) as error:
        raise read_error(path, error) from error


def _check_kind(path: Path) -> None:
    kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    if kind is not None:
        raise MediaError(f"{path} is {kind}.")


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        MediaError: as `explain_read_errors` does.
    """
    with explain_read_errors(path):
        return path.read_bytes()


def read_error(path: Path, error: Exception) -> MediaError:
    """Return the error for a file that cannot be read."""
    reason = getattr(error, "errno", None)
    if reason in _ABSENT:
        return MediaError(f"{path} does not exist; check the path.")
    if reason in _FORBIDDEN:
        return MediaError(
            f"{path} may not be read by this user; change its permissions or those of its folder."
        )
    return MediaError(_invalid_name(path, error) or f"{path} cannot be read: {_reason(error)}.")


def write_error(path: Path, error: Exception) -> MediaError:
    """Return the error for a file that cannot be written."""
    reason = getattr(error, "errno", None)
    if reason in _FULL:
        return MediaError(
            f"{path} could not be written: {_reason(error)}. Make room, or choose another folder."
        )
    if reason in _FORBIDDEN or reason == errno.EROFS:
        return MediaError(
            f"The folder {path.parent} cannot be written to; change its permissions or choose "
            "another."
        )
    return MediaError(
        _invalid_name(path, error) or f"{path} could not be written: {_reason(error)}."
    )


def is_disk_error(error: Exception) -> bool:
    """Return True for an error of the file system, not of an encoder or a muxer."""
    return getattr(error, "errno", None) in _DISK


def append_error(path: Path) -> OSError | None:
    """Append to a file that will be deleted; return the error if it cannot grow."""
    try:
        with path.open("ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return None


def _invalid_name(path: Path, error: Exception) -> str | None:
    if getattr(error, "errno", None) == errno.ENAMETOOLONG:
        return f"{_shorten(path)} has a name that is too long for its folder; choose a shorter one."
    if "\0" in str(path):
        return f"{_shorten(path)!r} has a NUL character in its name; choose a name without one."
    return None


def _shorten(path: Path) -> str:
    text = str(path)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
