"""Sample key frames of a video, at a cost that does not grow with its length."""

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

from engine.media.decode import Warn, exact_seconds, frame_of, read_frames, silent
from engine.media.probe import Turns, decoder_of, main_video, open_media
from engine.media.pyav import as_fraction
from engine.options import Trim
from engine.values import Frame, VideoInfo

_DECODED = 2**31  # pixels of a video that are decoded to spread pictures over it
_HELD = 2**27  # pixels that may be held, where more than `_LEAST` pictures are asked for
_LEAST = 8  # pictures that tell enough of a video


def sampled_frames(
    path: Path, trim: Trim, *, duration: float | None, every: float, most: int
) -> Iterator[Frame]:
    """Key frames spread over the part of a video that `trim` names, in order of display.

    They are the last before instants `every` seconds apart, or as far as it takes to keep them to
    `most`; where the part does not begin with the video, its first picture leads them. Nothing else
    is decoded but what leads to that. Where key frames are sparse, or the file cannot be searched,
    they are fewer; where its `duration` in seconds is not known, there is but the first.

    Raises:
        MediaError: the file cannot be read or holds no picture.
        ParameterError: no picture lies in the part that `trim` names.
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
        turns = Turns(stream)
        # Threads by frame hand a picture out only once they were given some that follow it.
        stream.thread_type = "SLICE"
        base, origin = as_fraction(stream.time_base), stream.start_time or 0
        for number in range(count):
            wanted = start + (stop - start) * number / count
            picture = _key_frame(container, stream, origin + round(wanted / base), shown)
            if picture is not None and picture.pts is not None:
                shown = picture.pts
                yield frame_of(picture, stream, number, turns.of(picture))


def spread_frames(path: Path, info: VideoInfo, most: int, *, warn: Warn = silent) -> list[Frame]:
    """Up to `most` pictures spread over a video, in order of display; fewer where they are large.

    A short video is decoded to its end. Of a long one, key frames are taken; where these are few,
    pictures of its beginning.

    Raises:
        MediaError: the file cannot be read or holds no picture.
    """
    width, height = info.size
    most = min(most, max(_LEAST, _HELD // (width * height)))
    decoded = max(most, _DECODED // (width * height))
    if info.duration is not None and info.duration * info.frame_rate > decoded:
        found = list(
            sampled_frames(
                path, Trim(), duration=info.duration, every=info.duration / (2 * most), most=most
            )
        )
        if len(found) >= min(most, _LEAST):
            return found
    with closing(read_frames(path, warn=warn)) as frames:
        return _thinned(islice(frames, decoded), most)


def _thinned(frames: Iterable[Frame], most: int) -> list[Frame]:
    """Up to `most` frames, evenly spread over all; twice as many are held on the way."""
    kept: list[Frame] = []
    step = 1
    for number, frame in enumerate(frames):
        if number % step == 0:
            kept.append(frame)
        if len(kept) == 2 * most:
            kept, step = kept[::2], 2 * step
    count = min(len(kept), most)
    return [kept[number * (len(kept) - 1) // max(count - 1, 1)] for number in range(count)]


def _key_frame(
    container: InputContainer, stream: VideoStream, wanted: int, shown: int | None
) -> VideoFrame | None:
    """The last key frame at or before `wanted`; None where it is not later than `shown`.

    Also None where it cannot be found or decoded.
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
