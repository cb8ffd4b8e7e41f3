"""Damage to media files that respects their structure: boxes, elements, chunks, tags, packets.

A file is parsed into a forest of parts. Parts are dropped, doubled, moved, taken from another file
or filled with rubbish, and the lengths and checksums around them are made right again, so that the
damage reaches code behind the first check. Plain damage to bytes takes its turn.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import PurePath
from random import Random

from fuzz_seeds import png_chunk

Wrap = Callable[[bytes], bytes]


def _as_it_is(body: bytes) -> bytes:
    return body


@dataclass
class Part:
    """A part of a file: its content, bytes or parts, and what puts head and length around it."""

    content: bytes | list[Part]
    wrap: Wrap = _as_it_is

    def data(self) -> bytes:
        inner = self.content
        return self.wrap(inner if isinstance(inner, bytes) else joined(inner))


def joined(parts: Sequence[Part]) -> bytes:
    return b"".join(part.data() for part in parts)


# --- Parsers. What does not fit the format becomes one part, so that nothing is lost.

_BOXES = frozenset(
    kind.encode()
    for kind in (
        *("moov", "trak", "mdia", "minf", "stbl", "dinf", "edts", "udta", "mvex"),
        *("moof", "traf", "mfra", "meta", "iprp", "ipco", "stsd", "tref", "gmhd"),
    )
)
# Bytes between a box's head and the boxes in it.
_BOX_HEADS = {b"meta": 4, b"stsd": 8}


def boxes(data: bytes) -> list[Part]:
    """MP4, MOV, AVIF."""
    parts, at = [], 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        size = size or len(data) - at
        if size < head or at + size > len(data):
            break
        skip = _BOX_HEADS.get(kind, 0)
        prefix, body = data[at + head : at + head + skip], data[at + head + skip : at + size]
        parts.append(Part(boxes(body) if kind in _BOXES else body, partial(_box, kind, prefix)))
        at += size
    return [*parts, *_rest(data, at)]


def _box(kind: bytes, prefix: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(prefix + body) + 8) + kind + prefix + body


_MASTERS = frozenset(
    bytes.fromhex(name)
    for name in (
        *("1A45DFA3", "18538067", "114D9B74", "4DBB", "1549A966", "1654AE6B", "AE", "E0", "E1"),
        *("1F43B675", "A0", "1C53BB6B", "BB", "B7", "1254C367", "7373", "63C0", "67C8"),
        *("1043A770", "45B9", "B6", "80", "1941A469", "61A7", "6D80", "6240", "5034", "55B0"),
    )
)


def elements(data: bytes) -> list[Part]:
    """EBML: Matroska and WebM."""
    parts, at = [], 0
    while at < len(data):
        head = _vint(data, at, keep=True)
        size = _vint(data, head[1], keep=False) if head else None
        if head is None or size is None:
            break
        name = data[at : head[1]]
        length, start = size
        if length == (1 << 7 * (start - head[1])) - 1:  # unknown: to the end
            length = len(data) - start
        if start + length > len(data):
            break
        body = data[start : start + length]
        parts.append(Part(elements(body) if name in _MASTERS else body, partial(_element, name)))
        at = start + length
    return [*parts, *_rest(data, at)]


def _vint(data: bytes, at: int, *, keep: bool) -> tuple[int, int] | None:
    """Return the number at a place, with or without its marker, and where it ends."""
    if at >= len(data) or not data[at]:
        return None
    length = 9 - data[at].bit_length()
    if at + length > len(data):
        return None
    value = int.from_bytes(data[at : at + length])
    return value if keep else value ^ 1 << 7 * length, at + length


def _element(name: bytes, body: bytes) -> bytes:
    return name + (1 << 56 | len(body)).to_bytes(8) + body


def riff(data: bytes) -> list[Part]:
    """AVI and WebP."""
    parts, at = [], 0
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            break
        body, nested = data[at + 8 : at + 8 + size], kind in (b"RIFF", b"LIST")
        form = body[:4] if nested else b""
        parts.append(Part(riff(body[4:]) if nested else body, partial(_chunk, kind, form)))
        at += 8 + size + size % 2
    return [*parts, *_rest(data, at)]


def _chunk(kind: bytes, form: bytes, body: bytes) -> bytes:
    body = form + body
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def png(data: bytes) -> list[Part]:
    """PNG, its checksums made right."""
    parts, at = [Part(data[:8])], 8
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if at + 12 + size > len(data):
            break
        parts.append(Part(data[at + 8 : at + 8 + size], partial(png_chunk, kind)))
        at += 12 + size
    return [*parts, *_rest(data, at)]


def jpeg(data: bytes) -> list[Part]:
    """JPEG: segments, and the scans as one part each."""
    parts, at = [], 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at : at + 2]
        if marker[1] in (0xD8, 0xD9):
            parts.append(Part(marker))
            at += 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + size]
        parts.append(Part(body, partial(_segment, marker)))
        at += 2 + size
        if marker[1] == 0xDA:
            scan = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, at)
            end = scan.start() if scan else len(data)
            parts.append(Part(data[at:end]))
            at = end
    return [*parts, *_rest(data, at)]


def _segment(marker: bytes, body: bytes) -> bytes:
    return marker + struct.pack(">H", (len(body) + 2) & 0xFFFF) + body


def flv(data: bytes) -> list[Part]:
    """FLV: the header, and tags with the length behind each."""
    parts, at = [Part(data[:13])], 13
    while at + 15 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4])
        if at + 15 + size > len(data):
            break
        wrap = partial(_tag, data[at : at + 1], data[at + 4 : at + 11])
        parts.append(Part(data[at + 11 : at + 11 + size], wrap))
        at += 15 + size
    return [*parts, *_rest(data, at)]


def _tag(kind: bytes, times: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(3) + times + body + struct.pack(">I", len(body) + 11)


def packets(data: bytes) -> list[Part]:
    """MPEG-TS."""
    return [Part(data[at : at + 188]) for at in range(0, len(data), 188)]


def packs(data: bytes) -> list[Part]:
    """MPEG program streams: at each start code of the system layer."""
    starts = (found.start() for found in re.finditer(rb"\x00\x00\x01[\xb9-\xff]", data))
    edges = sorted({0, *starts, len(data)})
    return [Part(data[start:end]) for start, end in pairwise(edges)]


def gif(data: bytes) -> list[Part]:
    """GIF: the header, extensions, pictures."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0) if len(data) > 13 else 0
    parts = [Part(data[:at])]
    while at < len(data) and data[at] in b"\x21\x2c":
        start = at
        local = data[at + 9] if data[at] == 0x2C and at + 9 < len(data) else 0
        at += 2 if data[at] == 0x21 else 11 + (3 << (local & 7) + 1 if local & 0x80 else 0)
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
        parts.append(Part(data[start:at]))
    return [*parts, *_rest(data, at)]


