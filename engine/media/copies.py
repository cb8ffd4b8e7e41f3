"""Copy sound, subtitles, data and attachments of the target packet by packet."""

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

from engine.media.clock_jumps import ClockJumps
from engine.media.containers import Container
from engine.media.pyav import as_fraction, codec_of, open_input, open_output, path_of, printable
from engine.media.transcoding import (
    JITTER,
    Conversion,
    SoundConversion,
    usual_layout,
)
from engine.media.trim import Window

_INTERLEAVING = 10  # seconds by which one stream may come later in a file than another


@dataclass(frozen=True, slots=True)
class StreamCopies:
    """The output's streams besides the video, by the stream index of the source.

    Attributes:
        container: the output's container.
        copies: streams that are copied packet by packet.
        conversions: streams that the output cannot hold and that are re-encoded.
        warnings: a sentence for each stream that is re-encoded or left out.
    """

    container: Container

    copies: dict[int, Stream]
    conversions: dict[int, Conversion]
    warnings: list[str]

    @property
    def streams(self) -> dict[int, Stream]:
        """All streams of the output except the video."""
        return {**self.copies, **{n: one.stream for n, one in self.conversions.items()}}


def add_copies(
    source: InputContainer,
    muxer: OutputContainer,
    container: Container,
    video: Stream,
    *,
    window: Window,
    is_dropped: Callable[[Stream], bool],
    convert: Callable[[Stream], Conversion | None],
) -> StreamCopies:
    """Add a stream to `muxer` for each stream of `source` except `video`.

    Args:
        source: the target.
        muxer: the output, before its header is written.
        container: the container of `muxer`.
        video: the stream of `source` that the swapped frames replace.
        window: part of the target that is kept.
        is_dropped: True for a stream that is left out on request, without a warning.
        convert: adds a re-encoded stream to the output; returns None if that is impossible.
    """
    copies = StreamCopies(container, {}, {}, [])
    name = container.name
    for stream in source.streams:
        if stream.index == video.index or is_dropped(stream):
            continue
        if _kind(stream) == ("data", "bin_data") and source.chapters():
            continue  # chapter titles of MP4; the muxer writes them from the chapters
        if _is_time_code(stream) and container.writes_time_code:
            continue  # the muxer writes it from the metadata of the video
        if _is_cover(stream) and container.covers == "attachment":
            _attach_cover(source, muxer, stream)
            continue
        fits = _can_hold(container, stream)
        is_late = fits and not container.stores_times and _starts_late(stream, window)
        conversion = convert(stream) if is_late or not fits else None
        if conversion is not None:
            copies.conversions[stream.index] = conversion
            why = "store that it begins late" if is_late else "hold the original"
            copies.warnings.append(
                f"The {_description(stream)} is re-encoded as {conversion.codec}: {name} cannot "
                f"{why}."
            )
        elif fits:
            copies.copies[stream.index] = _add_copy(muxer, stream)
        else:
            copies.warnings.append(
                f"The {_description(stream)} is left out: {name} cannot hold it."
            )
    return copies


