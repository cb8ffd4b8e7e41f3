"""Check files of strangers, without decoding a picture of unknown size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from engine.bounds import MediaBounds
from engine.errors import MediaError
from engine.media.metadata_blocks import claimed_size, hidden_bytes
from engine.media.os_errors import explain_read_errors
from engine.media.probe import frame_rate, main_video, no_picture_error
from engine.media.pyav import DAMAGE, USUAL_FORMATS, as_fraction, codec_of, open_input

# What cameras, phones and editing programs write; the hundreds of other decoders in FFmpeg are
# for files that one trusts.
# fmt: off
_CODECS = frozenset({
    "av1", "bmp", "dnxhd", "dvvideo", "ffv1", "flv1", "gif", "h263", "h264", "hevc", "jpeg2000",
    "jpegxl", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "prores",
    "qtrle", "rawvideo", "theora", "tiff", "utvideo", "vc1", "vp8", "vp9", "webp", "webp_anim",
    "wmv1", "wmv2", "wmv3",
})
# fmt: on
# A PNG in a file of its own is looked through; one in a video cannot be.
_PNG_CODECS = frozenset({"png", "apng"})
_PNG_FORMATS = frozenset({"png_pipe", "apng", "image2"})
_PNG = b"\x89PNG"
_HEAD_BYTES = 1 << 20
_MOST_RATE = 120  # pictures per second
_MOST_HIDDEN = 1 << 24


class TooLarge(MediaError):
    """A picture has more pixels, or a video lasts longer, than is allowed."""


def check_header(path: Path, name: str, bounds: MediaBounds) -> None:
    """Looks whether a file is media of an allowed size; `name` is how errors call it.

    No picture of more than `bounds.pixels` is ever allocated, and no other file is opened.

    Raises:
        TooLarge: the picture or the video is over the bounds.
        MediaError: it is no media file, or one that only names others, or shows no picture.
    """
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        _check_size(claimed_size(head), name, bounds)
        if head.startswith(_PNG) and hidden_bytes(head + file.read(), _MOST_HIDDEN) > _MOST_HIDDEN:
            raise TooLarge(
                f"{name} holds a colour profile or texts of more than {_MOST_HIDDEN:,} bytes; "
                "save it without them"
            )
    with _opened(path, name, bounds) as (container, stream):
        if container.duration is None:
            stamps = (packet.pts for packet in _packets(container, stream) if packet.size)
            _check_length(stamps, stream, name, bounds)
        elif container.duration > bounds.seconds * 1_000_000:
            raise TooLarge(
                f"{name} lasts {container.duration / 1_000_000:.0f} seconds; "
                f"allowed: at most {bounds.seconds:g}"
            )


def check_pictures(
    path: Path, name: str, bounds: MediaBounds, each: Callable[[], None] = lambda: None
) -> None:
    """Decodes all of a file, as a header may claim what it likes; calls `each` at every picture.

    Raises:
        TooLarge: a picture, or all together, are over the bounds.
        MediaError: as `check_header` does, or no picture decodes.
    """
    pictures = 0

    def seen() -> None:
        nonlocal pictures
        pictures += 1
        each()

    with _opened(path, name, bounds) as (container, stream):
        _check_length(_stamps(container, stream, name, bounds, seen), stream, name, bounds)
    if not pictures:
        raise no_picture_error(path, name)


@contextmanager
def _opened(
    path: Path, name: str, bounds: MediaBounds
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A file that holds its media itself, and the stream of its pictures."""
    try:
        container = open_input(
            path, options={"max_pixels": str(bounds.pixels)}, formats=USUAL_FORMATS
        )
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{name} is not a video or an image that can be read; give one whose file holds all "
            "of its pictures, such as MP4, WebM, JPEG or PNG"
        ) from error
    with container:
        stream = main_video(container, Path(name))
        codec = codec_of(stream)
        if codec not in _CODECS and not (
            codec in _PNG_CODECS and container.format.name in _PNG_FORMATS
        ):
            raise MediaError(
                f"{name} is encoded as {codec}, which is not taken here; give it as H.264, HEVC, "
                "VP9, AV1, JPEG or PNG"
            )
        width, height = stream.codec_context.width, stream.codec_context.height
        if not width or not height:
            raise MediaError(
                f"{name} shows no picture of at most {bounds.pixels:,} pixels that can be decoded; "
                "the file may be cut off or damaged, or the picture too large"
            )
        _check_size((width, height), name, bounds)
        yield container, stream


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets of a stream, as far as the file can be read."""
    with suppress(av.FFmpegError):
        yield from container.demux(stream)


def _stamps(
    container: InputContainer,
    stream: VideoStream,
    name: str,
    bounds: MediaBounds,
    each: Callable[[], None],
) -> Iterator[int | None]:
    """The time stamp of every picture that decodes within the bounds."""
    context = stream.codec_context
    context.options = {**context.options, "max_pixels": str(bounds.pixels)}
    for packet in _packets(container, stream):
        try:
            pictures = packet.decode()
        except DAMAGE as error:
            # The decoder names a size it refuses, forgets it, or (dav1d) speaks of a range; all
            # else is damage, past which a video is read.
            pixels = context.width * context.height
            if isinstance(error, OverflowError) or not 0 < pixels <= bounds.pixels:
                raise TooLarge(
                    f"{name} has a picture of more pixels than allowed, which are at most "
                    f"{bounds.pixels:,}"
                ) from error
            continue
        for picture in pictures:
            each()
            yield picture.pts


def _check_length(
    stamps: Iterable[int | None], stream: VideoStream, name: str, bounds: MediaBounds
) -> None:
    base, rate = as_fraction(stream.time_base or 1), frame_rate(stream)
    first: int | None = None
    for count, pts in enumerate(stamps):
        if pts is not None and first is None:
            first = pts
        seconds = count / rate if pts is None or first is None else (pts - first) * base
        if seconds > bounds.seconds or count >= bounds.seconds * _MOST_RATE:
            raise TooLarge(
                f"{name} lasts too long; allowed: at most {bounds.seconds:g} seconds of "
                f"{_MOST_RATE} pictures each"
            )


def _check_size(size: tuple[int, int] | None, name: str, bounds: MediaBounds) -> None:
    if size is not None and size[0] * size[1] > bounds.pixels:
        raise TooLarge(
            f"{name} has {size[0]} x {size[1]} pixels; "
            f"allowed: at most {bounds.pixels:,} in a picture"
        )
