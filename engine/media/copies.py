"""Copy sound, subtitles and attachments from file to file, packet by packet."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from engine.media.clock_jumps import Splices
from engine.media.pyav import as_fraction, codec_of, open_input, open_output, path_of, printable
from engine.media.transcoding import (
    JITTER,
    TIMELESS,
    Conversion,
    SoundConversion,
    usual_layout,
)
from engine.media.trim import Window

# What MPEG-TS has a name for; its muxer writes all else, too, as data that no reader knows.
_TRANSPORTED = frozenset(
    {
        "aac",
        "aac_latm",
        "ac3",
        "dts",
        "dvb_subtitle",
        "dvb_teletext",
        "eac3",
        "mp1",
        "mp2",
        "mp3",
        "opus",
        "s302m",
        "truehd",
    }
)
# Formats whose muxers write a track of time codes from the metadata.
_TIME_CODED = frozenset({"mov", "mp4"})
_BEHIND = 10  # seconds by which one stream may come later in a file than another


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes with the picture: the output's streams, by the source's stream index.

    `conversions` are of streams that the output could not hold as they were. `warnings` tell of
    these, and of what is left out.
    """

    copies: dict[int, Stream]
    conversions: dict[int, Conversion]
    warnings: list[str]

    @property
    def streams(self) -> dict[int, Stream]:
        """All of the output's streams but that of the picture."""
        return {**self.copies, **{n: one.stream for n, one in self.conversions.items()}}


def add_copies(
    source: InputContainer,
    output: OutputContainer,
    picture: Stream,
    *,
    window: Window,
    unwanted: Callable[[Stream], bool],
    convert: Callable[[Stream], Conversion | None],
) -> Carried:
    """Adds a stream to `output` for each of `source` that it can hold, but not for `picture`.

    Those that are `unwanted` are passed over without a word. `convert` adds what holds anew a
    stream that the output cannot hold, if it can.
    """
    carried = Carried({}, {}, [])
    name = output.format.name
    for stream in source.streams:
        if stream.index == picture.index or unwanted(stream):
            continue
        if _kind(stream) == ("data", "bin_data") and source.chapters():
            continue  # in MP4 the chapters' titles; they are written anew
        if _is_time_code(stream) and name in _TIME_CODED:
            continue  # their muxers write it anew, from the picture's metadata
        if _is_cover(stream) and name == "matroska":
            _attach_cover(source, output, stream)
            continue
        held = _can_hold(name, stream)
        late = held and name in TIMELESS and _is_late(stream, window)
        conversion = convert(stream) if late or not held else None
        if conversion is not None:
            carried.conversions[stream.index] = conversion
            why = "say that it begins late" if late else "hold it as it is"
            carried.warnings.append(
                f"The {_named(stream)} is encoded anew as {conversion.codec}: {name} cannot {why}."
            )
        elif held:
            carried.copies[stream.index] = _add_copy(output, stream)
        else:
            carried.warnings.append(f"The {_named(stream)} is left out: {name} cannot hold it.")
    return carried


