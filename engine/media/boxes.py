"""The outermost boxes of an MP4 file, and what they say before anything is decoded."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from engine.media.files import reading

_MOST = 1 << 26  # bytes of an index that are searched
_HEAD = 1 << 20  # bytes of another kind of file that are searched
_RECORDS = (b"dvcC", b"dvvC", b"dvwC")
_EXTRA_DATA = b"\x41\xed"  # Matroska's BlockAddIDExtraData


def has_index(path: Path) -> bool:
    """Whether an MP4 file has its index (moov), and the whole of it."""
    with reading(path):
        size = path.stat().st_size
    return any(kind == b"moov" and begin + length <= size for kind, begin, length in _boxes(path))


def dolby_vision(path: Path) -> tuple[int, int] | None:
    """Profile and compatibility of a file's first Dolby Vision record; None where it has none.

    MP4 has the record in a box of the picture's track, Matroska in an addition to its blocks.
    """
    begin, length = next(
        ((begin, length) for kind, begin, length in _boxes(path) if kind == b"moov"), (0, _HEAD)
    )
    with reading(path), path.open("rb") as file:
        file.seek(begin)
        data = file.read(min(length, _MOST))
    for name in _RECORDS:
        place = data.find(name)
        if place < 4:
            continue
        record = data[place + 4 : place + 28]
        if data[place - 4 : place] != struct.pack(">I", 32):
            _, found, rest = data[place + 4 : place + 40].partition(_EXTRA_DATA)
            record = rest[1:] if found else b""
        if len(record) >= 5:
            return record[2] >> 1, record[4] >> 4
    return None


def _boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and length of each outermost box, as its header says."""
    with reading(path), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        position = 0
        while position + 8 <= end:
            file.seek(position)
            length, kind = struct.unpack(">I4s", file.read(8))
            if not kind.isascii() or not kind.strip(b"\0"):
                return
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            length = max(8, length) if length else end - position
            yield kind, position, length
            position += length
