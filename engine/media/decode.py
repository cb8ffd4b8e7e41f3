"""Read files as frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.errors import MediaError, ParameterError
from engine.media.clock_jumps import ClockJumps, may_be_joined
from engine.media.formats import picture_planes
from engine.media.joined_files import is_joined_matroska
from engine.media.metadata_blocks import exif_orientation
from engine.media.mp4_boxes import is_followed
from engine.media.os_errors import read_bytes
from engine.media.probe import (
    Turns,
    colour_of,
    decoder_of,
    frame_rate,
    is_image,
    main_video,
    no_picture_error,
    only_decoding_times,
    open_media,
)
from engine.media.pyav import DAMAGE, as_fraction, codec_of, path_of
from engine.options import Trim
from engine.values import Frame, Orientation

Warn = Callable[[str], None]
# A packet of the picture's stream, or None behind the last.
_Picture: TypeAlias = "Packet[VideoStream] | None"
_WHOLE = Trim()
# Codecs with one picture in each packet. Decoders with threads pass over damage at the end of a
# file without a word.
_ONE_EACH = frozenset({"h264", "hevc", "vp9"})
_MOST_HELD = 1000  # packets
_MOST_THREADS = 64  # of a decoder
_CHUNK_HEAD = 8  # bytes before a packet in AVI, where its index points


def silent(message: str) -> None:
    """Ignores a warning."""


def read_frames(path: Path, trim: Trim = _WHOLE, *, warn: Warn = silent) -> Generator[Frame]:
    """The pictures of a video, or of the part that `trim` names, in order of display.

    Frames keep the decoder's samples; `index` counts from 0 at the first picture of the part.
    The file is opened at the first `next` and closed when the generator ends or is closed. Damaged
    parts are left out, and `warn` hears a sentence about them.

    Raises:
        MediaError: the file cannot be read or holds no picture.
        ParameterError: no picture lies in the part that `trim` names.
    """
    if is_image(path):
        yield read_image(path, warn=warn)
        return
    start, end = exact_seconds(trim.start), exact_seconds(trim.end)
    if start is not None and end is not None and end <= start:
        raise ParameterError(f"The end, {trim.end} s, must lie after the start, {trim.start} s.")
    count = 0
    turns: Turns | None = None
    size: tuple[int, int] | None = None
    scaled = False
    for picture, stream, since in _pictures(path, start or Fraction(0), warn):
        if end is not None and since >= end:
            break
        turns = turns or Turns(stream)
        orientation = turns.of(picture)
        size = size or (picture.width, picture.height)
        if (picture.width, picture.height) == size:
            yield frame_of(picture, stream, count, orientation)
        else:
            if not scaled:
                warn(
                    f"{path} changes its size at frame {count + 1}, from {size[0]}x{size[1]} to "
                    f"{picture.width}x{picture.height}; pictures of another size are scaled to the "
                    "first."
                )
            scaled = True
            yield frame_of(_scaled(picture, size), stream, count, orientation)
        count += 1
    if not count:
        until = "its end" if trim.end is None else f"{trim.end:g} s"
        raise ParameterError(
            f"The part of {path} from {trim.start or 0:g} s to {until} holds no picture; choose an "
            "earlier start."
        )


def read_frame(path: Path, number: int) -> Frame:
    """One picture by its number; 1 is the first and 0 is taken as 1. An image has only one.

    Raises:
        MediaError: the file cannot be read.
        ParameterError: the number is negative or the video has fewer frames.
    """
    if is_image(path):
        return read_image(path)
    if number < 0:
        raise ParameterError(f"Frame numbers count from 1; {number} was given.")
    count = 0
    for picture, stream, _ in _pictures(path, Fraction(0), silent):
        count += 1
        if count >= number:
            return frame_of(picture, stream, count - 1, Turns(stream).of(picture))
    raise ParameterError(f"Frame {number} was asked for, but {path} has only {count} frames.")


def read_image(path: Path, *, warn: Warn = silent) -> Frame:
    """A still picture with its alpha, bit depth and orientation; JPEG and WebP keep their YUV.

    `warn` hears a sentence where a part of the picture is wrong.

    Raises:
        MediaError: the file cannot be read, or is cut off.
    """
    with open_media(path) as container:
        stream = main_video(container, path)
        if len(container.streams.video) > 1:
            raise MediaError(
                f"{path} is put together from {len(container.streams.video)} pictures, which is "
                "not supported; save it as JPEG or PNG."
            )
        damage, data = _Damage(), read_bytes(path)
        packets = _packets(container, stream, damage)
        for picture in _decoded(container, stream, packets, damage):
            if picture.is_corrupt or damage.packets:
                warn(f"{path} is damaged: a part of its picture is wrong; copy it again.")
            planes, described = picture_planes(picture)
            return Frame(
                index=0,
                pts=0,
                time_base=as_fraction(stream.time_base or 1),
                planes=planes,
                format=described,
                colour=colour_of(picture, stream),
                orientation=exif_orientation(data),
                duration=1,
            )
    raise no_picture_error(path)


def exact_seconds(seconds: float | None) -> Fraction | None:
    """Seconds as they were written: 0.1 is a tenth, not its nearest binary fraction."""
    return None if seconds is None else Fraction(str(seconds))


@dataclass
class _Damage:
    """What was met on the way through a file."""

    packets: int = 0  # could not be decoded
    pictures: int = 0  # were given to the decoder, where packets tell
    hidden: int = 0  # decoded, but an edit list hides them
    parts: int = 0  # after the first, each with a clock that begins anew
    stopped: str | None = None  # why the file could not be read to its end


def _pictures(
    path: Path, start: Fraction, warn: Warn, *, seek: bool = True
) -> Iterator[tuple[VideoFrame, VideoStream, Fraction]]:
    """Pictures from `start` on, each with its stream and its seconds since the first picture."""
    with open_media(path) as container:
        stream = main_video(container, path)
        base, damage = as_fraction(stream.time_base), _Damage()
        packets = _packets(container, stream, damage)
        decoded = _decoded(container, stream, packets, damage)
        picture = next(decoded, None)
        if picture is None:
            raise no_picture_error(path)
        origin = picture.pts or 0
        if seek and start > 0:
            wanted = origin + math.ceil(start / base)
            packets = _from_key_frame(container, stream, packets, wanted, damage)
            decoded = _decoded(container, stream, packets, damage)
            picture = next(decoded, None)
            if picture is None or (picture.pts or 0) > wanted:
                # This container seeks badly: decode from its beginning instead.
                yield from _pictures(path, start, warn, seek=False)
                return
        count, end = 0, Fraction(0)
        while picture is not None:
            since = ((picture.pts or 0) - origin) * base
            if since >= start:
                yield picture, stream, since
            count, end = count + 1, since + picture.duration * base
            picture = next(decoded, None)
        whole = count if start == 0 else None
        for sentence in _complaints(container, stream, damage, whole, end):
            warn(f"{path} {sentence}.")


def _complaints(
    container: InputContainer,
    stream: VideoStream,
    damage: _Damage,
    count: int | None,
    end: Fraction,
) -> Iterator[str]:
    if damage.parts:
        yield (
            f"is joined from {damage.parts + 1} parts, as its clock jumps; they follow one another "
            "without a gap"
        )
    if _holds_more(container):
        yield (
            "holds more than one film, as files that are written one after the other do; what lies "
            "behind the first may be missing; join them with a program for films"
        )
    if damage.packets:
        yield f"is damaged: {damage.packets} packets could not be decoded and were left out"
    if damage.stopped:
        yield f"could not be read to its end ({damage.stopped})"
    expected = (stream.frames or damage.pictures) - damage.hidden
    if count is not None and count < expected:
        yield f"is incomplete: {count} of {expected} frames could be decoded"
    elif not stream.frames and container.duration is not None:
        declared = Fraction(container.duration, 1_000_000)
        if end < declared - max(Fraction(1), declared / 20):
            yield f"seems cut: its picture ends at {float(end):.2f} s of {float(declared):.2f} s"


def _holds_more(container: InputContainer) -> bool:
    """Whether other files of a kind that readers do not follow to the end lie behind the first."""
    name, path = container.format.name, path_of(container)
    return is_followed(path) if name.startswith("mov") else is_joined_matroska(path)


def _from_key_frame(
    container: InputContainer,
    stream: VideoStream,
    packets: Iterator[_Picture],
    wanted: int,
    damage: _Damage,
) -> Iterator[_Picture]:
    """Packets from the last key frame at or before `wanted`; none where seeking fails.

    `packets` are those that were not read yet.
    """
    if may_be_joined(container):
        yield from _read_up_to(stream, packets, wanted)
        return
    try:
        container.seek(wanted, stream=stream, backward=True)
    except (av.FFmpegError, OverflowError):
        return
    yield from _packets(container, stream, damage)


def _read_up_to(
    stream: VideoStream, packets: Iterator[_Picture], wanted: int
) -> Iterator[_Picture]:
    """Packets from the last key frame at or before `wanted`, found by reading those before it.

    Where the clock restarts somewhere, a file cannot be searched by time.
    """
    held: list[_Picture] = []
    for packet in packets:
        if _is_seek_point(packet, wanted):
            stream.codec_context.flush_buffers()
            held.clear()
        held.append(packet)
        if packet is None or (packet.dts or 0) > wanted or len(held) > _MOST_HELD:
            break
    yield from held
    yield from packets


def _is_seek_point(packet: _Picture, wanted: int) -> bool:
    """Whether decoding may begin with a packet to reach the picture at `wanted`."""
    if packet is None or not packet.is_keyframe:
        return False
    return packet.pts is not None and packet.pts <= wanted


def _decoded(
    container: InputContainer,
    stream: VideoStream,
    packets: Iterable[_Picture],
    damage: _Damage,
) -> Iterator[VideoFrame]:
    """Pictures in display order, past damaged packets; every pts is greater than the last."""
    last: int | None = None
    step = max(1, round(1 / (frame_rate(stream) * as_fraction(stream.time_base))))
    context = decoder_of(stream)
    decoder = _Decoder(context)
    times = _DecodingTimes(stream) if only_decoding_times(container, stream) else None
    if times is not None and not context.is_open:
        # With a thread for each picture, a decoder tells of damage some packets later.
        context.thread_type = "SLICE"
    for packet in packets:
        if times is not None and packet is not None:
            times.add(packet)
        pictures = decoder.answer(packet, damage)
        if pictures is None and times is not None:
            times.lose()
        for picture in pictures or ():
            duration = picture.duration or step
            if times is not None:
                picture.pts = times.take(picture)
            if picture.pts is None:
                picture.pts = 0 if last is None else last + duration
            elif last is not None and picture.pts <= last:
                picture.pts = last + 1
            picture.duration, last = duration, picture.pts
            yield picture


class _Decoder:
    """A decoder, and the packets whose pictures it still holds: it may have a thread for each."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._context = context
        self._held: deque[Packet[VideoStream]] = deque(maxlen=_MOST_THREADS)

    def answer(self, packet: _Picture, damage: _Damage) -> list[VideoFrame] | None:
        """Return the pictures that are ready after one more packet; None where it is damaged.

        After the last packet, which None tells, these are all that are left.
        """
        try:
            pictures = self._context.decode(packet)
        except DAMAGE:
            if packet is None:
                return self._left(damage)
            damage.packets += packet.size > 0
            self._note(packet, 1)
            return None
        if packet is not None:
            self._note(packet, len(pictures))
        return pictures

    def _note(self, packet: Packet[VideoStream], answered: int) -> None:
        if packet.size:
            self._held.append(packet)
        for _ in range(min(answered, len(self._held))):
            self._held.popleft()

    def _left(self, damage: _Damage) -> list[VideoFrame]:
        """Return the pictures behind a damaged packet that was met after the last one.

        A decoder does not go on then. Where each packet is a picture by itself, they are decoded
        again, one by one; else they are lost.
        """
        if not all(packet.is_keyframe for packet in self._held):
            damage.packets += 1
            return []
        pictures: list[VideoFrame] = []
        for packet in self._held:
            self._context.flush_buffers()
            try:
                pictures += self._context.decode(packet)
                pictures += self._context.decode(None)
            except DAMAGE:
                damage.packets += 1
        return pictures