def copied_packets(
    source: InputContainer, copies: StreamCopies, window: Window
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Yield the packets to mux, each with its decoding time in seconds of the output.

    Adds to `copies.warnings` what turns out on the way.
    """
    streams = [
        stream
        for stream in source.streams
        if stream.index in copies.streams and stream.type != "attachment"
    ]
    if not streams:
        return
    latest: dict[int, int] = {}
    gaps = _GapRemover(copies.container, window)
    for packet in _demux(source, streams, window.end):
        # The demuxer ends with empty packets; a cover has no time, but it is not empty.
        if not packet.size or _is_filler(packet):
            continue
        conversion = copies.conversions.get(packet.stream_index)
        # Re-encoded sound is cut to the sample by its conversion.
        if not isinstance(conversion, SoundConversion) and not _move(packet, window):
            continue
        if conversion is None:
            copy = copies.copies[packet.stream_index]
            if gaps.remove(packet, copy):
                copies.warnings.append(
                    f"The {_description(packet.stream)} has gaps, which {copies.container.name} "
                    "cannot store: the sound after them is heard too early. Choose .mkv or .mp4."
                )
            packet.stream = copy
            yield _in_output_time(packet, latest)
        else:
            for converted in conversion.packets(packet):
                yield _in_output_time(converted, latest)
    yield from _flush(source, copies, latest)


def _flush(
    source: InputContainer, copies: StreamCopies, latest: dict[int, int]
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Yield the last packets of the conversions and add a warning for what they left out."""
    for index, conversion in copies.conversions.items():
        for packet in conversion.flush():
            yield _in_output_time(packet, latest)
        if conversion.lost:
            copies.warnings.append(
                f"The {_description(source.streams[index])} has {conversion.lost} damaged or "
                f"overlong parts that could not be encoded as {conversion.codec}; they are left "
                "out."
            )


class _GapRemover:
    """Removes gaps in copied sound for containers that store no times."""

    def __init__(self, container: Container, window: Window) -> None:
        self._is_needed = not container.stores_times
        self._begin = window.begin - window.shift
        self._ends: dict[int, Fraction] = {}
        self._removed: dict[int, Fraction] = {}  # seconds by stream

    def remove(self, packet: Packet[Any], copy: Stream) -> bool:
        """Move a packet to the end of the one before; return True at a stream's first gap.

        The packet has the output's time. Some muxers refuse a gap.
        """
        if copy.type != "audio" or not self._is_needed:
            return False
        if packet.pts is None or packet.dts is None or not packet.duration:
            return False
        index, base = packet.stream_index, as_fraction(packet.time_base)
        time = packet.pts * base
        gap = time - self._ends.get(index, self._begin)
        self._ends[index] = time + packet.duration * base
        is_first = gap > JITTER and index not in self._removed
        if gap > JITTER:
            self._removed[index] = self._removed.get(index, Fraction(0)) + gap
        moved = round(self._removed.get(index, Fraction(0)) / base)
        packet.pts, packet.dts = packet.pts - moved, packet.dts - moved
        return is_first


def _starts_late(stream: Stream, window: Window) -> bool:
    """Return True if a stream is sound that begins audibly after the output does."""
    if stream.type != "audio" or stream.start_time is None:
        return False
    return stream.start_time * as_fraction(stream.time_base) > window.begin + JITTER


def _demux(
    source: InputContainer, streams: list[Stream], end: Fraction | None
) -> Iterator[Packet[Any]]:
    """Yield packets up to `end`, to the end of the file or to where it becomes unreadable.

    An unreadable rest needs no warning here: the reader of the frames warns of it.
    """
    jumps = ClockJumps(source)
    # Some files have their subtitles at the end, so each stream must reach `end` by itself.
    waiting = {stream.index for stream in streams if not _is_cover(stream)}
    for stream in source.streams:
        if stream not in (jumps.watched or streams):
            stream.discard = Discard.all
    with suppress(av.FFmpegError):
        for packet in source.demux(jumps.watched or streams):
            jumps.follow(packet)
            if packet.stream in streams:
                yield packet
            if end is not None and _is_after(packet, end + _INTERLEAVING):
                waiting.discard(packet.stream_index)
                if not waiting:
                    return


def _is_after(packet: Packet[Any], end: Fraction) -> bool:
    stamp = packet.pts if packet.dts is None else packet.dts
    return stamp is not None and stamp * as_fraction(packet.time_base) > end


def _in_output_time(packet: Packet[Any], latest: dict[int, int]) -> tuple[Fraction, Packet[Any]]:
    """Convert a packet to its output stream's time base; return its dts in seconds and itself.

    The dts is made later than `latest`, the last one of the stream: muxers refuse packets with
    equal or decreasing times, which occur in files with a coarse time base and in damaged
    broadcasts. Several subtitles may begin together.
    """
    if packet.dts is None:
        return Fraction(0), packet
    clock = as_fraction(packet.stream.time_base)
    ratio = as_fraction(packet.time_base) / clock
    dts = _round_half_away(packet.dts * ratio)
    pts = dts if packet.pts is None else _round_half_away(packet.pts * ratio)
    if packet.stream_index in latest:
        step = 0 if packet.stream.type in ("subtitle", "data") else 1
        dts = max(dts, latest[packet.stream_index] + step)
    packet.duration = round((packet.duration or 0) * ratio)
    packet.pts, packet.dts, packet.time_base = max(pts, dts), dts, clock
    latest[packet.stream_index] = dts
    return dts * clock, packet


def _round_half_away(time: Fraction) -> int:
    """Round to the nearest integer, halves away from zero, as FFmpeg rounds an encoder's delay."""
    return int(time + Fraction(1, 2)) if time >= 0 else -int(Fraction(1, 2) - time)


def chapters_in(source: InputContainer, window: Window) -> list[Any]:
    """Return the chapters inside the window, in the output's time, as PyAV's dictionaries."""
    chapters = []
    for chapter in source.chapters():
        base = as_fraction(chapter["time_base"] or 1)
        start, end = chapter["start"] * base, chapter["end"] * base
        if window.end is not None and start >= window.end:
            continue
        if window.start is not None and end <= window.start:
            continue
        first = start if window.start is None else max(start, window.start)
        last = end if window.end is None else min(end, window.end)
        chapters.append(
            {
                **chapter,
                "start": round((first - window.shift) / base),
                "end": round((last - window.shift) / base),
            }
        )
    return chapters


def _move(packet: Packet[Any], window: Window) -> bool:
    """Move a packet to the output's time; return False if it lies outside the window."""
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
        # A subtitle that is on screen when the part begins appears at its first frame.
        late = round((window.start - time) / base)
        packet.duration = max(1, (packet.duration or 0) - late)
    move = late - round(window.shift / base)
    packet.pts = stamp + move
    packet.dts = packet.pts if packet.dts is None else packet.dts + move
    return True


def _is_filler(packet: Packet[Any]) -> bool:
    """Return True for the empty text between two subtitles of MP4; the muxer writes it itself."""
    return packet.size <= 2 and codec_of(packet.stream) == "mov_text"


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _is_time_code(stream: Stream) -> bool:
    return stream.type == "data" and "timecode" in stream.metadata


def _attach_cover(source: InputContainer, muxer: OutputContainer, stream: Stream) -> None:
    """Add a cover as an attachment, which is how Matroska stores it."""
    codec = codec_of(stream)
    kind = "jpeg" if codec == "mjpeg" else codec
    with open_input(path_of(source)) as again:
        for packet in again.demux(again.streams[stream.index]):
            if packet.size:
                muxer.add_attachment(
                    stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}"),
                    stream.metadata.get("mimetype", f"image/{kind}"),
                    bytes(packet),
                )
                return


