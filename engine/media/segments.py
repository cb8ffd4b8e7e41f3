"""Segments of a video stream, each encoded by an encoder of its own.

No frame of a segment is predicted from another segment. So segments can be encoded at different
times and places, and joined to the stream that one run would have made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from typing import Final, Protocol

from engine.media.packet_file import EncodedPacket
from engine.values import Frame

SEGMENT_SECONDS: Final = 10
_FEWEST, _MOST = 50, 600  # frames of a segment


class Segments(Protocol):
    """Keeps the segments of an output until it is complete."""

    @property
    def length(self) -> int:
        """Number of frames of each segment; the last may be shorter."""
        ...

    def finished(self) -> Iterator[Iterator[EncodedPacket]]:
        """Yield the packets of each segment that was finished earlier, in order."""
        ...

    def keep(self, packets: Iterator[EncodedPacket]) -> Iterator[EncodedPacket]:
        """Yield the packets of the next segment, and keep them."""
        ...


@dataclass(frozen=True, slots=True)
class UnkeptSegments:
    """Segments that nobody keeps."""

    length: int

    def finished(self) -> Iterator[Iterator[EncodedPacket]]:
        """Yield nothing."""
        return iter(())

    def keep(self, packets: Iterator[EncodedPacket]) -> Iterator[EncodedPacket]:
        """Return the packets."""
        return packets


def segment_length(frame_rate: Fraction) -> int:
    """Return the number of frames of a segment, which is the same for every run on a video."""
    return min(max(round(SEGMENT_SECONDS * frame_rate), _FEWEST), _MOST)


def split_frames(frames: Iterable[Frame], length: int) -> Iterator[Iterator[Frame]]:
    """Yield the frames of each segment; a segment must be read to its end before the next one."""
    stream = iter(frames)
    for first in stream:
        yield chain((first,), islice(stream, length - 1))


def join_segments(segments: Iterable[Iterable[EncodedPacket]]) -> Iterator[EncodedPacket]:
    """Yield the packets of all segments with decoding times that increase.

    Each encoder places the decoding times of its first packets before its first frame, where those
    of the segment before lie, if it reorders frames. These packets take the times of the last
    frames of that segment, as the packets of one encoder for all segments would have them.
    """
    before: list[int] = []  # display times of the segment before, in order
    for segment in segments:
        packets = iter(segment)
        early: list[EncodedPacket] = []
        times: list[int] = []
        for packet in packets:
            times.append(packet.pts)
            early.append(packet)
            if packet.dts >= times[0]:
                break
        yield from _move_decoding_times(early, before)
        for packet in packets:
            times.append(packet.pts)
            yield packet
        before = sorted(times)


def _move_decoding_times(
    packets: list[EncodedPacket], before: list[int]
) -> Iterator[EncodedPacket]:
    """Move the packets that are decoded before the first frame of their segment."""
    first = packets[0].pts
    early = [packet for packet in packets if packet.dts < first]
    known = before[len(before) - len(early) :] if before else []
    for packet, time in zip(early, known, strict=False):
        yield replace(packet, dts=time)
    yield from packets[len(known) :]
