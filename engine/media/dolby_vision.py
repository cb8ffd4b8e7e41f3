"""Read the Dolby Vision configuration record of a file.

PyAV 18 does not provide it, and PyAV 19 does not provide its fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from engine.media.mp4_boxes import contents
from engine.media.os_errors import explain_read_errors

_MAX_SEARCHED = 1 << 20  # bytes: of an MP4 track's description, or of the head of another file
_SIGNATURE_BYTES = 2048  # bytes that are read to recognise the container
_MP4 = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_RECORDS = (b"dvcC", b"dvvC", b"dvwC")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_EXTRA_DATA = b"\x41\xed"  # Matroska's BlockAddIDExtraData
_PACKET_SIZES = (188, 192, 204)  # MPEG-TS: plain, with times (.m2ts), with error correction
_SYNC = 0x47
_PAT, _PMT = 0, 2  # table ids: program association, program map
_DESCRIPTOR = 0xB0


def dolby_vision(path: Path) -> tuple[int, int] | None:
    """Return profile and compatibility id of the first Dolby Vision record; None without one.

    MP4 stores the record in a box of the video track, Matroska in a block addition mapping, and
    MPEG-TS in a descriptor of the program map table.
    """
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(_SIGNATURE_BYTES)
        if head.startswith(_MATROSKA):
            return _find_in_matroska(head + file.read(_MAX_SEARCHED))
        if _packets(head):
            return next(_find_in_mpegts(_packets(head + file.read(_MAX_SEARCHED))), None)
        for begin, end in contents(file, _MP4):
            file.seek(begin)
            found = _find_in_mp4(file.read(min(end - begin, _MAX_SEARCHED)))
            if found is not None:
                return found
    return None


def _fields(record: bytes) -> tuple[int, int]:
    """Return profile and compatibility id of a record of at least four bytes."""
    return record[2] >> 1, record[4] >> 4 if len(record) > 4 else 0


def _find_in_mp4(data: bytes) -> tuple[int, int] | None:
    for name in _RECORDS:
        place = data.find(name)
        if place >= 4 and data[place - 4 : place] == struct.pack(">I", 32):
            record = data[place + 4 : place + 28]
            return _fields(record) if len(record) > 4 else None
    return None


def _find_in_matroska(data: bytes) -> tuple[int, int] | None:
    for name in _RECORDS:
        place = data.find(name)
        if place < 0:
            continue
        _, found, rest = data[place + 4 : place + 40].partition(_EXTRA_DATA)
        if found and len(rest) > 5:
            return _fields(rest[1:])  # after its length
    return None


def _packets(data: bytes) -> list[bytes]:
    """Return the packets in the head of an MPEG-TS file, from their sync bytes; else none."""
    for size in _PACKET_SIZES:
        for begin in range(size):
            signs = data[begin : begin + 5 * size : size]
            if len(signs) > 2 and set(signs) == {_SYNC}:
                return [data[at : at + 188] for at in range(begin, len(data), size)]
    return []


def _find_in_mpegts(packets: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the fields of the records of all programs (ISO/IEC 13818-1, 2.4.4)."""
    programs = _section(packets, 0, _PAT)
    for at in range(8, len(programs) - 7, 4):
        number, pid = struct.unpack_from(">HH", programs, at)
        if number:
            table = _section(packets, pid & 0x1FFF, _PMT)
            yield from _find_in_pmt(table)


def _find_in_pmt(table: bytes) -> Iterator[tuple[int, int]]:
    at = 12 + _uint12(table, 10)
    while at + 9 <= len(table):  # five bytes of a stream, and four of the checksum
        end = at + 5 + _uint12(table, at + 3)
        at += 5
        while at + 2 <= min(end, len(table)):
            tag, size = table[at], table[at + 1]
            record = table[at + 2 : at + 2 + size]
            if tag == _DESCRIPTOR and len(record) >= 4:
                yield _fields(record)
            at += 2 + size
        at = end


def _section(packets: list[bytes], pid: int, table: int) -> bytes:
    """Return the first complete section of a table; empty if there is none."""
    section = b""
    for packet in packets:
        if len(packet) < 188 or _uint16(packet, 1) & 0x1FFF != pid or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40:  # a section begins after a pointer field
            section = payload[1 + payload[0] :] if payload else b""
            section = section if section[:1] == bytes((table,)) else b""
        elif section:
            section += payload
        if len(section) >= 3 + _uint12(section, 1) > 3:
            return section[: 3 + _uint12(section, 1)]
    return b""


def _uint12(data: bytes, at: int) -> int:
    return _uint16(data, at) & 0xFFF


def _uint16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
