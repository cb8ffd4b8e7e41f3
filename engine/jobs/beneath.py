"""Files below given folders, opened so that no link can lead out of these.

A check of a path says nothing about the file that is opened by it later: whoever may write to the
folder can put a link in its place meanwhile. So the file is opened once, without following links,
and is read by its descriptor from then on.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ParameterError


@contextmanager
def pinned(field: str, path: Path, folders: Sequence[Path], place: Path) -> Iterator[Path]:
    """A file below one of the folders, as it is now, by the name `place`.

    `place` is a link to the open file, where the system has such links, else a copy; it is there
    until the context is left, and holds for this process alone.

    Raises:
        ParameterError: There is no regular file below the folders, or a link leads to it.
    """
    try:
        file = _opened(path, folders)
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"{field} is {path}, which is no longer a file of the folders that may be read, or a "
            "link is on the way to it; submit the request again with the path of the file itself."
        ) from error
    try:
        place.unlink(missing_ok=True)  # left by a process that was killed
        by_number = Path(f"/proc/self/fd/{file}")
        if by_number.exists():
            place.symlink_to(by_number)
        else:
            with os.fdopen(os.dup(file), "rb") as source, place.open("xb") as copy:
                shutil.copyfileobj(source, copy)
        yield place
    finally:
        place.unlink(missing_ok=True)
        os.close(file)


def _opened(path: Path, folders: Sequence[Path]) -> int:
    """A descriptor of a regular file; the folder above it may itself be reached by links."""
    root = next((folder for folder in folders if path.is_relative_to(folder)), None)
    if root is None:
        raise OSError(errno.EACCES, "it is in none of the folders")
    *above, name = path.relative_to(root).parts
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in above:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = inner
        # A pipe would keep the caller waiting for a writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held)
    finally:
        os.close(held)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no regular file")
    return file