def tiff(data: bytes) -> list[Part]:
    """TIFF: the entries of the first directory, and all before and behind them."""
    order = "<" if data[:2] == b"II" else ">"
    first = struct.unpack_from(order + "I", data, 4)[0] if len(data) > 8 else len(data)
    if first + 2 > len(data):
        return [Part(data)]
    count = struct.unpack_from(order + "H", data, first)[0]
    entries = [first + 2 + 12 * number for number in range(count + 1)]
    parts = [Part(data[at : at + 12]) for at in entries[:-1]]
    return [Part(data[: first + 2]), *parts, *_rest(data, entries[-1])]


def whole(data: bytes) -> list[Part]:
    return [Part(data)]


def _rest(data: bytes, at: int) -> list[Part]:
    return [Part(data[at:])] if at < len(data) else []


PARSERS: Mapping[str, Callable[[bytes], list[Part]]] = {
    **dict.fromkeys((".mp4", ".mov", ".avif"), boxes),
    **dict.fromkeys((".mkv", ".webm"), elements),
    **dict.fromkeys((".avi", ".webp"), riff),
    ".png": png,
    ".jpg": jpeg,
    ".flv": flv,
    ".ts": packets,
    ".mpg": packs,
    ".gif": gif,
    ".tiff": tiff,
    ".bmp": whole,
}

