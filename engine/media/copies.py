"""Sound, subtitles, attachments: streams that go from file to file packet by packet."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from engine.media.pyav import as_fraction, open_output, printable


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the source that is kept, in its own seconds, and how far it moves.

    A packet is kept if `start <= time < end`; its time then becomes `time - shift`.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)


def add_copies(
    source: InputContainer,
    output: OutputContainer,
    picture: Stream,
    unwanted: Callable[[Stream], bool],
) -> tuple[dict[int, Stream], list[str]]:
    """Adds a stream to `output` for each of `source` that it can hold, but not for `picture`.

    Those that are `unwanted` are passed over without a word. Returns the output streams by the
    source's stream index, and a sentence for each left out.
    """
    copies: dict[int, Stream] = {}
    left_out: list[str] = []
    for stream in source.streams:
        if stream.index == picture.index or unwanted(stream):
            continue
        if stream.type == "data" and source.chapters():
            continue  # in MP4 the chapters' titles; they are written anew
        if not _can_hold(output.format.name, stream):
            left_out.append(
                f"The {_named(stream)} is left out: {output.format.name} cannot hold it."
            )
            continue
        copies[stream.index] = _add_copy(output, stream)
    return copies, left_out


def copied_packets(
    source: InputContainer, copies: Mapping[int, Stream], window: Window
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Packets ready to be muxed, each with its time in the output's seconds."""
    wanted = [stream for stream in source.streams if stream.index in copies]
    packets = [stream for stream in wanted if stream.type != "attachment"]
    if not packets:
        return
    for stream in source.streams:
        if stream not in packets:
            stream.discard = Discard.all
    for packet in _demuxed(source, packets):
        # The demuxer ends with empty packets; a cover has no time, but it is not empty.
        if not packet.size or _is_filler(packet):
            continue
        placed = _placed(packet, window)
        if placed:
            base = as_fraction(packet.time_base)
            packet.stream = copies[packet.stream_index]
            yield (packet.dts or 0) * base, packet


def _demuxed(source: InputContainer, streams: list[Stream]) -> Iterator[Packet[Any]]:
    """Packets up to the file's end, or to where it cannot be read any further.

    What is missing then is missing from the picture, too, and its reader says so.
    """
    with suppress(av.FFmpegError):
        yield from source.demux(streams)


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
    base = as_fraction(packet.time_base)
    stamp = packet.pts if packet.pts is not None else packet.dts
    attached = packet.stream.disposition & Disposition.attached_pic
    if attached or stamp is None:
        return True
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
    return packet.stream.codec_context.codec.canonical_name == "mov_text" and packet.size <= 2


def _can_hold(format_name: str, stream: Stream) -> bool:
    """Whether a muxer takes a stream: tried on a header in memory, as no table says it all."""
    if stream.disposition & Disposition.attached_pic and format_name == "mov":
        return False  # its muxer takes a cover and does not write it
    try:
        with open_output(io.BytesIO(), format_name) as trial:
            _add_copy(trial, stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError, AttributeError):
        return False
    return True


def _add_copy(output: OutputContainer, stream: Stream) -> Stream:
    copy: Stream = output.add_stream_from_template(stream, opaque=True)
    copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    copy.metadata.update(stream.metadata)
    return copy


def _named(stream: Stream) -> str:
    context = stream.codec_context
    codec = context.codec.canonical_name if context else (stream.name or "unknown")
    title = printable(stream.metadata.get("title") or stream.metadata.get("language") or "")
    return f"{stream.type} stream {stream.index} ({codec}{', ' + title if title else ''})"
