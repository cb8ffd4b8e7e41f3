"""The metadata blocks of JPEG, PNG and WebP files: orientation, colour profile and XMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

from engine.values import Orientation

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_JPEG_ICC = b"ICC_PROFILE\0"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP = b"XML:com.adobe.xmp"
_STEP = 1 << 16  # bytes that are unpacked at a time
_JPEG_MOST = 65_000  # a segment's length has 16 bits
_ORIENTATION_TAG = 0x0112
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
# ITU-T T.81, table B.1: a start of frame, but for the three codes that are tables.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# VP8X flags (WebP container specification).
_WEBP_ICC, _WEBP_ALPHA, _WEBP_XMP = 0x20, 0x10, 0x04


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) as a still image's first bytes say; None where they say none."""
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


def hidden_bytes(data: bytes, most: int) -> int:
    """What the profile and texts in a PNG file unpack to, in bytes; counted to just over `most`."""
    count = 0
    for name, body in _png_chunks(data) if data.startswith(_PNG) else ():
        packed = _packed(name, body)
        unpacker = zlib.decompressobj()
        while packed and not unpacker.eof:
            try:
                count += len(unpacker.decompress(packed, _STEP))
            except zlib.error:
                break  # what cannot be unpacked takes no room
            if count > most:
                return count
            packed = unpacker.unconsumed_tail
    return count


def exif_orientation(data: bytes) -> Orientation:
    """How a still image's file asks to be turned; upright where it does not say."""
    for name, body in _blocks(data):
        if name in (b"\xe1", b"eXIf", b"EXIF") and (name != b"\xe1" or body.startswith(_EXIF)):
            value = _orientation_value(body.removeprefix(_EXIF))
            if 1 <= value <= len(_ORIENTATIONS):
                return _ORIENTATIONS[value - 1]
    return Orientation()


def icc_profile(data: bytes) -> bytes | None:
    """The colour profile in a still image's file."""
    parts: list[tuple[int, bytes]] = []
    for name, body in _blocks(data):
        if name == b"\xe2" and body.startswith(_JPEG_ICC) and len(body) > len(_JPEG_ICC) + 2:
            parts.append((body[len(_JPEG_ICC)], body[len(_JPEG_ICC) + 2 :]))
        elif name == b"iCCP":
            with suppress(zlib.error):  # a damaged profile is as good as none
                return zlib.decompress(_packed(name, body))
        elif name == b"ICCP":
            return body
    return b"".join(part for _, part in sorted(parts)) or None


def xmp_packet(data: bytes) -> bytes | None:
    """The XMP packet in a still image's file."""
    for name, body in _blocks(data):
        if name == b"\xe1" and body.startswith(_JPEG_XMP):
            return body.removeprefix(_JPEG_XMP)
        if name == b"iTXt" and body.startswith(_PNG_XMP + b"\0\0"):
            # Keyword, compression flag and method, language, translated keyword, text.
            return body.split(b"\0", 5)[-1]
        if name == b"XMP ":
            return body
    return None


def with_metadata(
    data: bytes, *, xmp: bytes | None, icc: bytes | None, size: tuple[int, int], alpha: bool
) -> bytes:
    """A JPEG, PNG or WebP file with an XMP packet and a colour profile put in."""
    if data.startswith(_PNG):
        return _png_with(data, xmp, icc)
    if data[:4] == b"RIFF":
        return _webp_with(data, xmp, icc, size, alpha=alpha)
    return _jpeg_with(data, xmp, icc)


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each block; a JPEG segment's name is its marker byte."""
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
        if marker == b"\xda":  # the picture itself begins
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


def _packed(name: bytes, body: bytes) -> bytes:
    """The compressed part of a PNG chunk that is no picture; empty where it has none."""
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


def _jpeg_with(data: bytes, xmp: bytes | None, icc: bytes | None) -> bytes:
    bodies: list[tuple[int, bytes]] = []
    if xmp is not None:
        bodies.append((0xE1, _JPEG_XMP + xmp))
    if icc is not None:
        parts = [icc[n : n + _JPEG_MOST] for n in range(0, len(icc), _JPEG_MOST)]
        bodies += [
            (0xE2, _JPEG_ICC + bytes((n, len(parts))) + part) for n, part in enumerate(parts, 1)
        ]
    added = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in bodies
    )
    # JFIF wants its own segment first.
    position = 2
    if data[2:4] == b"\xff\xe0":
        position += 2 + struct.unpack_from(">H", data, 4)[0]
    return data[:position] + added + data[position:]


def _png_with(data: bytes, xmp: bytes | None, icc: bytes | None) -> bytes:
    added: list[tuple[bytes, bytes]] = []
    if icc is not None:
        added.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if xmp is not None:
        added.append((b"iTXt", _PNG_XMP + b"\0\0\0\0\0" + xmp))
    chunks = []
    for name, body in _png_chunks(data):
        if icc is not None and name in (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"):
            continue  # the profile says it, and says it better
        chunks.append((name, body))
        if name == b"IHDR":
            chunks += added
    return _PNG + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _webp_with(
    data: bytes, xmp: bytes | None, icc: bytes | None, size: tuple[int, int], *, alpha: bool
) -> bytes:
    chunks = [(name, body) for name, body in _riff_chunks(data) if name not in (b"VP8X", b"ICCP")]
    flags = (_WEBP_ALPHA if alpha else 0) | (_WEBP_XMP if xmp else 0) | (_WEBP_ICC if icc else 0)
    canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
    ordered = [(b"VP8X", struct.pack("<I", flags) + canvas)]
    ordered += [(b"ICCP", icc)] if icc else []
    ordered += chunks
    ordered += [(b"XMP ", xmp)] if xmp else []
    body = b"".join(
        struct.pack("<4sI", name, len(part)) + part + b"\0" * (len(part) % 2)
        for name, part in ordered
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _orientation_value(tiff: bytes) -> int:
    """The orientation in a TIFF block, or 0."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 0
    try:
        directory = struct.unpack_from(f"{order}I", tiff, 4)[0]
        count = struct.unpack_from(f"{order}H", tiff, directory)[0]
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                layout = "H" if kind == 3 else "I"
                value: int = struct.unpack_from(f"{order}{layout}", tiff, entry + 8)[0]
                return value
    except struct.error:
        return 0  # cut short: as good as absent
    return 0
