"""Files that are written whole or not at all, locks between processes, and checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.errors import EngineError, WeightsError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_PAUSE: Final = 0.1  # seconds between two attempts, on systems that cannot wait for a lock


@contextmanager
def exclusive_lock(lock: Path) -> Iterator[None]:
    """Keep all other processes and threads out of the blocks with the same lock file.

    The file stays; the system releases the lock when its process ends, however it ends.

    Raises:
        WeightsError: The file cannot be written or locked.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _unwritable(lock, error) from error
    try:
        try:
            _wait_for_lock(descriptor)
        except OSError as error:
            raise _unwritable(lock, error) from error
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int) -> None:
    if sys.platform == "win32":
        while True:
            with suppress(PermissionError, BlockingIOError):
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            time.sleep(_PAUSE)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _unwritable(path: Path, error: OSError, kind: type[EngineError] = WeightsError) -> EngineError:
    return kind(
        f"{path} cannot be written: {error.strerror or error}; free disk space, or change the "
        "permissions of its folder."
    )


@contextmanager
def atomic_replacement(target: Path, kind: type[EngineError] = WeightsError) -> Iterator[Path]:
    """Yield a temporary file in the target's folder, and move it to the target at the end.

    After an error the target is as it was before.

    Raises:
        WeightsError: Or another `kind`: the folder or the file cannot be written.
    """
    with temporary_file(target, kind) as file:
        yield file
        file.replace(target)


@contextmanager
def temporary_file(target: Path, kind: type[EngineError] = WeightsError) -> Iterator[Path]:
    """Yield an empty file in the target's folder, and remove it at the end if it was not moved.

    Other errors of the block, as of a file that it reads or of a callback, go on as they are.

    Raises:
        WeightsError: Or another `kind`: the folder or the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(target, error, kind) from error
    file = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        # A signal may arrive as soon as the file is there, or while it is removed.
        try:
            try:
                file.touch(0o600, exist_ok=False)
                yield file
            finally:
                file.unlink(missing_ok=True)
        finally:
            file.unlink(missing_ok=True)
    except EngineError:
        raise
    except OSError as error:
        if error.errno in _FULL or str(error.filename) == str(file):
            raise _unwritable(target, error, kind) from error
        raise


def is_writable(folder: Path) -> bool:
    """Tell whether files can be written to a folder, which need not exist yet."""
    nearest = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def sha256_of(path: Path) -> str:
    """Return the file's sha256 in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, error: OSError) -> WeightsError:
    """Return the error of a file that exists and cannot be read."""
    return WeightsError(
        f"{path} cannot be read: {error.strerror or error}; change its permissions or those of its "
        "folder."
    )
