"""Keep the encoded packets of a video segment in a file, and read them back."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

_MAGIC: Final = b"FSEG\x01"
# Sizes of the data and of its alpha, pts, dts, duration, and 1 for a key frame.
_HEAD: Final = struct.Struct("<IIqqqB")
_REST: Final = struct.Struct("<IqqqB")  # without the first size
_END: Final = 2**32 - 1  # in place of a size: the facts follow, as their size and JSON
_SIZE: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """A packet of an encoder; times are in units of the encoder's time base.

    `alpha` is the transparency that VP8 and VP9 encode beside the picture; empty without any.
    """

    data: bytes
    pts: int
    dts: int
    duration: int
    is_keyframe: bool
    alpha: bytes = b""


class PacketWriter:
    """Writes packets to a new file.

    The file holds the packets in the order of decoding, then facts about them as JSON, and the
    CRC-32 of all that. It is complete only after `finish`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._crc = 0
        self._write(_MAGIC)

    def add(self, packet: EncodedPacket) -> None:
        """Write a packet."""
        times = packet.pts, packet.dts, packet.duration
        sizes = len(packet.data), len(packet.alpha)
        self._write(_HEAD.pack(*sizes, *times, packet.is_keyframe) + packet.data + packet.alpha)

    def finish(self, facts: object) -> None:
        """Write the facts, which JSON can hold."""
        text = json.dumps(facts, separators=(",", ":")).encode()
        self._write(_SIZE.pack(_END) + _SIZE.pack(len(text)) + text)
        self._file.write(_SIZE.pack(self._crc))

    def _write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._file.write(data)


def read_packets(path: Path) -> Iterator[EncodedPacket]:
    """Yield the packets of a complete file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not what was written.
    """
    with path.open("rb") as file:
        _expect_magic(file)
        while (size := _size(file)) != _END:
            alpha, pts, dts, duration, is_keyframe = _REST.unpack(_read(file, _REST.size))
            data = _read(file, size)
            yield EncodedPacket(data, pts, dts, duration, bool(is_keyframe), _read(file, alpha))


def read_facts(path: Path) -> Any:
    """Return the facts of a complete file, which is read to its end and verified.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is incomplete or damaged.
    """
    crc = 0
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        while (left := length - _SIZE.size - file.tell()) > 0:
            crc = zlib.crc32(_read(file, min(left, 2**20)), crc)
        if length < _SIZE.size or _size(file) != crc:
            raise ValueError(f"{path.name} is incomplete or damaged.")
        file.seek(0)
        _expect_magic(file)
        while (size := _size(file)) != _END:
            (alpha, *_) = _REST.unpack(_read(file, _REST.size))
            file.seek(size + alpha, os.SEEK_CUR)
        return json.loads(_read(file, _size(file)))


def _expect_magic(file: BinaryIO) -> None:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError(f"{file.name} is no file of packets, or of another version.")


def _size(file: BinaryIO) -> int:
    (size,) = _SIZE.unpack(_read(file, _SIZE.size))
    return int(size)


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"{file.name} ends too early.")
    return data