class _DecodingTimes:
    """The times of a file that has them in the order of decoding, as AVI does.

    In the order of display, pictures take them one after the other. Where some did not decode, the
    count is right again from the next key frame on: all pictures decoded before it are shown
    before it and before those that follow it.
    """

    def __init__(self, stream: VideoStream) -> None:
        # What the demuxer counts is wrong behind a packet that it could not parse.
        self._indexed = {entry.pos + _CHUNK_HEAD: entry.timestamp for entry in stream.index_entries}
        self._times: deque[int] = deque()
        self._keys: deque[int] = deque()  # times of key frames not passed yet

    def add(self, packet: Packet[VideoStream]) -> None:
        """Note a packet's time, and let its picture be known by it."""
        if not packet.size or packet.dts is None:
            return
        packet.pts = time = self._indexed.get(packet.pos or 0, packet.dts)
        self._times.append(time)
        if packet.is_keyframe:
            self._keys.append(time)

    def lose(self) -> None:
        """Forget the time of the last packet, which did not decode."""
        if self._times:
            self._times.pop()

    def take(self, picture: VideoFrame) -> int | None:
        """The time at which a picture is shown."""
        own = picture.pts
        while own is not None and self._keys and self._keys[0] <= own:
            key = self._keys.popleft()
            while self._times and self._times[0] < key:
                self._times.popleft()
        return self._times.popleft() if self._times else own


