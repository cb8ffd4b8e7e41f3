"""Contents of a file, read without the engine, for comparing outputs with targets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from html import unescape
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from engine.media.provenance_tags import SOURCE_TYPE
from engine.media.pyav import as_fraction


def xmp_packet(path: Path) -> str:
    """Return the XMP packet in a file; empty if there is none."""
    found = re.search(rb"<x:xmpmeta.*</x:xmpmeta>", path.read_bytes(), re.DOTALL)
    return found[0].decode() if found else ""


def provenance(path: Path) -> str | None:
    """Return the statement that an output is synthetic; None if there is none."""
    with av.open(str(path)) as container:
        comments = [v for k, v in container.metadata.items() if k.lower() == "comment"]
    statement = next((comment for comment in comments if SOURCE_TYPE in comment), None)
    if statement is not None:
        return statement.removesuffix(f"DigitalSourceType: {SOURCE_TYPE}").strip()
    packet = xmp_packet(path)
    words = re.search(r"<dc:description>.*?<rdf:li[^>]*>(.*?)</rdf:li>", packet, re.DOTALL)
    return unescape(words[1]) if words and SOURCE_TYPE in packet else None


def pictures(path: Path) -> list[tuple[int, NDArray[np.uint8]]]:
    """Pts of every picture, and the bytes of all its planes without padding."""
    with av.open(str(path)) as container:
        return [(p.pts or 0, _bytes(p)) for p in container.decode(video=0)]


def _bytes(picture: VideoFrame) -> NDArray[np.uint8]:
    size = 1 if picture.format.components[0].bits == 8 else 2
    planes: list[Any] = list(picture.planes)
    lines = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size) for p in planes]
    cut = [line[:, : p.width * size].ravel() for p, line in zip(planes, lines, strict=True)]
    return np.concatenate(cut)


def stamps(path: Path) -> tuple[Fraction, list[int]]:
    """Return the video's time base and every pts, in order of display."""
    with av.open(str(path)) as container:
        return as_fraction(container.streams.video[0].time_base), [
            p.pts or 0 for p in container.decode(video=0)
        ]


def seconds(path: Path) -> list[Fraction]:
    base, counts = stamps(path)
    return [count * base for count in counts]


def profile(path: Path) -> str | None:
    """Return the profile of the video's codec, as FFmpeg names it."""
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.profile


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction, bytes]]:
    """Seconds and payload of every packet of the n-th stream of a kind."""
    with av.open(str(path)) as container:
        stream = [stream for stream in container.streams if stream.type == kind][number]
        base = as_fraction(stream.time_base)
        return [
            ((packet.pts or 0) * base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def kinds(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


def payloads(listed: Sequence[tuple[Fraction, bytes]]) -> list[bytes]:
    return [payload for _, payload in listed]


def same_samples(one: Path, other: Path) -> bool:
    first, second = pictures(one), pictures(other)
    return len(first) == len(second) and all(
        a.shape == b.shape and np.array_equal(a, b)
        for (_, a), (_, b) in zip(first, second, strict=True)
    )
