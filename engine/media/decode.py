"""Decode videos and still images as frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
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
from engine.media.mp4_boxes import has_second_movie
from engine.media.os_errors import read_bytes
from engine.media.probe import (
    FrameOrientations,
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
# A packet of the video stream, or None after the last, which makes the decoder return its rest.
_VideoPacket: TypeAlias = "Packet[VideoStream] | None"
_WHOLE = Trim()
# Codecs with one frame per packet, so packets can be counted. Decoders with threads do not report
# damage at the end of a file.
_FRAME_PER_PACKET = frozenset({"h264", "hevc", "vp9"})
_MAX_BUFFERED = 1000  # packets
_TOLERANCE = Fraction(1, 2000)  # seconds: times are told in milliseconds
_NEAR = Fraction(1)  # seconds before a time, in which its frame most likely begins
_MAX_REORDERED = 32  # frames that may be shown before one whose packet comes earlier
_MAX_THREADS = 64  # of a decoder
_CHUNK_HEAD = 8  # bytes of the chunk header before a packet in AVI; the index points to it


def ignore_warning(message: str) -> None:
    """Do nothing; the default for `warn`."""


def read_frames(
    path: Path, trim: Trim = _WHOLE, *, warn: Warn = ignore_warning
) -> Generator[Frame]:
    """Yield the frames of a video, or of the part given by `trim`, in display order.

    Frames keep the decoder's samples; `index` counts from 0 at the first frame of the part. The
    file is opened at the first `next` and closed when the generator ends or is closed. Damaged
    parts are left out, and `warn` is called with a sentence about them. A still image is one frame.

    Raises:
        MediaError: the file cannot be read or contains no frame.
        ParameterError: the part given by `trim` contains no frame.
    """
    if is_image(path):
        yield read_image(path, warn=warn)
        return
    start, end = exact_seconds(trim.start), exact_seconds(trim.end)
    if start is not None and end is not None and end <= start:
        raise ParameterError(f"The end, {trim.end} s, must lie after the start, {trim.start} s.")
    count = 0
    orientations: FrameOrientations | None = None
    size: tuple[int, int] | None = None
    scaled = False
    for picture, stream, since in _decode_from(path, start or Fraction(0), warn):
        if end is not None and since >= end:
            break
        orientations = orientations or FrameOrientations(stream)
        orientation = orientations.of(picture)
        size = size or (picture.width, picture.height)
        if (picture.width, picture.height) == size:
            yield frame_of(picture, stream, count, orientation)
        else:
            if not scaled:
                warn(
                    f"{path} changes its size at frame {count + 1}, from {size[0]}x{size[1]} to "
                    f"{picture.width}x{picture.height}; frames of another size are scaled to that "
                    "of the first."
                )
            scaled = True
            yield frame_of(_rescale(picture, size), stream, count, orientation)
        count += 1
    if not count:
        until = "its end" if trim.end is None else f"{trim.end:g} s"
        raise ParameterError(
            f"The part of {path} from {trim.start or 0:g} s to {until} contains no frame; choose "
            "an earlier start."
        )


def read_frame(path: Path, number: int) -> Frame:
    """Return one frame by its number; 1 is the first, and 0 means 1. An image has only one.

    Raises:
        MediaError: the file cannot be read.
        ParameterError: the number is negative or greater than the number of frames.
    """
    if is_image(path):
        return read_image(path)
    if number < 0:
        raise ParameterError(f"The frame number is {number}; frame numbers count from 1.")
    count = 0
    for picture, stream, _ in _decode_from(path, Fraction(0), ignore_warning):
        count += 1
        if count >= number:
            return frame_of(picture, stream, count - 1, FrameOrientations(stream).of(picture))
    raise ParameterError(f"The frame number is {number}, but {path} has only {count} frames.")


def frame_seconds(path: Path, number: int, start: float | None = None) -> Fraction:
    """Return the time of a frame by its number among those from `start` on; 1 is the first.

    Times are in seconds after the video's first frame. Where each packet holds a frame, the video
    is not decoded, but its packets are read up to the frame.

    Raises:
        MediaError: the file cannot be read.
        ParameterError: there are fewer frames.
    """
    begin = exact_seconds(start) or Fraction(0)
    times = _packet_seconds(path, begin, number)
    if times is None:
        decoded = _decode_from(path, begin, ignore_warning)
        times = [since for _, _, since in islice(decoded, number)]
    if len(times) < number:
        raise ParameterError(f"The frame number is {number}, but {path} has only {len(times)}.")
    return times[number - 1]


def shown_seconds(path: Path, seconds: float) -> Fraction:
    """Return the time of the frame that a video shows at a time; both after its first frame.

    Raises:
        MediaError: the file cannot be read.
        ParameterError: the video ends before.
    """
    wanted = (exact_seconds(seconds) or Fraction(0)) + _TOLERANCE
    end = Fraction(0)
    for reach in (_NEAR, 10 * _NEAR, wanted):
        shown: Fraction | None = None
        start = max(wanted - reach, Fraction(0))
        for picture, stream, since in _decode_from(path, start, ignore_warning):
            if since > wanted and shown is not None:
                return shown
            shown, end = since, since + picture.duration * as_fraction(stream.time_base)
            if since > wanted:
                break  # the frame shown begins before `start`
        else:
            if shown is not None and wanted < end + _TOLERANCE:
                return shown
    raise ParameterError(f"The time is {seconds:g} s, but {path} ends at {float(end):g} s.")


def _packet_seconds(path: Path, begin: Fraction, number: int) -> list[Fraction] | None:
    """Return the times of at least `number` frames from `begin` on, if there are as many.

    Return None if they can be known by decoding alone.
    """
    with open_media(path) as container:
        stream = main_video(container, path)
        direct = codec_of(stream) in _FRAME_PER_PACKET
        if not direct or only_decoding_times(container, stream):
            return None
        base, damage = as_fraction(stream.time_base), _Damage()
        packets = _packets(container, stream, damage)
        read: list[_VideoPacket] = []
        first = next(_decode(container, stream, _noting(packets, read), damage), None)
        if first is None:
            raise no_picture_error(path)
        origin = first.pts or 0
        times: set[int] = set()
        for packet in chain(read, packets):
            if packet is None or len(times) == number + _MAX_REORDERED:
                break
            if packet.size and packet.pts is None:
                return None
            if packet.pts is not None and (packet.pts - origin) * base >= begin:
                times.add(packet.pts)
        return [(pts - origin) * base for pts in sorted(times) if pts >= origin]


def _noting(packets: Iterator[_VideoPacket], read: list[_VideoPacket]) -> Iterator[_VideoPacket]:
    """Yield packets, and append them to a list."""
    for packet in packets:
        read.append(packet)
        yield packet


def read_image(path: Path, *, warn: Warn = ignore_warning) -> Frame:
    """Return a still image with its alpha, bit depth and orientation; JPEG and WebP stay YUV.

    `warn` is called with a sentence if a part of the picture is damaged.

    Raises:
        MediaError: the file cannot be read, or is truncated.
    """
    with open_media(path) as container:
        stream = main_video(container, path)
        if len(container.streams.video) > 1:
            raise MediaError(
                f"{path} is composed of {len(container.streams.video)} tiles, which is not "
                "supported; save it as JPEG or PNG."
            )
        damage, data = _Damage(), read_bytes(path)
        packets = _packets(container, stream, damage)
        for picture in _decode(container, stream, packets, damage):
            if picture.is_corrupt or damage.packets:
                warn(f"{path} is damaged: a part of its picture is wrong; copy the file again.")
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
    """Return the decimal value of a float: 0.1 becomes 1/10, not its nearest binary fraction."""
    return None if seconds is None else Fraction(str(seconds))


@dataclass
class _Damage:
    """Faults found while a file is read."""

    packets: int = 0  # packets that could not be decoded
    frames: int = 0  # frames passed to the decoder, counted if the codec has one per packet
    hidden: int = 0  # frames that an edit list hides
    parts: int = 0  # restarts of the clock
    stopped: str | None = None  # why the file could not be read to its end


def _decode_from(
    path: Path, start: Fraction, warn: Warn, *, seek: bool = True
) -> Iterator[tuple[VideoFrame, VideoStream, Fraction]]:
    """Yield frames from `start` on, with their stream and their seconds since the first frame."""
    with open_media(path) as container:
        stream = main_video(container, path)
        base, damage = as_fraction(stream.time_base), _Damage()
        packets = _packets(container, stream, damage)
        decoded = _decode(container, stream, packets, damage)
        picture = next(decoded, None)
        if picture is None:
            raise no_picture_error(path)
        origin = picture.pts or 0
        if seek and start > 0:
            wanted = origin + math.ceil(start / base)
            packets = _from_key_frame(container, stream, packets, wanted, damage)
            decoded = _decode(container, stream, packets, damage)
            picture = next(decoded, None)
            if picture is None or (picture.pts or 0) > wanted:
                # Seeking went past the wanted time: decode from the beginning instead.
                yield from _decode_from(path, start, warn, seek=False)
                return
        count, end = 0, Fraction(0)
        while picture is not None:
            since = ((picture.pts or 0) - origin) * base
            if since >= start:
                yield picture, stream, since
            count, end = count + 1, since + picture.duration * base
            picture = next(decoded, None)
        whole = count if start == 0 else None
        for sentence in _damage_warnings(container, stream, damage, whole, end):
            warn(f"{path} {sentence}.")


def _damage_warnings(
    container: InputContainer,
    stream: VideoStream,
    damage: _Damage,
    count: int | None,
    end: Fraction,
) -> Iterator[str]:
    """Yield warnings about a file that was read, each without the file's name before it.

    Args:
        container: the open file.
        stream: its video stream.
        damage: faults that were found.
        count: number of decoded frames; None if reading began in the middle.
        end: seconds from the first frame to the end of the last.
    """
    if damage.parts:
        yield (
            f"is joined from {damage.parts + 1} parts with clocks of their own; the output plays "
            "them without a gap"
        )
    if _is_concatenated(container):
        yield (
            "contains several videos, as a concatenation of files does; all but the first may be "
            "missing; join them with a video tool such as FFmpeg"
        )
    if damage.packets:
        yield f"is damaged: {damage.packets} packets could not be decoded and are left out"
    if damage.stopped:
        yield f"could not be read to its end ({damage.stopped})"
    expected = (stream.frames or damage.frames) - damage.hidden
    if count is not None and count < expected:
        yield f"is incomplete: {count} of {expected} frames could be decoded"
    elif not stream.frames and container.duration is not None:
        declared = Fraction(container.duration, 1_000_000)
        if end < declared - max(Fraction(1), declared / 20):
            ends, length = float(end), float(declared)
            yield f"seems truncated: its video ends at {ends:.2f} s of {length:.2f} s"


def _is_concatenated(container: InputContainer) -> bool:
    """Return True if other files follow the first in a format whose readers may not reach them."""
    name, path = container.format.name, path_of(container)
    return has_second_movie(path) if name.startswith("mov") else is_joined_matroska(path)


def _from_key_frame(
    container: InputContainer,
    stream: VideoStream,
    packets: Iterator[_VideoPacket],
    wanted: int,
    damage: _Damage,
) -> Iterator[_VideoPacket]:
    """Yield packets from the last key frame at or before the pts `wanted`; none if seeking fails.

    `packets` are the packets that were not read yet.
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
    stream: VideoStream, packets: Iterator[_VideoPacket], wanted: int
) -> Iterator[_VideoPacket]:
    """Yield packets from the last key frame at or before the pts `wanted`, found by reading.

    A file whose clock restarts cannot be searched by time.
    """
    buffered: list[_VideoPacket] = []
    for packet in packets:
        if _is_seek_point(packet, wanted):
            stream.codec_context.flush_buffers()
            buffered.clear()
        buffered.append(packet)
        if packet is None or (packet.dts or 0) > wanted or len(buffered) > _MAX_BUFFERED:
            break
    yield from buffered
    yield from packets


