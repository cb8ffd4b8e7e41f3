"""Check an output's path, write a partial output beside it, and rename it at the end."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import stat
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import FileIO
from pathlib import Path

from engine.errors import MediaError, OutputExists
from engine.media.containers import VIDEO_CONTAINERS
from engine.media.os_errors import write_error

if sys.platform != "win32":
    import fcntl

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
_LONGEST_LABEL = 150  # bytes; most file systems allow names of 255 bytes, some of 143
# Name of a partial output: a label, eight hexadecimal digits for the host, eight random ones, and
# the output's suffix.
_PARTIAL = re.compile(r"\..+\.([0-9a-f]{8})-[0-9a-f]{8}\.partial((?:\.\w+)?)", re.DOTALL)
# Seconds without a change after which a partial output counts as abandoned.
_ABANDONED = 24 * 3600


@dataclass(frozen=True, slots=True)
class WrittenInfo:
    """Facts about a written file.

    `size` is (width, height) as coded, `codec` and `pixel_format` are FFmpeg's names, and
    `warnings` are sentences about what differs from the target.
    """

    frames: int
    size: tuple[int, int]
    codec: str
    pixel_format: str
    warnings: tuple[str, ...]


def check_output(
    output: Path,
    *,
    overwrite: bool = False,
    inputs: Sequence[Path] = (),
    suffixes: Collection[str] | None = (*VIDEO_CONTAINERS, *IMAGE_SUFFIXES),
) -> None:
    """Check before any work that an output can be written; None allows any suffix.

    Raises:
        MediaError: unknown extension, no such folder, a folder that cannot be written to, a pipe
            or a device, or one of the inputs.
        OutputExists: the file is there and `overwrite` is False.
    """
    if str(output) == "-" or _is_special(output):
        raise MediaError(
            f"The output {output} is a pipe, a device or a stream; name a file, because the output "
            "gets its name only when it is complete."
        )
    if suffixes is not None and output.suffix.lower() not in suffixes:
        known = ", ".join(sorted(suffixes))
        raise MediaError(f"The output {output} must end in one of {known}.")
    try:
        _check_path(output, inputs)
        exists = os.path.lexists(output)
    except MediaError:
        raise
    except (OSError, ValueError) as error:
        raise write_error(output, error) from error
    if exists and not overwrite:
        raise _exists_error(output)


def _is_special(output: Path) -> bool:
    """Return True for an existing path that is neither a file nor a directory."""
    try:
        mode = output.stat().st_mode
    except (OSError, ValueError):
        return False  # _check_path reports faults of the path
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _check_path(output: Path, inputs: Sequence[Path]) -> None:
    folder = output.parent
    if not folder.is_dir():
        raise MediaError(f"The folder of the output, {folder}, does not exist; create it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(
            f"The folder of the output, {folder}, cannot be written to; change its permissions or "
            "choose another."
        )
    try:
        # Unlike Path.exists, lstat raises for a name that is too long or invalid.
        output.lstat()
    except FileNotFoundError:
        return
    if output.is_dir():
        raise MediaError(f"The output {output} is a directory; name a file.")
    for source in inputs:
        if _is_input(output, source):
            raise MediaError(f"The output {output} is also an input; choose another name.")


def _is_input(output: Path, source: Path) -> bool:
    try:
        return output.samefile(source)
    except (OSError, ValueError):
        return False  # the reader of the source reports it


@contextmanager
def partial_output(
    output: Path, *, overwrite: bool = False, private: bool = False
) -> Iterator[Path]:
    """Yield the path of a partial output; rename it to `output`, or remove it after an exception.

    Only its owner may read a `private` file. Partial outputs of killed processes in the folder,
    videos, pictures and those with the output's suffix, are removed first. Without a lock, as for a
    process of another host on a share, they are removed after a day.

    Raises:
        MediaError: the disk is full, or the folder is not writable.
        OutputExists: `output` appeared meanwhile, and `overwrite` is False.
    """
    _remove_abandoned(output)
    partial, lock = _partial_name(output), None
    # A signal may arrive as soon as the file exists, or while it is removed. It arrives once, so
    # one of the two blocks always removes the file.
    try:
        try:
            while (lock := _create(partial, output, 0o600 if private else 0o666)) is None:
                partial = _partial_name(output)
            yield partial
            _rename(partial, output, overwrite=overwrite)
        finally:
            _discard(partial, lock)
    finally:
        _discard(partial, lock)


def _rename(partial: Path, output: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            # Unlike a rename, a link never replaces an existing file.
            os.link(partial, output)
        except FileExistsError:
            raise _exists_error(output) from None
        except OSError:  # some file systems have no links
            if os.path.lexists(output):
                raise _exists_error(output) from None
        else:
            return
    try:
        partial.replace(output)
    except OSError as error:
        raise write_error(output, error) from error


def _exists_error(output: Path) -> OutputExists:
    return OutputExists(
        f"{output} exists; choose another name or overwrite it (`--overwrite`, `overwrite=True`)."
    )


def _partial_name(output: Path) -> Path:
    """Return a random name beside `output`, which no other writer uses."""
    label = output.stem
    if len(os.fsencode(label)) > _LONGEST_LABEL:
        label = hashlib.sha256(os.fsencode(label)).hexdigest()[:16]
    token = f"{_host()}-{secrets.token_hex(4)}"
    return output.with_name(f".{label}.{token}.partial{output.suffix}")


def _create(partial: Path, output: Path, mode: int) -> FileIO | None:
    """Create and lock a file; the lock lasts until the returned file is closed.

    Return None if another writer removed the file as abandoned before it was locked.

    Raises:
        MediaError: the file cannot be created.
    """
    try:
        file = FileIO(partial, "x+", opener=lambda path, flags: os.open(path, flags, mode))
    except OSError as error:
        raise write_error(output, error) from error
    _lock(file.fileno(), wait=True)
    if _is_same_file(partial, file.fileno()):
        return file
    file.close()
    return None


def _discard(partial: Path, lock: FileIO | None) -> None:
    if lock is not None:
        lock.close()
    partial.unlink(missing_ok=True)


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@cache
def _host() -> str:
    """Return a hash of this host's name, eight hexadecimal digits."""
    return hashlib.sha256(os.fsencode(platform.node())).hexdigest()[:8]


def _remove_abandoned(output: Path) -> None:
    """Remove partial outputs whose writer is dead; a lock always ends with its process."""
    suffixes = {*VIDEO_CONTAINERS, *IMAGE_SUFFIXES, output.suffix.lower()}
    with suppress(OSError):  # a folder that cannot be listed may still be writable
        for path in list(output.parent.iterdir()):
            match = _PARTIAL.fullmatch(path.name)
            if match and match[2].lower() in suffixes:
                _remove_if_abandoned(path, is_own_host=match[1] == _host())


def _remove_if_abandoned(partial: Path, *, is_own_host: bool) -> None:
    with suppress(OSError):
        if not stat.S_ISREG(partial.lstat().st_mode):
            return  # pipes and links are never partial outputs
        descriptor = os.open(partial, os.O_RDWR)
        try:
            is_old = time.time() - os.fstat(descriptor).st_mtime > _ABANDONED
            is_free = _lock(descriptor)
            # On many shares, a lock is visible to its own host only.
            if is_old if is_free is None else is_free and (is_own_host or is_old):
                partial.unlink()
        finally:
            os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool | None:
    """Lock a file; False if another process has the lock, None if there are no locks here."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
