"""Read and write metadata blocks of JPEG, PNG and WebP files: EXIF, ICC profile, XMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeAlias

from engine.values import Orientation

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_JPEG_ICC = b"ICC_PROFILE\0"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP = b"XML:com.adobe.xmp"
_STEP = 1 << 16  # bytes that are decompressed at a time
_MAX_SEGMENT = 65_000  # bytes; the length of a JPEG segment has 16 bits
ORIENTATION_TAG = 0x0112
_EXIF_TAG, _GPS_TAG, _MAKER_NOTE_TAG = 0x8769, 0x8825, 0x927C
_JFIF = b"JFIF\0"
# Tags with begin and length of a picture in a TIFF directory: a JPEG stream, or strips.
_PICTURE_TAGS = ((0x0201, 0x0202), (0x0111, 0x0117))
# EXIF 2.32, tag 0x0112, values 1 to 8: mirror left-right first, then turn anticlockwise.
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
# ITU-T T.81, table B.1: start of frame, without the three codes that are tables.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# VP8X flags (WebP container specification).
_WEBP_ICC, _WEBP_ALPHA, _WEBP_EXIF, _WEBP_XMP = 0x20, 0x10, 0x08, 0x04


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) from the first bytes of a still image; None if it is not there."""
    for name, body in _blocks(data):
        if name == b"IHDR" and len(body) >= 8:
            width, height = struct.unpack_from(">II", body)
            return width, height
        if len(name) == 1 and name[0] in _START_OF_FRAME and len(body) >= 5:
            height, width = struct.unpack_from(">HH", body, 1)
            return width, height
        if name == b"VP8X" and len(body) >= 10:
            return (
                int.from_bytes(body[4:7], "little") + 1,
                int.from_bytes(body[7:10], "little") + 1,
            )
    return None


def lacks_end(data: bytes) -> bool:
    """Return True for a JPEG without the end of image marker, truncated or not."""
    if not data.startswith(b"\xff\xd8"):
        return False
    pieces = 2 + sum(4 + len(body) for _, body in _jpeg_segments(data))
    return b"\xff\xd9" not in data[pieces:]


def hidden_bytes(data: bytes, most: int) -> int:
    """Return the decompressed size of a PNG's profile and texts; stop counting after `most`."""
    count = 0
    for name, body in _png_chunks(data) if data.startswith(_PNG) else ():
        packed = _compressed_part(name, body)
        unpacker = zlib.decompressobj()
        while packed and not unpacker.eof:
            try:
                count += len(unpacker.decompress(packed, _STEP))
            except zlib.error:
                break  # invalid data is never decompressed
            if count > most:
                return count
            packed = unpacker.unconsumed_tail
    return count


def exif_orientation(data: bytes) -> Orientation:
    """Return the orientation in the EXIF of a still image; upright if there is none."""
    tiff = _tiff(data)
    return orientation_of_tag(0 if tiff is None else _orientation_value(tiff))


def orientation_of_tag(value: int) -> Orientation:
    """Return the orientation that a value of EXIF's orientation tag means; upright if unknown."""
    return _ORIENTATIONS[value - 1] if 1 <= value <= len(_ORIENTATIONS) else Orientation()


def exif_of_upright(data: bytes) -> bytes | None:
    """Return the EXIF of a still image as a TIFF block for the upright, swapped picture.

    The orientation becomes 1. The thumbnail and the maker note are blanked, because they may
    contain the original picture. Return None if there is no EXIF or it is damaged.
    """
    tiff = _tiff(data)
    order = None if tiff is None else _byte_order(tiff)
    if tiff is None or order is None:
        return None
    block = bytearray(tiff)
    try:
        first = struct.unpack_from(f"{order}I", block, 4)[0]
        entries = _entries(block, order, first)
        if ORIENTATION_TAG in entries:
            at, kind, _ = entries[ORIENTATION_TAG]
            struct.pack_into(f"{order}{_layout(kind)}", block, at, 1)
        if _EXIF_TAG in entries:
            _blank_maker_note(block, order, entries[_EXIF_TAG])
        link = first + 2 + 12 * struct.unpack_from(f"{order}H", block, first)[0]
        second = struct.unpack_from(f"{order}I", block, link)[0]
        if second:
            _blank_pictures(block, order, second)
            struct.pack_into(f"{order}I", block, link, 0)
    except struct.error:
        return None
    return bytes(block)


def has_location(data: bytes) -> bool:
    """Return True if the EXIF of a still image has GPS data."""
    tiff = _tiff(data)
    order = None if tiff is None else _byte_order(tiff)
    if tiff is None or order is None:
        return False
    try:
        return _GPS_TAG in _entries(tiff, order, struct.unpack_from(f"{order}I", tiff, 4)[0])
    except struct.error:
        return False  # a damaged block is not copied


