"""Give one time to files whose clock restarts in the middle, such as joined transport streams."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from engine.media.joined_files import is_joined_matroska
from engine.media.pyav import as_fraction, path_of

_JOINED = frozenset({"mpegts", "mpeg", "flv", "ogg"})
_MATROSKA = "matroska,webm"
# Seconds that a stream's decoding time goes back, or ahead of all streams, where a part begins.
# In a file of one part, only a far jump is no pause.
_BACK, _AHEAD, _FAR_AHEAD = Fraction(3, 10), 10, 3600


@dataclass
class _Course:
    """How far one stream has come."""

    part: int  # the number of parts that began before this one
    offset: Fraction  # what moves the part's times behind those before it
    last: Fraction  # the last decoding time as the file has it
    end: Fraction  # when the last packet ends, in decoding time of the whole
    shown: Fraction  # when what is shown last ends, in the time of the whole
    step: Fraction = Fraction(0)  # from packet to packet


class Splices:
    """Finds where a file's clock restarts, and moves all packets from there behind the last.

    Whoever reads a file must show every packet of the streams in `watched` to `follow`, so that
    all readers move the same packets by the same offset.
    """

    def __init__(self, container: InputContainer) -> None:
        self.watched = list(container.streams) if may_be_joined(container) else []
        self.parts = 0
        self._offset = Fraction(0)
        self._latest: Fraction | None = None
        self._courses: dict[int, _Course] = {}

    def follow(self, packet: Packet[Any]) -> None:
        """Moves a packet's times in place."""
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
        # By how much it is shown later; unknown of the first pictures in Matroska, and so zero.
        wait = Fraction(0) if packet.pts is None else packet.pts * base - time
        wait = wait if 0 <= wait < _AHEAD else Fraction(0)  # what is longer is damage
        course = self._courses.get(stream.index)
        if course is None:
            begin = time + self._offset
            course = _Course(self.parts, self._offset, time, begin, begin)
            self._courses[stream.index] = course
        elif self._jumps(course, time):
            if course.part == self.parts or self._is_ahead(time + self._offset):
                self.parts += 1
                # One offset for all streams of a part keeps its sound and picture together.
                decoded = max(one.end for one in self._courses.values())
                shown = max(one.shown for one in self._courses.values())
                self._offset = max(decoded, shown - wait) - time
            course.part, course.offset = self.parts, self._offset
        else:
            course.step = time - course.last
        course.last = time
        end = time + course.offset + (length or course.step)
        course.end, course.shown = max(course.end, end), max(course.shown, end + wait)
        self._latest = max(course.end, self._latest or course.end)
        return course.offset

    def _jumps(self, course: _Course, time: Fraction) -> bool:
        if time < course.last - _BACK:
            return True
        return self._is_ahead(time + course.offset)

    def _is_ahead(self, time: Fraction) -> bool:
        ahead = _AHEAD if self.parts else _FAR_AHEAD
        return self._latest is not None and time > self._latest + ahead


def may_be_joined(container: InputContainer) -> bool:
    """Whether a file may have been joined by writing one after the other, and so lacks one time."""
    name = container.format.name
    return name in _JOINED or (name == _MATROSKA and is_joined_matroska(path_of(container)))