def copied_packets(
    source: InputContainer, carried: Carried, window: Window
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Packets ready to be muxed, each with its time in the output's seconds."""
    wanted = [stream for stream in source.streams if stream.index in carried.streams]
    packets = [stream for stream in wanted if stream.type != "attachment"]
    if not packets:
        return
    latest: dict[int, int] = {}
    gaps = _Gaps(window)
    for packet in _demuxed(source, packets, window.end):
        # The demuxer ends with empty packets; a cover has no time, but it is not empty.
        if not packet.size or _is_filler(packet):
            continue
        conversion = carried.conversions.get(packet.stream_index)
        # Sound that is encoded anew is cut to the sample, and so not here.
        if not isinstance(conversion, SoundConversion) and not _placed(packet, window):
            continue
        if conversion is None:
            copy = carried.copies[packet.stream_index]
            if gaps.close(packet, copy):
                carried.warnings.append(
                    f"The {_named(packet.stream)} has gaps, which {copy.container.format.name} "
                    "cannot say: what follows is heard too early. Choose .mkv or .mp4."
                )
            packet.stream = copy
            yield _in_order(packet, latest)
        else:
            for made in conversion.packets(packet):
                yield _in_order(made, latest)
    yield from _rest(source, carried, latest)


def _rest(
    source: InputContainer, carried: Carried, latest: dict[int, int]
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """What conversions still hold at the end; tells of what they lost."""
    for index, conversion in carried.conversions.items():
        for made in conversion.rest():
            yield _in_order(made, latest)
        if conversion.lost:
            carried.warnings.append(
                f"The {_named(source.streams[index])} has {conversion.lost} damaged or overlong "
                f"parts that could not be encoded as {conversion.codec}; they are left out."
            )


class _Gaps:
    """Closes gaps in copied sound for containers that write it without times."""

    def __init__(self, window: Window) -> None:
        self._begin = window.begin - window.shift
        self._ends: dict[int, Fraction] = {}
        self._closed: dict[int, Fraction] = {}

    def close(self, packet: Packet[Any], copy: Stream) -> bool:
        """Move a packet to the end of the one before; True at the first gap of a stream.

        Some muxers would refuse a gap. The packet has the output's time.
        """
        if copy.type != "audio" or copy.container.format.name not in TIMELESS:
            return False
        if packet.pts is None or packet.dts is None or not packet.duration:
            return False
        index, base = packet.stream_index, as_fraction(packet.time_base)
        time = packet.pts * base
        gap = time - self._ends.get(index, self._begin)
        self._ends[index] = time + packet.duration * base
        is_first = gap > JITTER and index not in self._closed
        if gap > JITTER:
            self._closed[index] = self._closed.get(index, Fraction(0)) + gap
        moved = round(self._closed.get(index, Fraction(0)) / base)
        packet.pts, packet.dts = packet.pts - moved, packet.dts - moved
        return is_first


def _is_late(stream: Stream, window: Window) -> bool:
    """Whether sound begins noticeably after the output does."""
    if stream.type != "audio" or stream.start_time is None:
        return False
    return stream.start_time * as_fraction(stream.time_base) > window.begin + JITTER


def _demuxed(
    source: InputContainer, streams: list[Stream], end: Fraction | None
) -> Iterator[Packet[Any]]:
    """Packets up to `end`, to the file's end, or to where it cannot be read any further.

    What is missing then is missing from the picture, too, and its reader says so.
    """
    splices = Splices(source)
    # Some files have their subtitles at the end, so that each stream tells for itself.
    waiting = {stream.index for stream in streams if not _is_cover(stream)}
    for stream in source.streams:
        if stream not in (splices.watched or streams):
            stream.discard = Discard.all
    with suppress(av.FFmpegError):
        for packet in source.demux(splices.watched or streams):
            splices.follow(packet)
            if packet.stream in streams:
                yield packet
            if end is not None and _is_behind(packet, end + _BEHIND):
                waiting.discard(packet.stream_index)
                if not waiting:
                    return


def _is_behind(packet: Packet[Any], end: Fraction) -> bool:
    stamp = packet.pts if packet.dts is None else packet.dts
    return stamp is not None and stamp * as_fraction(packet.time_base) > end


def _in_order(packet: Packet[Any], latest: dict[int, int]) -> tuple[Fraction, Packet[Any]]:
    """A packet brought to its output's clock, later than the last of its stream, and its time.

    Packets of one time, or that go back, occur in files on coarse clocks and where a sender
    stumbled. Muxers refuse them. Several subtitles may begin together.
    """
    if packet.dts is None:
        return Fraction(0), packet
    clock = as_fraction(packet.stream.time_base)
    ratio = as_fraction(packet.time_base) / clock
    dts = _rounded(packet.dts * ratio)
    pts = dts if packet.pts is None else _rounded(packet.pts * ratio)
    if packet.stream_index in latest:
        step = 0 if packet.stream.type in ("subtitle", "data") else 1
        dts = max(dts, latest[packet.stream_index] + step)
    packet.duration = round((packet.duration or 0) * ratio)
    packet.pts, packet.dts, packet.time_base = max(pts, dts), dts, clock
    latest[packet.stream_index] = dts
    return dts * clock, packet


def _rounded(time: Fraction) -> int:
    """The nearest whole number, halves away from zero, as FFmpeg rounds an encoder's delay."""
    return int(time + Fraction(1, 2)) if time >= 0 else -int(Fraction(1, 2) - time)


def moved_chapters(source: InputContainer, window: Window) -> list[Any]:
    """The chapters of the part that is kept, in the output's time."""
    kept = []
    for chapter in source.chapters():
        base = as_fraction(chapter["time_base"] or 1)
        start, end = chapter["start"] * base, chapter["end"] * base
        if window.end is not None and start >= window.end:
            continue
        if window.start is not None and end <= window.start:
            continue
        first = start if window.start is None else max(start, window.start)
        last = end if window.end is None else min(end, window.end)
        kept.append(
            {
                **chapter,
                "start": round((first - window.shift) / base),
                "end": round((last - window.shift) / base),
            }
        )
    return kept


def _placed(packet: Packet[Any], window: Window) -> bool:
    """Moves a packet's time into the output; False where it lies outside the window."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    if _is_cover(packet.stream) or stamp is None:
        return True
    base = as_fraction(packet.time_base)
    time = stamp * base
    if window.end is not None and time >= window.end:
        return False
    late = 0
    if window.start is not None and time < window.start:
        shown = time + (packet.duration or 0) * base
        if packet.stream.type != "subtitle" or shown <= window.start:
            return False
        # A subtitle on screen when the part begins appears at its first picture.
        late = round((window.start - time) / base)
        packet.duration = max(1, (packet.duration or 0) - late)
    move = late - round(window.shift / base)
    packet.pts = stamp + move
    packet.dts = packet.pts if packet.dts is None else packet.dts + move
    return True


def _is_filler(packet: Packet[Any]) -> bool:
    """Whether a packet is MP4's empty text between two subtitles, which the muxer writes itself."""
    return packet.size <= 2 and codec_of(packet.stream) == "mov_text"


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _is_time_code(stream: Stream) -> bool:
    return stream.type == "data" and "timecode" in stream.metadata


def _attach_cover(source: InputContainer, output: OutputContainer, stream: Stream) -> None:
    """Adds a cover as Matroska has it: a file of its own."""
    codec = codec_of(stream)
    kind = "jpeg" if codec == "mjpeg" else codec
    with open_input(path_of(source)) as again:
        for packet in again.demux(again.streams[stream.index]):
            if packet.size:
                output.add_attachment(
                    stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}"),
                    stream.metadata.get("mimetype", f"image/{kind}"),
                    bytes(packet),
                )
                return


def _can_hold(format_name: str, stream: Stream) -> bool:
    """Whether a muxer takes a stream: tried on a file in memory, as no table says it all."""
    if _is_cover(stream) and format_name == "mov":
        return False  # its muxer takes a cover and does not write it
    kind, codec = _kind(stream)
    if format_name == "mpegts" and kind in ("audio", "subtitle") and codec not in _TRANSPORTED:
        return False
    file = io.BytesIO()
    try:
        with open_output(file, format_name) as trial:
            copy = _add_copy(trial, stream)
            trial.start_encoding()
            # What a muxer says of PCM it says at the file's end, and of a file that holds some.
            if stream.type == "data" or (codec or "").startswith("pcm_"):
                trial.mux(_first_packet(copy))
        return stream.type != "data" or _comes_back(file, stream)
    except (OSError, av.FFmpegError, ValueError):
        return False


def _first_packet(stream: Stream) -> Packet[Any]:
    packet = Packet(bytes(8))
    packet.pts = packet.dts = 0
    packet.duration, packet.stream = 1, stream
    packet.time_base = as_fraction(stream.time_base)
    return packet


def _comes_back(file: io.BytesIO, stream: Stream) -> bool:
    """Whether a file is read as one stream of the same kind: some muxers write what none knows."""
    file.seek(0)
    with open_input(file) as written:
        return [_kind(other) for other in written.streams] == [_kind(stream)]


def _kind(stream: Stream) -> tuple[str, str]:
    return stream.type, codec_of(stream)


def _add_copy(output: OutputContainer, stream: Stream) -> Stream:
    copy: Stream = output.add_stream_from_template(stream, opaque=True)
    # Streams of unknown codecs have no context.
    if isinstance(stream, AudioStream) and isinstance(copy, AudioStream) and stream.codec_context:
        layout = usual_layout(stream.codec_context)
        if layout != stream.codec_context.layout.name:
            # MP4 writes no PCM whose channels are only counted, as those of AVI and WAV are.
            copy.codec_context.layout = layout
    copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    copy.metadata.update(stream.metadata)
    return copy


def _named(stream: Stream) -> str:
    kind, codec = _kind(stream)
    title = printable(stream.metadata.get("title") or stream.metadata.get("language") or "")
    codec = codec or "of an unknown codec"
    return f"{kind} stream {stream.index} ({codec}{', ' + title if title else ''})"
