"""The orientation tag of a still image's EXIF block."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from engine.values import Orientation

# EXIF 2.32, tag 0x0112: value - 1 -> mirror left-right first, then quarter turns anticlockwise.
_ORIENTATIONS = (
    Orientation(0, mirrored=False),
    Orientation(0, mirrored=True),
    Orientation(2, mirrored=False),
    Orientation(2, mirrored=True),
    Orientation(1, mirrored=True),
    Orientation(3, mirrored=False),
    Orientation(3, mirrored=True),
    Orientation(1, mirrored=False),
)
_ORIENTATION_TAG = 0x0112


def exif_orientation(path: Path) -> Orientation:
    """How a JPEG, PNG or WebP asks to be turned; upright where it does not say."""
    data = path.read_bytes()
    for block in _exif_blocks(data):
        value = _tag_value(block)
        if 1 <= value <= len(_ORIENTATIONS):
            return _ORIENTATIONS[value - 1]
    return Orientation()


def _exif_blocks(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"\xff\xd8":
        yield from _jpeg_exif(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        yield from _chunks(data, 8, ">", b"eXIf")
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from _chunks(data, 12, "<", b"EXIF")


def _jpeg_exif(data: bytes) -> Iterator[bytes]:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], struct.unpack_from(">H", data, position + 2)[0]
        if marker == 0xDA:  # the picture itself begins
            return
        if marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            yield data[position + 10 : position + 2 + length]
        position += 2 + length


def _chunks(data: bytes, position: int, order: str, wanted: bytes) -> Iterator[bytes]:
    png = order == ">"
    while position + 8 <= len(data):
        first, second = data[position : position + 4], data[position + 4 : position + 8]
        size_bytes, name = (first, second) if png else (second, first)
        size = struct.unpack(f"{order}I", size_bytes)[0]
        body = data[position + 8 : position + 8 + size]
        if name == wanted:
            yield body.removeprefix(b"Exif\0\0")
        # PNG chunks end with a checksum, RIFF chunks are padded to an even length.
        position += 8 + size + (4 if png else size % 2)


def _tag_value(tiff: bytes) -> int:
    """The orientation in a TIFF block, or 0."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return 0
    directory = struct.unpack_from(f"{order}I", tiff, 4)[0]
    if directory + 2 > len(tiff):
        return 0
    count = struct.unpack_from(f"{order}H", tiff, directory)[0]
    for n in range(count):
        entry = directory + 2 + 12 * n
        if entry + 12 > len(tiff):
            return 0
        tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
        if tag == _ORIENTATION_TAG:
            value: int = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", tiff, entry + 8)[
                0
            ]
            return value
    return 0
