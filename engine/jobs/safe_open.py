"""Files below given folders, opened so that no link can lead out of these.

A check of a path says nothing about the file that is opened by it later: whoever may write to the
folder can put a link in its place meanwhile. So the file is opened once, without following links,
and is read by its descriptor from then on. Its bytes may still be changed by whoever may write to
it, so what reads them must not trust the check either.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ParameterError
from engine.jobs.inputs import TooLong, at_most, chunks


@contextmanager
def held_beneath(
    field: str, path: Path, folders: Sequence[Path], place: Path, most_bytes: int
) -> Iterator[Path]:
    """Hold the file that is at `path` now, below one of the folders, under the name `place`.

    `place` is a link to the open file where the system has /proc, else a copy of at most
    `most_bytes`. It is there until the context is left, and holds for this process alone.

    Raises:
        ParameterError: There is no regular file below the folders, a link leads to it, or it is
            too large to be copied.
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
            _copy(file, place, field, most_bytes)
        yield place
    finally:
        os.close(file)
        place.unlink(missing_ok=True)


def _copy(file: int, place: Path, field: str, most_bytes: int) -> None:
    """Copy an open file, which may grow meanwhile."""
    try:
        with os.fdopen(os.dup(file), "rb") as source, place.open("xb") as copy:
            copy.writelines(at_most(most_bytes, chunks(source)))
    except TooLong:
        raise ParameterError(
            f"{field} holds more than {most_bytes:,} bytes, which are the most that are copied "
            "here; give a smaller file."
        ) from None


def _opened(path: Path, folders: Sequence[Path]) -> int:
    """A descriptor of a regular file; the folder above it may itself be reached by links."""
    root = next((folder for folder in folders if path.is_relative_to(folder)), None)
    if root is None:
        raise OSError(errno.EACCES, "it is in none of the folders")
    *above, name = parts = path.relative_to(root).parts
    if ".." in parts:
        raise OSError(errno.EACCES, "it may lead out of the folder")
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
