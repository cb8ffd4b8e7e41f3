"""Read the box structure of MP4 and MOV files (ISO/IEC 14496-12)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from engine.media.os_errors import explain_read_errors

_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # first box of a file


def has_index(path: Path) -> bool:
    """Return True if an MP4 file has its complete index (moov)."""
    with explain_read_errors(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        return any(kind == b"moov" and end <= size for kind, _, end in _boxes(file, 0, size))


def has_second_movie(path: Path) -> bool:
    """Return True if a second index (moov) follows the first; no reader finds that video."""
    kinds = _top_level(path)
    return kinds.count(b"moov") > 1 and b"moof" not in kinds


def hangs_ffmpeg(path: Path) -> bool:
    """Return True if a HEIF image follows a video; FFmpeg never stops reading such a file."""
    kinds = _top_level(path)
    movie = kinds.index(b"moov") if b"moov" in kinds else len(kinds)
    return b"meta" in kinds[movie:] and b"ftyp" in kinds[movie:]


def _top_level(path: Path) -> list[bytes]:
    """Return the types of the top-level boxes; none if the file is not MP4 or MOV."""
    with explain_read_errors(path), path.open("rb") as file:
        if file.read(8)[4:] not in _FIRST:
            return []
        return [kind for kind, _, _ in _boxes(file, 0, file.seek(0, os.SEEK_END))]


def contents(file: BinaryIO, path: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the content of each box at a path of types, such as moov, trak.

    Only the first top-level box of the first type is searched.
    """
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
    """Yield type, begin and end of the content of each box between two positions."""
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
