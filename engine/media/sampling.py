"""Sample frames of a video, at a cost that does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.media.decode import Warn, exact_seconds, frame_of, ignore_warning, read_frames
from engine.media.probe import FrameOrientations, decoder_of, main_video, open_media
from engine.media.pyav import as_fraction
from engine.options import Trim
from engine.values import Frame, VideoInfo

_MAX_DECODED = 2**31  # pixels; a video with more is sampled at key frames
_MAX_HELD = 2**27  # pixels in memory, if more than `_ENOUGH` frames are requested
_ENOUGH = 8  # frames that describe a video well


def sampled_frames(
    path: Path, trim: Trim, *, duration: float | None, every: float, most: int
) -> Iterator[Frame]:
    """Yield key frames spread over the part of a video given by `trim`, in display order.

    Each is the last key frame before one of several times `every` seconds apart, or farther apart
    so that there are at most `most`. If the part does not begin with the video, its first frame
    comes before them, and the frames up to it are decoded. There are fewer if key frames are rare
    or the file cannot be searched, and only one if `duration` (seconds) is None.

    Raises:
        MediaError: the file cannot be read or contains no frame.
        ParameterError: the part given by `trim` contains no frame.
    """
    start, end = exact_seconds(trim.start) or Fraction(0), exact_seconds(trim.end)
    length = Fraction(duration or 0)
    stop = length if end is None else min(end, length)
    count = max(1, min(most, int((stop - start) / Fraction(every)) + 1))
    shown: int | None = None
    if start > 0:
        first = next(read_frames(path, trim))
        shown = first.pts
        yield first
    with open_media(path) as container:
        stream = main_video(container, path)
        orientations = FrameOrientations(stream)
        # Frame threads would return a frame only after several more packets.
        stream.thread_type = "SLICE"
        base, origin = as_fraction(stream.time_base), stream.start_time or 0
        for number in range(count):
            wanted = start + (stop - start) * number / count
            picture = _key_frame(container, stream, origin + round(wanted / base), shown)
            if picture is not None and picture.pts is not None:
                shown = picture.pts
                yield frame_of(picture, stream, number, orientations.of(picture))


def spread_frames(
    path: Path, info: VideoInfo, most: int, *, warn: Warn = ignore_warning
) -> list[Frame]:
    """Return up to `most` frames spread over a video, in display order; fewer if they are large.

    A short video is decoded completely. A long one is sampled at key frames, or only at its
    beginning if it has few of them.

    Raises:
        MediaError: the file cannot be read or contains no frame.
    """
    width, height = info.size
    most = min(most, max(_ENOUGH, _MAX_HELD // (width * height)))
    decoded = max(most, _MAX_DECODED // (width * height))
    if info.duration is not None and info.duration * info.frame_rate > decoded:
        found = list(
            sampled_frames(
                path, Trim(), duration=info.duration, every=info.duration / (2 * most), most=most
            )
        )
        if len(found) >= min(most, _ENOUGH):
            return found
    with closing(read_frames(path, warn=warn)) as frames:
        return _spread(islice(frames, decoded), most)


def _spread(frames: Iterable[Frame], most: int) -> list[Frame]:
    """Return up to `most` evenly spread frames; at most twice as many are held at a time."""
    sampled: list[Frame] = []
    step = 1
    for number, frame in enumerate(frames):
        if number % step == 0:
            sampled.append(frame)
        if len(sampled) == 2 * most:
            sampled, step = sampled[::2], 2 * step
    count = min(len(sampled), most)
    return [sampled[number * (len(sampled) - 1) // max(count - 1, 1)] for number in range(count)]


def _key_frame(
    container: InputContainer, stream: VideoStream, wanted: int, shown: int | None
) -> VideoFrame | None:
    """Return the last key frame at or before the pts `wanted`.

    Return None if it is not later than the pts `shown`, or cannot be found or decoded.
    """
    decoder = decoder_of(stream)
    try:
        container.seek(wanted, stream=stream, backward=True)
        decoder.flush_buffers()
        for packet in container.demux(stream):
            if packet.size and packet.is_keyframe:
                if shown is not None and (packet.pts is None or packet.pts <= shown):
                    return None
                return next(iter([*decoder.decode(packet), *decoder.decode(None)]), None)
    except av.FFmpegError:
        pass
    return None
