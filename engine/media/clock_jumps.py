"""Make timestamps continuous in files whose clock restarts, such as joined MPEG-TS files."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from engine.media.joined_files import is_joined_matroska
from engine.media.pyav import as_fraction, path_of

_CONCATENATED = frozenset({"mpegts", "mpeg", "flv", "ogg"})
_MATROSKA = "matroska,webm"
# Seconds by which a dts goes back, or ahead of all streams, at the start of a part. As long as the
# file has one part, a shorter jump ahead is a pause.
_BACK, _AHEAD, _FAR_AHEAD = Fraction(3, 10), 10, 3600


@dataclass
class _StreamClock:
    """Position of one stream; times are in seconds."""

    part: int  # number of parts before the current one
    offset: Fraction  # added to the part's times
    last: Fraction  # last dts, without the offset
    end: Fraction  # end of the last packet by its dts, with the offset
    shown: Fraction  # latest end of a packet by its pts, with the offset
    step: Fraction = Fraction(0)  # between the last two packets


class ClockJumps:
    """Finds where a file's clock restarts, and moves all later packets after those before.

    A reader must pass every packet of the streams in `watched` to `follow`, so that all readers
    move the same packets by the same offset. `parts` counts the restarts so far.
    """

    def __init__(self, container: InputContainer) -> None:
        self.watched = list(container.streams) if may_be_joined(container) else []
        self.parts = 0
        self._offset = Fraction(0)
        self._latest: Fraction | None = None
        self._clocks: dict[int, _StreamClock] = {}

    def follow(self, packet: Packet[Any]) -> None:
        """Add the offset of a packet's part to its times, in place."""
        if not self.watched:
            return
        offset = self._offset_of(packet)
        if offset:
            moved = round(offset / as_fraction(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts + moved
            packet.dts = None if packet.dts is None else packet.dts + moved

    def _offset_of(self, packet: Packet[Any]) -> Fraction:
        stream: Stream = packet.stream
        if packet.dts is None or not packet.size or stream.type not in ("audio", "video"):
            return self._offset
        base = as_fraction(packet.time_base)
        time, length = packet.dts * base, (packet.duration or 0) * base
        # Delay from decoding to display; 0 for the first frames of Matroska, where it is unknown.
        delay = Fraction(0) if packet.pts is None else packet.pts * base - time
        delay = delay if 0 <= delay < _AHEAD else Fraction(0)  # a longer delay is damage
        clock = self._clocks.get(stream.index)
        if clock is None:
            begin = time + self._offset
            clock = _StreamClock(self.parts, self._offset, time, begin, begin)
            self._clocks[stream.index] = clock
        elif self._jumps(clock, time):
            if clock.part == self.parts or self._is_ahead(time + self._offset):
                self.parts += 1
                # One offset for all streams of a part keeps its sound and picture together.
                decoded = max(one.end for one in self._clocks.values())
                shown = max(one.shown for one in self._clocks.values())
                self._offset = max(decoded, shown - delay) - time
            clock.part, clock.offset = self.parts, self._offset
        else:
            clock.step = time - clock.last
        clock.last = time
        end = time + clock.offset + (length or clock.step)
        clock.end, clock.shown = max(clock.end, end), max(clock.shown, end + delay)
        self._latest = max(clock.end, self._latest or clock.end)
        return clock.offset

    def _jumps(self, clock: _StreamClock, time: Fraction) -> bool:
        if time < clock.last - _BACK:
            return True
        return self._is_ahead(time + clock.offset)

    def _is_ahead(self, time: Fraction) -> bool:
        ahead = _AHEAD if self.parts else _FAR_AHEAD
        return self._latest is not None and time > self._latest + ahead


def may_be_joined(container: InputContainer) -> bool:
    """Return True for formats that can be joined by concatenation, which restarts the clock."""
    name = container.format.name
    return name in _CONCATENATED or (name == _MATROSKA and is_joined_matroska(path_of(container)))
