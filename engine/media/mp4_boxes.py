"""Find the boxes of an MP4 file, and what they say before anything is decoded."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from engine.media.os_errors import explain_read_errors

_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # boxes that a file begins with


def has_index(path: Path) -> bool:
    """Whether an MP4 file has its index (moov), and the whole of it."""
    with explain_read_errors(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        return any(kind == b"moov" and end <= size for kind, _, end in _boxes(file, 0, size))


def is_followed(path: Path) -> bool:
    """Whether a second film begins behind the end of the first; no reader finds that one."""
    kinds = _outermost(path)
    return kinds.count(b"moov") > 1 and b"moof" not in kinds


def is_endless(path: Path) -> bool:
    """Whether a HEIF picture lies behind a film; FFmpeg reads the index of such a file for ever."""
    kinds = _outermost(path)
    film = kinds.index(b"moov") if b"moov" in kinds else len(kinds)
    return b"meta" in kinds[film:] and b"ftyp" in kinds[film:]


def _outermost(path: Path) -> list[bytes]:
    """The kinds of a file's outermost boxes; none of a file that begins with no such box."""
    with explain_read_errors(path), path.open("rb") as file:
        if file.read(8)[4:] not in _FIRST:
            return []
        return [kind for kind, _, _ in _boxes(file, 0, file.seek(0, os.SEEK_END))]


def contents(file: BinaryIO, path: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Begin and end of what is in each box at a path of kinds, in the first of the outermost."""
    size = file.seek(0, os.SEEK_END)
    for kind, begin, end in _boxes(file, 0, size):
        if kind == path[0]:
            yield from _within(file, path[1:], begin, min(end, size))
            return


def _within(
    file: BinaryIO, path: Sequence[bytes], begin: int, end: int
) -> Iterator[tuple[int, int]]:
    if not path:
        yield begin, end
        return
    for kind, first, last in _boxes(file, begin, end):
        if kind == path[0]:
            yield from _within(file, path[1:], first, min(last, end))


def _boxes(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box between two places, and begin and end of its content by its header."""
    while position + 8 <= end:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if not kind.isascii() or not kind.strip(b"\0"):
            return
        head = 8
        if length == 1:
            length, head = int.from_bytes(file.read(8), "big"), 16
        length = max(head, length) if length else end - position
        yield kind, position + head, position + length
        position += length
