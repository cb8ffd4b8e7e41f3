"""Streams for stdout and stderr that survive a closed pipe and a full disk.

Output that cannot be written is dropped, so that a note or a progress line does not end the work.
If stdout lost output that was asked for, the exit code says so at the end.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, TextIO

_STANDARD: Final = (0, 1, 2)


class Lenient(io.RawIOBase):
    """A raw stream whose writes never fail; after a first failure all output is dropped.

    `below` is the stream that is written to, or None if it was closed when the process started.
    `missed` is the error that made the stream drop output, unless all of it was `dispensable`.
    """

    def __init__(self, below: io.RawIOBase | BinaryIO | None) -> None:
        self.missed: OSError | None = None
        self.dispensable = False
        self._below = below
        self._lost = None if below else OSError(errno.EBADF, "it is closed")

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # a buffer, which has a type from Python 3.12 on
        size = memoryview(data).nbytes
        if self._below is not None and self._lost is None:
            try:
                written = self._below.write(data)
            except OSError as error:
                self._lost = error
            else:
                # None: a terminal takes no output at the moment, and is not waited for.
                return size if written is None else written
        if not self.dispensable:
            self.missed = self._lost
        return size

    def isatty(self) -> bool:
        return self._below is not None and self._below.isatty()

    def fileno(self) -> int:
        if self._below is None:
            raise io.UnsupportedOperation("fileno")
        return self._below.fileno()


_printed: Lenient | None = None  # the raw stream of stdout after `guard`


def guard() -> None:
    """Replace stdout and stderr by lenient streams."""
    global _printed  # noqa: PLW0603 - stdout is the process's, too
    _keep_numbers()
    _printed = _lenient("stdout")
    _lenient("stderr")


def missed() -> OSError | None:
    """Return the error that made stdout lose output, or None."""
    return _printed.missed if _printed else None


@contextmanager
def dispensable() -> Generator[None]:
    """Context whose output may be lost without an error."""
    if _printed is None:
        yield
        return
    _printed.dispensable = True
    try:
        yield
    finally:
        _printed.dispensable = False


def _lenient(name: str) -> Lenient:
    stream: TextIO | None = getattr(sys, name)
    buffer: Any = getattr(stream, "buffer", None)  # if unbuffered, the raw stream itself
    raw = Lenient(getattr(buffer, "raw", buffer))
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",  # file names may be any bytes
        line_buffering=name == "stderr" or raw.isatty(),
    )
    setattr(sys, name, text)
    return raw


def _keep_numbers() -> None:
    """Open those of descriptors 0 to 2 that are closed, so that no other file gets their number.

    Libraries print to 1 and 2 whatever file these are.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
