"""Files that are whole or not there, and what they hold by checksum."""

from __future__ import annotations

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

_PAUSE: Final = 0.1  # seconds between two tries, where the system cannot wait by itself


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Waits until no other process and no other thread is in the block with the same lock file.

    The file stays; the system lets go of it when its process ends, however that ends.

    Raises:
        WeightsError: the file cannot be written or locked.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _unwritable(lock, error) from error
    try:
        try:
            _hold(held)
        except OSError as error:
            raise _unwritable(lock, error) from error
        yield
    finally:
        os.close(held)


def _hold(held: int) -> None:
    if sys.platform == "win32":
        while True:
            with suppress(PermissionError, BlockingIOError):
                msvcrt.locking(held, msvcrt.LK_NBLCK, 1)
                return
            time.sleep(_PAUSE)
    else:
        fcntl.flock(held, fcntl.LOCK_EX)


def _unwritable(path: Path, error: OSError, kind: type[EngineError] = WeightsError) -> EngineError:
    return kind(f"{path} cannot be written: {error.strerror or error}.")


@contextmanager
def replacing(target: Path, kind: type[EngineError] = WeightsError) -> Iterator[Path]:
    """A scratch file in the target's folder, which takes the target's place at the end.

    Raises:
        WeightsError: or another `kind`: the folder or the file cannot be written. Then, and after
            an error within, what was there before is there still.
    """
    with scratch_beside(target, kind) as scratch:
        yield scratch
        scratch.replace(target)


@contextmanager
def scratch_beside(target: Path, kind: type[EngineError] = WeightsError) -> Iterator[Path]:
    """A scratch file in the target's folder, which is gone at the end if it was not moved.

    Raises:
        WeightsError: or another `kind`: the folder or the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        # A signal may come as soon as the file is there, or while it is removed.
        try:
            try:
                scratch.touch(0o600, exist_ok=False)
                yield scratch
            finally:
                scratch.unlink(missing_ok=True)
        finally:
            scratch.unlink(missing_ok=True)
    except EngineError:
        raise
    except OSError as error:
        raise _unwritable(target, error, kind) from error


def writable(folder: Path) -> bool:
    """Whether files can be written in a folder, or it can be made."""
    nearest = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def sha256_of(path: Path) -> str:
    """The file's sha256 in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, error: OSError) -> WeightsError:
    """The error of a file that is there and cannot be read."""
    return WeightsError(
        f"{path} cannot be read: {error.strerror or error}; change its permissions or those of its "
        "folder."
    )