# --- Damage.

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST = 4 << 20  # bytes of a damaged file


def scar(data: bytes, rng: Random) -> bytes:
    """Return the bytes with one small damage."""
    if not data:
        return rng.randbytes(rng.randint(1, 16))
    damaged = bytearray(data)
    at = rng.randrange(len(data))
    length = min(len(data) - at, rng.choice((1, 2, 4, 8, 64, 1024)))
    kind = rng.randrange(7)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 3, 16))):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        for _ in range(rng.choice((1, 1, 3, 16))):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:
        width = rng.choice((1, 2, 4, 4, 8))
        number = rng.choice(_NUMBERS) & (1 << 8 * width) - 1
        damaged[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
    elif kind == 3:
        damaged[at : at + length] = bytes(length)
    elif kind == 4:
        del damaged[at : at + length]
    elif kind == 5:
        damaged[at:at] = rng.randbytes(length)
    else:
        damaged[at:at] = damaged[at : at + length]
    return bytes(damaged)


def _lists(parts: list[Part]) -> Iterator[list[Part]]:
    """This list of parts and all within it."""
    yield parts
    for part in parts:
        if isinstance(part.content, list):
            yield from _lists(part.content)


def _pick(parts: list[Part], rng: Random) -> tuple[list[Part], int]:
    """Return a part by its list and its place, lists of few parts as often as those of many."""
    siblings = rng.choice([each for each in _lists(parts) if each])
    return siblings, rng.randrange(len(siblings))


def _leaf(part: Part, rng: Random) -> Part:
    while isinstance(part.content, list) and part.content:
        part = rng.choice(part.content)
    return part


def restructure(data: bytes, donor: bytes, suffix: str, rng: Random) -> tuple[str, bytes]:
    """Damage one part of a file; returns what was done, and the file."""
    parse = PARSERS[suffix]
    parts = parse(data)
    siblings, at = _pick(parts, rng)
    kind = rng.choice(("drop", "double", "swap", "move", "graft", "fill", "fill", "fill", "lie"))
    if kind == "drop":
        del siblings[at]
    elif kind == "double":
        siblings[at:at] = [siblings[at]] * rng.choice((1, 1, 3, 40))
    elif kind == "swap":
        other = rng.randrange(len(siblings))
        siblings[at], siblings[other] = siblings[other], siblings[at]
    elif kind == "move":
        moved = siblings.pop(at)
        goal = rng.choice(list(_lists(parts)))
        goal.insert(rng.randint(0, len(goal)), moved)
    elif kind == "graft":
        others, place = _pick(parse(donor), rng)
        siblings[at] = others[place]
    elif kind == "fill":
        leaf = _leaf(siblings[at], rng)
        if isinstance(leaf.content, bytes):
            leaf.content = scar(leaf.content, rng)
    else:
        told = bytearray(siblings[at].data())
        told[: len(told[:16])] = scar(bytes(told[:16]), rng)
        siblings[at] = Part(bytes(told))
    return kind, joined(parts)


def mutate(name: str, seeds: Mapping[str, bytes], rng: Random) -> tuple[list[str], bytes]:
    """Damage a seed one to three times; returns what was done, and the file.

    Args:
        name: the seed's name, whose suffix tells the format.
        seeds: all seeds by name; others may lend a part.
        rng: decides everything.
    """
    suffix = PurePath(name).suffix
    kin = sorted(other for other in seeds if PARSERS[PurePath(other).suffix] is PARSERS[suffix])
    data, done = seeds[name], []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        donor = seeds[rng.choice(kin)]
        kind = rng.choice(("part", "part", "part", "part", "bytes", "cut", "join"))
        if not data:
            break
        if kind == "part":
            kind, data = restructure(data, donor, suffix, rng)
        elif kind == "bytes":
            data = scar(data, rng)
        elif kind == "cut":
            data = data[: rng.randint(0, len(data))]
        else:
            data += donor
        done.append(kind)
        data = data[:_MOST]
    return done, data