def _packets(container: InputContainer, stream: VideoStream, damage: _Damage) -> Iterator[_Picture]:
    """Packets of a stream, then None, which lets the decoder hand out what it still holds."""
    try:
        jumps = ClockJumps(container)
        counted = codec_of(stream) in _ONE_EACH
        for packet in container.demux(jumps.watched or [stream]):
            jumps.follow(packet)
            damage.parts = jumps.parts
            if packet.stream is stream and (packet.dts is not None or packet.size):
                damage.hidden += packet.is_discard
                damage.pictures += counted and packet.size > 0
                yield cast("Packet[VideoStream]", packet)
    except av.FFmpegError as error:
        damage.stopped = error.strerror
    yield None


def _scaled(picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    """A picture at another size, with its time."""
    scaled = picture.reformat(*size)
    scaled.pts, scaled.duration = picture.pts, picture.duration
    return scaled


def frame_of(
    picture: VideoFrame, stream: VideoStream, index: int, orientation: Orientation
) -> Frame:
    """The frame that holds a decoded picture's samples."""
    planes, described = picture_planes(picture)
    return Frame(
        index=index,
        pts=picture.pts or 0,
        time_base=as_fraction(stream.time_base),
        planes=planes,
        format=described,
        colour=colour_of(picture, stream),
        orientation=orientation,
        duration=picture.duration,
    )