def _is_seek_point(packet: _VideoPacket, wanted: int) -> bool:
    """Return True if decoding from a packet reaches the frame with the pts `wanted`."""
    if packet is None or not packet.is_keyframe:
        return False
    return packet.pts is not None and packet.pts <= wanted


def _decode(
    container: InputContainer,
    stream: VideoStream,
    packets: Iterable[_VideoPacket],
    damage: _Damage,
) -> Iterator[VideoFrame]:
    """Yield frames in display order, skipping damaged packets, with strictly increasing pts."""
    last: int | None = None
    step = max(1, round(1 / (frame_rate(stream) * as_fraction(stream.time_base))))
    context = decoder_of(stream)
    decoder = _Decoder(context)
    times = _DecodingTimes(stream) if only_decoding_times(container, stream) else None
    if times is not None and not context.is_open:
        # With frame threads, a decoder reports damage some packets later.
        context.thread_type = "SLICE"
    for packet in packets:
        if times is not None and packet is not None:
            times.add(packet)
        pictures = decoder.decode(packet, damage)
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
    """A decoder, and the packets whose frames it has not returned yet."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._context = context
        self._pending: deque[Packet[VideoStream]] = deque(maxlen=_MAX_THREADS)

    def decode(self, packet: _VideoPacket, damage: _Damage) -> list[VideoFrame] | None:
        """Return the frames that are ready after a packet; None if the packet is damaged.

        For None instead of a packet, return all remaining frames.
        """
        try:
            pictures = self._context.decode(packet)
        except DAMAGE:
            if packet is None:
                return self._rest(damage)
            damage.packets += packet.size > 0
            self._track(packet, 1)
            return None
        if packet is not None:
            self._track(packet, len(pictures))
        return pictures

    def _track(self, packet: Packet[VideoStream], returned: int) -> None:
        if packet.size:
            self._pending.append(packet)
        for _ in range(min(returned, len(self._pending))):
            self._pending.popleft()

    def _rest(self, damage: _Damage) -> list[VideoFrame]:
        """Return the remaining frames after the decoder reported damage at the end.

        The decoder does not continue then. If all pending packets are key frames, they are decoded
        again one by one; otherwise their frames are lost.
        """
        if not all(packet.is_keyframe for packet in self._pending):
            damage.packets += 1
            return []
        pictures: list[VideoFrame] = []
        for packet in self._pending:
            self._context.flush_buffers()
            try:
                pictures += self._context.decode(packet)
                pictures += self._context.decode(None)
            except DAMAGE:
                damage.packets += 1
        return pictures


class _DecodingTimes:
    """Assigns timestamps that a file stores in decoding order, as AVI does, to frames.

    Frames in display order take the timestamps one after the other. After a packet that could not
    be decoded, the assignment is right again from the next key frame on: all frames decoded before
    it are shown before it.
    """

    def __init__(self, stream: VideoStream) -> None:
        # The demuxer's own times are wrong after a packet that it could not parse.
        self._indexed = {entry.pos + _CHUNK_HEAD: entry.timestamp for entry in stream.index_entries}
        self._times: deque[int] = deque()
        self._keys: deque[int] = deque()  # times of key frames that were not returned yet

    def add(self, packet: Packet[VideoStream]) -> None:
        """Record a packet's time, and set it as the pts by which `take` recognises its frame."""
        if not packet.size or packet.dts is None:
            return
        packet.pts = time = self._indexed.get(packet.pos or 0, packet.dts)
        self._times.append(time)
        if packet.is_keyframe:
            self._keys.append(time)

    def lose(self) -> None:
        """Remove the time of the last packet, which could not be decoded."""
        if self._times:
            self._times.pop()

    def take(self, picture: VideoFrame) -> int | None:
        """Return the pts of the next frame in display order."""
        own = picture.pts
        while own is not None and self._keys and self._keys[0] <= own:
            key = self._keys.popleft()
            while self._times and self._times[0] < key:
                self._times.popleft()
        return self._times.popleft() if self._times else own


def _packets(
    container: InputContainer, stream: VideoStream, damage: _Damage
) -> Iterator[_VideoPacket]:
    """Yield the packets of a stream, then None, which makes the decoder return its last frames."""
    try:
        jumps = ClockJumps(container)
        counted = codec_of(stream) in _FRAME_PER_PACKET
        for packet in container.demux(jumps.watched or [stream]):
            jumps.follow(packet)
            damage.parts = jumps.parts
            if packet.stream is stream and (packet.dts is not None or packet.size):
                damage.hidden += packet.is_discard
                damage.frames += counted and packet.size > 0
                yield cast("Packet[VideoStream]", packet)
    except av.FFmpegError as error:
        damage.stopped = error.strerror
    yield None


def _rescale(picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    """Scale a decoded frame to (width, height) and keep its pts."""
    scaled = picture.reformat(*size)
    scaled.pts, scaled.duration = picture.pts, picture.duration
    return scaled


def frame_of(
    picture: VideoFrame, stream: VideoStream, index: int, orientation: Orientation
) -> Frame:
    """Return PyAV's decoded frame as a `Frame`, which shares its samples."""
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
