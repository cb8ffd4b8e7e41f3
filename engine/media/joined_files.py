"""Recognise concatenated FLV and Matroska files."""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# Header of an FLV file (Adobe Flash Video File Format 10.1, E.2) and a previous tag size of 0.
_HEAD = re.compile(rb"FLV\x01[\x00\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00")
_HEAD_BYTES = 13
# FFmpeg reads the header of a later part as a tag with the length "LV\x01". If the file continues
# after that tag, FFmpeg notices the error and searches for the next valid one.
_FALSE_TAG_BYTES = int.from_bytes(b"LV\x01", "big") + 2 * _HEAD_BYTES

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_joined_matroska(path: Path) -> bool:
    """Return True if another Matroska file begins at the end of the first one."""
    with suppress(OSError), path.open("rb") as file:
        if file.read(4) != _EBML:
            return False
        file.seek(_size(file), os.SEEK_CUR)
        if file.read(4) != _SEGMENT:
            return False
        file.seek(_size(file), os.SEEK_CUR)
        return file.read(4) == _EBML
    return False


def _size(file: BinaryIO) -> int:
    """Read the size of an EBML element; the leading zeros of its first byte give its length."""
    first = file.read(1)
    more = 8 - first[0].bit_length() if first else 0
    rest = int.from_bytes(file.read(more), "big")
    return (first[0] << 8 * more | rest) & (1 << 7 * (more + 1)) - 1 if first else 0


def joined_flv(path: Path) -> JoinedFlv | None:
    """Open an FLV file whose last parts FFmpeg does not find; return None for all others."""
    with suppress(OSError), path.open("rb") as file:  # FFmpeg will report the error
        if not _HEAD.match(file.read(_HEAD_BYTES)):
            return None
        begin = max(_HEAD_BYTES, file.seek(0, os.SEEK_END) - _FALSE_TAG_BYTES)
        file.seek(begin)
        heads = [begin + found.start() for found in _HEAD.finditer(file.read())]
        return JoinedFlv(path, heads) if heads else None
    return None


class JoinedFlv(io.FileIO):
    """An FLV file that is read with zeros instead of the headers at the positions `heads`."""

    def __init__(self, path: Path, heads: list[int]) -> None:
        super().__init__(path)
        self.name = str(path)
        self._heads = heads

    def __del__(self) -> None:
        """Close the file, because PyAV does not close file objects."""
        self.close()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes from the current position."""
        begin = self.tell()
        data = bytearray(super().read(size) or b"")
        for head in self._heads:
            first, last = max(head - begin, 0), min(head - begin + _HEAD_BYTES, len(data))
            if first < last:
                data[first:last] = bytes(last - first)
        return bytes(data)
