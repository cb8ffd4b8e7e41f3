"""Open files below given folders without following links that lead out of them.

A check of a path does not hold for the file that is opened later (TOCTOU): whoever may write to the
folder can replace the file by a link in between. So the file is opened once, without following
links, and then read by its descriptor. Its content may still change after the check, so decoders
must not rely on the check either.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ParameterError
from engine.jobs.inputs import TooManyBytes, limit_bytes, read_chunks


@contextmanager
def open_beneath(
    field: str, path: Path, folders: Sequence[Path], alias: Path, max_bytes: int
) -> Iterator[Path]:
    """Open a file below one of the folders and make it readable at the path `alias`.

    `alias` exists until the context ends and is valid in this process only: a link to the open
    descriptor where the system has /proc, else a copy.

    Args:
        field: parameter name for errors.
        path: the file.
        folders: folders that the file must lie in.
        alias: the path to create.
        max_bytes: maximum size of a copy.

    Raises:
        ParameterError: The path is not a regular file below the folders, a link is on the way to
            it, or it is too large to be copied.
    """
    try:
        file = _open_file(path, folders)
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"{field} is {path}, which is no longer a file in the folders that may be read, or is "
            "reached by a link; submit the request again with the path of the file itself."
        ) from error
    try:
        alias.unlink(missing_ok=True)  # left by a process that was killed
        descriptor = Path(f"/proc/self/fd/{file}")
        if descriptor.exists():
            alias.symlink_to(descriptor)
        else:
            _copy(file, alias, field, max_bytes)
        yield alias
    finally:
        os.close(file)
        alias.unlink(missing_ok=True)


def _copy(file: int, alias: Path, field: str, max_bytes: int) -> None:
    """Copy an open file, which may grow meanwhile."""
    try:
        with os.fdopen(os.dup(file), "rb") as source, alias.open("xb") as copy:
            copy.writelines(limit_bytes(max_bytes, read_chunks(source)))
    except TooManyBytes:
        raise ParameterError(
            f"{field} holds more than {max_bytes:,} bytes, the maximum on this system; give a "
            "smaller file."
        ) from None


def _open_file(path: Path, folders: Sequence[Path]) -> int:
    """Open a regular file and return its descriptor; the folders themselves may be links."""
    root = next((folder for folder in folders if path.is_relative_to(folder)), None)
    if root is None:
        raise OSError(errno.EACCES, "it is in none of the folders")
    *above, name = parts = path.relative_to(root).parts
    if ".." in parts:
        raise OSError(errno.EACCES, "it may lead out of the folder")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in above:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file