def resolution(data: bytes) -> tuple[int, int] | None:
    """Return pixels per metre (x, y) from the JFIF segment of a JPEG or the pHYs chunk of a PNG."""
    for name, body in _blocks(data):
        if name == b"\xe0" and body.startswith(_JFIF) and len(body) >= 12:
            unit, across, down = struct.unpack_from(">BHH", body, 7)
            metre = {1: 10_000 / 254, 2: 100.0}.get(unit)
            if metre is not None and across and down:
                return round(across * metre), round(down * metre)
        if name == b"pHYs" and len(body) == 9:
            across, down, unit = struct.unpack(">IIB", body)
            return (across, down) if unit == 1 and across and down else None
    return None


def icc_profile(data: bytes) -> bytes | None:
    """Return the ICC profile in a still image, or None."""
    parts: list[tuple[int, bytes]] = []
    for name, body in _blocks(data):
        if name == b"\xe2" and body.startswith(_JPEG_ICC) and len(body) > len(_JPEG_ICC) + 2:
            parts.append((body[len(_JPEG_ICC)], body[len(_JPEG_ICC) + 2 :]))
        elif name == b"iCCP":
            with suppress(zlib.error):  # a damaged profile counts as none
                return zlib.decompress(_compressed_part(name, body))
        elif name == b"ICCP":
            return body
    return b"".join(part for _, part in sorted(parts)) or None


def with_metadata(
    data: bytes,
    *,
    xmp: bytes | None,
    icc: bytes | None,
    size: tuple[int, int],
    alpha: bool,
    exif: bytes | None = None,
    resolution: tuple[int, int] | None = None,
) -> bytes:
    """Insert metadata into a JPEG, PNG or WebP file without re-encoding it.

    Args:
        data: the file.
        xmp: XMP packet.
        icc: ICC profile.
        size: (width, height), for WebP.
        alpha: the picture has alpha, for WebP.
        exif: TIFF block. It is left out of a JPEG if it is too long for a segment.
        resolution: pixels per metre (x, y). WebP stores none.
    """
    if data.startswith(_PNG):
        return _png_with(data, xmp, icc, exif, resolution)
    if data[:4] == b"RIFF":
        return _webp_with(data, xmp, icc, exif, size, alpha=alpha)
    return _jpeg_with(data, xmp, icc, exif, resolution)


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of each block; a JPEG segment's name is its marker byte."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_segments(data)
    if data.startswith(_PNG):
        return _png_chunks(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _riff_chunks(data)
    return iter(())


def _jpeg_segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1 : position + 2]
        if marker == b"\xff":  # fill byte
            position += 1
            continue
        if marker == b"\xda":  # start of scan
            return
        length = struct.unpack_from(">H", data, position + 2)[0]
        yield marker, data[position + 4 : position + 2 + length]
        position += 2 + length


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_PNG)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += length + 12


def _compressed_part(name: bytes, body: bytes) -> bytes:
    """Return the compressed part of a PNG metadata chunk; empty if it has none."""
    if name in (b"iCCP", b"zTXt"):
        return body.partition(b"\0")[2][1:]
    if name == b"iTXt":
        # Keyword, compression flag and method, language, translated keyword, text.
        compressed, rest = body.partition(b"\0")[2][:1] == b"\1", body.split(b"\0", 1)[-1][2:]
        return rest.split(b"\0", 2)[-1] if compressed else b""
    return b""


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _jpeg_with(
    data: bytes,
    xmp: bytes | None,
    icc: bytes | None,
    exif: bytes | None,
    resolution: tuple[int, int] | None,
) -> bytes:
    bodies: list[tuple[int, bytes]] = []
    if exif is not None and len(exif) <= _MAX_SEGMENT:
        bodies.append((0xE1, _EXIF + exif))
    if xmp is not None:
        bodies.append((0xE1, _JPEG_XMP + xmp))
    if icc is not None:
        parts = [icc[n : n + _MAX_SEGMENT] for n in range(0, len(icc), _MAX_SEGMENT)]
        bodies += [
            (0xE2, _JPEG_ICC + bytes((n, len(parts))) + part) for n, part in enumerate(parts, 1)
        ]
    added = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in bodies
    )
    # The JFIF segment must be the first.
    start, position = data[:2], 2
    if data[2:4] == b"\xff\xe0":
        position += 2 + struct.unpack_from(">H", data, 4)[0]
        start = data[:position]
    if resolution is not None:
        across, down = (min(round(side * 254 / 10_000), 0xFFFF) for side in resolution)
        start = data[:2] + b"\xff\xe0" + struct.pack(">H", 16) + _JFIF
        start += struct.pack(">HBHHBB", 0x0101, 1, across, down, 0, 0)
    return start + added + data[position:]


