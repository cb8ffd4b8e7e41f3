"""The command's stdout and stderr, when the one who reads them has gone or their disk is full.

What cannot be written is dropped, so that no note and no progress line ends the work. For stdout
it is remembered: what was asked for and could not be printed is told by the exit code at the end.
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
    """A raw stream whose writes never fail: after the first that did, all that follows is dropped.

    `below` is None for a stream that was closed when the process started. `missed` is why
    something was dropped, unless all of it was `dispensable`.
    """

    def __init__(self, below: io.RawIOBase | BinaryIO | None) -> None:
        self.missed: OSError | None = None
        self.dispensable = False
        self._below = below
        self._lost = None if below else OSError(errno.EBADF, "it is closed")

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # what has a buffer: a type from Python 3.12 on
        size = memoryview(data).nbytes
        if self._below is not None and self._lost is None:
            try:
                written = self._below.write(data)
            except OSError as error:
                self._lost = error
            else:
                # None is a terminal that takes nothing at the moment, and is not waited for.
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


_printed: Lenient | None = None  # below stdout, once `guard` has run


def guard() -> None:
    """Puts lenient streams in the place of stdout and stderr."""
    global _printed  # noqa: PLW0603 - stdout is the process's, too
    _keep_numbers()
    _printed = _lenient("stdout")
    _lenient("stderr")


def missed() -> OSError | None:
    """Why something that was to be printed on stdout is lost, if anything is."""
    return _printed.missed if _printed else None


@contextmanager
def dispensable() -> Generator[None]:
    """What is printed inside is no loss where it cannot be."""
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
    buffer: Any = getattr(stream, "buffer", None)  # unbuffered, it is the raw stream itself
    raw = Lenient(getattr(buffer, "raw", buffer))
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",  # as the names of files may be any bytes
        line_buffering=name == "stderr" or raw.isatty(),
    )
    setattr(sys, name, text)
    return raw


def _keep_numbers() -> None:
    """Opens what is closed of the first three descriptors, so that no file of ours gets them.

    Libraries print to 1 and 2, whatever is behind these.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