def _can_hold(container: Container, stream: Stream) -> bool:
    """Return True if a container can hold a stream; the muxer is tried on a file in memory."""
    if _is_cover(stream) and container.covers == "lost":
        return False
    kind, codec = _kind(stream)
    known = container.copied_codecs
    if known is not None and kind in ("audio", "subtitle") and codec not in known:
        return False
    file = io.BytesIO()
    try:
        with open_output(file, container.name) as trial:
            copy = _add_copy(trial, stream)
            trial.start_encoding()
            # Muxers refuse PCM only in the trailer, and only if there is a packet.
            if stream.type == "data" or (codec or "").startswith("pcm_"):
                trial.mux(_first_packet(copy))
        return stream.type != "data" or _is_read_back(file, stream)
    except (OSError, av.FFmpegError, ValueError):
        return False


def _first_packet(stream: Stream) -> Packet[Any]:
    packet = Packet(bytes(8))
    packet.pts = packet.dts = 0
    packet.duration, packet.stream = 1, stream
    packet.time_base = as_fraction(stream.time_base)
    return packet


def _is_read_back(file: io.BytesIO, stream: Stream) -> bool:
    """Return True if a file is read as one stream like `stream`; not all that is written is."""
    file.seek(0)
    with open_input(file) as written:
        return [_kind(other) for other in written.streams] == [_kind(stream)]


def _kind(stream: Stream) -> tuple[str, str]:
    return stream.type, codec_of(stream)


def _add_copy(muxer: OutputContainer, stream: Stream) -> Stream:
    copy: Stream = muxer.add_stream_from_template(stream, opaque=True)
    # Streams of unknown codecs have no context.
    if isinstance(stream, AudioStream) and isinstance(copy, AudioStream) and stream.codec_context:
        layout = usual_layout(stream.codec_context)
        if layout != stream.codec_context.layout.name:
            # MP4 cannot hold PCM without a channel layout; AVI and WAV store only a count.
            copy.codec_context.layout = layout
    copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    copy.metadata.update(stream.metadata)
    return copy


def _description(stream: Stream) -> str:
    kind, codec = _kind(stream)
    title = printable(stream.metadata.get("title") or stream.metadata.get("language") or "")
    codec = codec or "of an unknown codec"
    return f"{kind} stream {stream.index} ({codec}{', ' + title if title else ''})"