def _png_with(
    data: bytes,
    xmp: bytes | None,
    icc: bytes | None,
    exif: bytes | None,
    resolution: tuple[int, int] | None,
) -> bytes:
    added: list[tuple[bytes, bytes]] = []
    if icc is not None:
        added.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if xmp is not None:
        added.append((b"iTXt", _PNG_XMP + b"\0\0\0\0\0" + xmp))
    if exif is not None:
        added.append((b"eXIf", exif))
    if resolution is not None:
        added.append((b"pHYs", struct.pack(">IIB", *resolution, 1)))
    chunks = []
    for name, body in _png_chunks(data):
        if resolution is not None and name == b"pHYs":
            continue  # the encoder's own says only that pixels are square
        if icc is not None and name in (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"):
            continue  # the profile replaces it
        chunks.append((name, body))
        if name == b"IHDR":
            chunks += added
    return _PNG + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _webp_with(
    data: bytes,
    xmp: bytes | None,
    icc: bytes | None,
    exif: bytes | None,
    size: tuple[int, int],
    *,
    alpha: bool,
) -> bytes:
    chunks = [(name, body) for name, body in _riff_chunks(data) if name not in (b"VP8X", b"ICCP")]
    flags = (_WEBP_ALPHA if alpha else 0) | (_WEBP_XMP if xmp else 0) | (_WEBP_ICC if icc else 0)
    flags |= _WEBP_EXIF if exif else 0
    canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
    ordered = [(b"VP8X", struct.pack("<I", flags) + canvas)]
    ordered += [(b"ICCP", icc)] if icc else []
    ordered += chunks
    ordered += [(b"EXIF", exif)] if exif else []
    ordered += [(b"XMP ", xmp)] if xmp else []
    body = b"".join(
        struct.pack("<4sI", name, len(part)) + part + b"\0" * (len(part) % 2)
        for name, part in ordered
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


# Position of a tag's value in the block, its type, and the number of values.
_Entry: TypeAlias = tuple[int, int, int]


def _tiff(data: bytes) -> bytes | None:
    """Return the TIFF block of a still image's EXIF, or None."""
    for name, body in _blocks(data):
        if name in (b"eXIf", b"EXIF") or (name == b"\xe1" and body.startswith(_EXIF)):
            return body.removeprefix(_EXIF)
    return None


def _byte_order(tiff: bytes) -> str | None:
    return {b"II": "<", b"MM": ">"}.get(tiff[:2])


def _entries(tiff: bytes | bytearray, order: str, directory: int) -> dict[int, _Entry]:
    """Return the tags of the TIFF directory at a position.

    Raises:
        struct.error: the block is truncated.
    """
    count = struct.unpack_from(f"{order}H", tiff, directory)[0]
    found: dict[int, _Entry] = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", tiff, entry)
        found[tag] = (entry + 8, kind, values)
    return found


def _layout(kind: int) -> str:
    return "H" if kind == 3 else "I"


def _value(tiff: bytes | bytearray, order: str, entry: _Entry) -> int:
    value: int = struct.unpack_from(f"{order}{_layout(entry[1])}", tiff, entry[0])[0]
    return value


def _blank(block: bytearray, start: int, length: int) -> None:
    part = block[start : start + length]
    block[start : start + len(part)] = bytes(len(part))


def _blank_maker_note(block: bytearray, order: str, link: _Entry) -> None:
    note = _entries(block, order, _value(block, order, link)).get(_MAKER_NOTE_TAG)
    if note is not None and note[2] > 4:  # up to 4 bytes are in the entry itself
        _blank(block, struct.unpack_from(f"{order}I", block, note[0])[0], note[2])


def _blank_pictures(block: bytearray, order: str, directory: int) -> None:
    entries = _entries(block, order, directory)
    for begin, length in _PICTURE_TAGS:
        if begin in entries and length in entries:
            start = _value(block, order, entries[begin])
            _blank(block, start, _value(block, order, entries[length]))


def _orientation_value(tiff: bytes) -> int:
    """Return the orientation in a TIFF block, or 0."""
    order = _byte_order(tiff)
    if order is None:
        return 0
    try:
        entries = _entries(tiff, order, struct.unpack_from(f"{order}I", tiff, 4)[0])
        entry = entries.get(ORIENTATION_TAG)
        return 0 if entry is None else _value(tiff, order, entry)
    except struct.error:
        return 0  # truncated
