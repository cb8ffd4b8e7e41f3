"""The store of work files: a folder for each run, named by what the run depends on.

A run holds a shared lock on its folder, so that several processes may work on one. A folder that
nobody uses is removed after the retention time, or earlier when the store is full, the one that
was used longest ago first.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from platformdirs import user_cache_path

from engine.errors import MediaError

if sys.platform != "win32":
    import fcntl

WORK_VARIABLE: Final = "FACESWAP_ENGINE_WORK"
GIB: Final = 2**30
DAY: Final = 24 * 3600.0
DEFAULT_LIMIT: Final = 20 * GIB
RETENTION: Final = 30 * DAY
_LOCK, _ABOUT = "lock", "about.json"
_KEY: Final = re.compile(r"(analysis-)?[0-9a-f]{32}")  # other folders are not the store's


def default_work_folder() -> Path:
    """Return the folder of the work files: FACESWAP_ENGINE_WORK or one in the user's cache."""
    named = os.environ.get(WORK_VARIABLE)
    if named:
        return Path(named).absolute()
    return user_cache_path("faceswap-engine", appauthor=False) / "work"


@dataclass(frozen=True, slots=True)
class WorkEntry:
    """A folder of the store.

    Attributes:
        key: its name.
        about: what the run told of itself.
        size: bytes of its files.
        used: when it was changed last, in seconds since the epoch.
        in_use: a process works with it.
    """

    key: str
    about: Mapping[str, Any]
    size: int
    used: float
    in_use: bool


class WorkFolder:
    """The work files of one run, which is held open."""

    def __init__(self, path: Path, store: WorkStore) -> None:
        self.path = path
        self._store = store
        self.is_done = False

    @property
    def lock(self) -> Path:
        """A file that is there as long as the folder."""
        return self.path / _LOCK

    def files(self, prefix: str) -> list[Path]:
        """Return the complete files whose names begin with a prefix, sorted."""
        with suppress(OSError):
            return sorted(file for file in self.path.iterdir() if file.name.startswith(prefix))
        return []

    def create(self, name: str) -> WorkFile:
        """Return a new file, which gets its name when it is committed.

        Raises:
            OSError: The folder cannot be written.
        """
        return WorkFile(self.path / name)

    def has_room(self) -> bool:
        """Tell whether the store may grow; folders that nobody uses make room first."""
        return self._store.prune() <= self._store.limit


class WorkFile:
    """A file of a work folder, which is there as a whole after `commit`, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.file: BinaryIO = os.fdopen(descriptor, "wb")

    def commit(self) -> None:
        """Give the file its name, for good: a loss of power does not undo it.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._scratch.replace(self._path)
        _sync_folder(self._path.parent)

    def discard(self) -> None:
        """Remove the file if it was not committed."""
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self._scratch.unlink()


class WorkStore:
    """The folders of all runs.

    Args:
        folder: folder of the store, created if missing; None takes `default_work_folder()`. Only
            its owner may read it.
        limit: bytes of all work files together.
        retention: seconds for which the files of an interrupted run are kept.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        limit: int = DEFAULT_LIMIT,
        retention: float = RETENTION,
    ) -> None:
        self.folder = folder or default_work_folder()
        self.limit = limit
        self.retention = retention

    @contextmanager
    def open(
        self, key: str, about: Mapping[str, Any] | None = None, *, fresh: bool = False
    ) -> Iterator[WorkFolder]:
        """Yield the folder of a run; it is removed at the end if the run set `is_done`.

        Args:
            key: name of the folder: 32 hexadecimal digits of a digest of all that the run depends
                on, after "analysis-" for an analysis.
            about: what `entries` tells of it; None leaves what is told.
            fresh: remove what an earlier run left, unless another process works with it.

        Raises:
            MediaError: The store cannot be written.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a work folder.")
        path = self.folder / key
        try:
            if fresh:
                _remove(path)
            self.prune()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _hold(path)
        except OSError as error:
            raise MediaError(
                f"The folder of work files, {self.folder}, cannot be written: "
                f"{error.strerror or error}; name another one, or keep no work files."
            ) from error
        folder = WorkFolder(path, self)
        try:
            if about is not None:
                with suppress(OSError):
                    (path / _ABOUT).write_text(json.dumps(dict(about)), encoding="utf-8")
            yield folder
        finally:
            os.close(lock)
            if folder.is_done:
                _remove(path, own=True)

    def entries(self) -> tuple[WorkEntry, ...]:
        """Return the folders, the one that was used last first."""
        found = [_entry(path) for path in self._folders()]
        return tuple(sorted(found, key=lambda entry: -entry.used))

    def clear(self) -> tuple[WorkEntry, ...]:
        """Remove all folders that no process works with, and return them."""
        return tuple(entry for entry in self.entries() if _remove(self.folder / entry.key))

    def prune(self) -> int:
        """Remove old folders, and others until the limit is kept; return the bytes that are left.

        Folders that a process works with stay.
        """
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        for entry in reversed(entries):
            is_old = time.time() - entry.used > self.retention
            if (is_old or total > self.limit) and _remove(self.folder / entry.key):
                total -= entry.size
        return total

    def _folders(self) -> list[Path]:
        with suppress(OSError):
            return [
                path
                for path in self.folder.iterdir()
                if _KEY.fullmatch(path.name) and (path / _LOCK).is_file()
            ]
        return []


def _entry(path: Path) -> WorkEntry:
    size, used, about = 0, 0.0, {}
    with suppress(OSError):
        for file in path.iterdir():
            with suppress(OSError):  # removed meanwhile
                status = file.stat()
                size, used = size + status.st_size, max(used, status.st_mtime)
    with suppress(OSError, ValueError):
        read = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        about = read if isinstance(read, dict) else {}
    return WorkEntry(path.name, about, size, used, _is_in_use(path))


def _is_in_use(path: Path) -> bool:
    with _exclusive(path) as free:
        return free is False


def _remove(path: Path, *, own: bool = False) -> bool:
    """Remove a folder unless a process works with it; return True if it is gone.

    Where there are no locks, only what this process has used itself is known to be free, and what
    nobody has changed for a day.
    """
    with _exclusive(path) as free:
        is_old = not own and free is None and time.time() - _entry_time(path) > DAY
        gone = bool(free) or (free is None and (own or is_old))
        if gone:
            shutil.rmtree(path, ignore_errors=True)
        return gone


def _entry_time(path: Path) -> float:
    with suppress(OSError):
        return max(file.stat().st_mtime for file in path.iterdir())
    return 0.0


@contextmanager
def _exclusive(path: Path) -> Iterator[bool | None]:
    """Yield True while no other process holds a folder's lock, None where there are no locks."""
    try:
        lock = os.open(path / _LOCK, os.O_RDWR)
    except OSError:
        yield True  # there is no such folder
        return
    try:
        yield _try_lock(lock)
    finally:
        os.close(lock)


def _hold(path: Path) -> int:
    """Create a folder if it is missing, and return a descriptor that holds its shared lock."""
    while True:
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # removed by another process since
            continue
        if sys.platform != "win32":
            with suppress(OSError):  # no locks on this file system
                fcntl.flock(lock, fcntl.LOCK_SH)
        # Another process may have removed the folder before this one had the lock.
        with suppress(OSError):
            if os.path.samestat((path / _LOCK).stat(), os.fstat(lock)):
                _sync_folder(path.parent)
                return lock
        os.close(lock)


def _try_lock(descriptor: int) -> bool | None:
    """Lock a file; False if another process has the lock, None if there are no locks here."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync_folder(path: Path) -> None:
    """Wait until the names of a folder's files are on the disk."""
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
