"""Find the record that tells a Dolby Vision film, before anything is decoded.

PyAV 18 does not show it, and PyAV 19 not its fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from engine.media.mp4_boxes import contents
from engine.media.os_errors import explain_read_errors

_MOST = 1 << 20  # bytes that are searched: of an MP4 track's description, or of another file's head
_TELLING = 2048  # bytes that tell which kind of file it is
_MP4 = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_RECORDS = (b"dvcC", b"dvvC", b"dvwC")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_EXTRA_DATA = b"\x41\xed"  # Matroska's BlockAddIDExtraData
_PACKET_SIZES = (188, 192, 204)  # of MPEG-TS: as it is, with times (.m2ts), with parity
_SYNC = 0x47
_ASSOCIATION, _MAP = 0, 2  # tables of MPEG-TS
_DESCRIPTOR = 0xB0


def dolby_vision(path: Path) -> tuple[int, int] | None:
    """Profile and compatibility of a file's first Dolby Vision record; None where it has none.

    MP4 has the record in a box of the picture's track, Matroska in an addition to its blocks,
    MPEG-TS in a descriptor of its program's map.
    """
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(_TELLING)
        if head.startswith(_MATROSKA):
            return _of_matroska(head + file.read(_MOST))
        if _packets(head):
            return next(_of_transport(_packets(head + file.read(_MOST))), None)
        for begin, end in contents(file, _MP4):
            file.seek(begin)
            said = _of_description(file.read(min(end - begin, _MOST)))
            if said is not None:
                return said
    return None


def _fields(record: bytes) -> tuple[int, int]:
    """Profile and compatibility in a record of at least four bytes."""
    return record[2] >> 1, record[4] >> 4 if len(record) > 4 else 0


def _of_description(data: bytes) -> tuple[int, int] | None:
    for name in _RECORDS:
        place = data.find(name)
        if place >= 4 and data[place - 4 : place] == struct.pack(">I", 32):
            record = data[place + 4 : place + 28]
            return _fields(record) if len(record) > 4 else None
    return None


def _of_matroska(data: bytes) -> tuple[int, int] | None:
    for name in _RECORDS:
        place = data.find(name)
        if place < 0:
            continue
        _, found, rest = data[place + 4 : place + 40].partition(_EXTRA_DATA)
        if found and len(rest) > 5:
            return _fields(rest[1:])  # behind its length
    return None


def _packets(data: bytes) -> list[bytes]:
    """The packets of an MPEG-TS file's head, each from its sync byte on; none in other files."""
    for size in _PACKET_SIZES:
        for begin in range(size):
            signs = data[begin : begin + 5 * size : size]
            if len(signs) > 2 and set(signs) == {_SYNC}:
                return [data[at : at + 188] for at in range(begin, len(data), size)]
    return []


def _of_transport(packets: list[bytes]) -> Iterator[tuple[int, int]]:
    """The fields of the records of all programs (ISO/IEC 13818-1, 2.4.4)."""
    programs = _section(packets, 0, _ASSOCIATION)
    for at in range(8, len(programs) - 7, 4):
        number, pid = struct.unpack_from(">HH", programs, at)
        if number:
            table = _section(packets, pid & 0x1FFF, _MAP)
            yield from _of_map(table)


def _of_map(table: bytes) -> Iterator[tuple[int, int]]:
    at = 12 + _length(table, 10)
    while at + 9 <= len(table):  # a stream's five bytes, and four of the checksum
        end = at + 5 + _length(table, at + 3)
        at += 5
        while at + 2 <= min(end, len(table)):
            tag, size = table[at], table[at + 1]
            record = table[at + 2 : at + 2 + size]
            if tag == _DESCRIPTOR and len(record) >= 4:
                yield _fields(record)
            at += 2 + size
        at = end


def _section(packets: list[bytes], pid: int, table: int) -> bytes:
    """The first whole section of a table; empty where there is none."""
    section = b""
    for packet in packets:
        if len(packet) < 188 or _number(packet, 1) & 0x1FFF != pid or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40:  # a section begins, behind a pointer to it
            section = payload[1 + payload[0] :] if payload else b""
            section = section if section[:1] == bytes((table,)) else b""
        elif section:
            section += payload
        if len(section) >= 3 + _length(section, 1) > 3:
            return section[: 3 + _length(section, 1)]
    return b""


def _length(data: bytes, at: int) -> int:
    return _number(data, at) & 0xFFF


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
