"""Check media files of remote clients, without decoding a picture of unknown size."""

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

# Codecs of cameras, phones and editing programs. FFmpeg's hundreds of other decoders are not used
# for untrusted files.
# fmt: off
_CODECS = frozenset({
    "av1", "bmp", "dnxhd", "dvvideo", "ffv1", "flv1", "gif", "h263", "h264", "hevc", "jpeg2000",
    "jpegxl", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "prores",
    "qtrle", "rawvideo", "theora", "tiff", "utvideo", "vc1", "vp8", "vp9", "webp", "webp_anim",
    "wmv1", "wmv2", "wmv3",
})
# fmt: on
# A PNG file is searched for hidden data; PNG frames of a video cannot be.
_PNG_CODECS = frozenset({"png", "apng"})
_PNG_FORMATS = frozenset({"png_pipe", "apng", "image2"})
_PNG = b"\x89PNG"
_HEAD_BYTES = 1 << 20
_MAX_RATE = 120  # frames per second
_MAX_HIDDEN = 1 << 24  # bytes of uncompressed profile and texts in a PNG


class TooLarge(MediaError):
    """The size of a picture or the length of a video exceeds the bounds."""


def check_header(path: Path, name: str, bounds: MediaBounds) -> None:
    """Check by its header that a file is media within the bounds.

    No picture of more than `bounds.pixels` is allocated, and no other file is opened.

    Args:
        path: the file.
        name: name of the file or parameter in errors.
        bounds: the allowed size and length.

    Raises:
        TooLarge: the picture or the video exceeds the bounds.
        MediaError: the file is no media file, refers to other files, or has no video.
    """
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        _check_size(claimed_size(head), name, bounds)
        if head.startswith(_PNG) and hidden_bytes(head + file.read(), _MAX_HIDDEN) > _MAX_HIDDEN:
            raise TooLarge(
                f"{name} contains a colour profile or texts of more than {_MAX_HIDDEN:,} bytes; "
                "save it without them"
            )
    with _open(path, name, bounds) as (container, stream):
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
    """Check by decoding the whole file that it is within the bounds; headers may be wrong.

    `each` is called for every decoded frame.

    Raises:
        TooLarge: a frame or the video exceeds the bounds.
        MediaError: as for `check_header`, or no frame decodes.
    """
    frames = 0

    def count() -> None:
        nonlocal frames
        frames += 1
        each()

    with _open(path, name, bounds) as (container, stream):
        _check_length(_timestamps(container, stream, name, bounds, count), stream, name, bounds)
    if not frames:
        raise no_picture_error(path, name)


@contextmanager
def _open(
    path: Path, name: str, bounds: MediaBounds
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file with the demuxers for untrusted files; yield it and its main video stream."""
    try:
        container = open_input(
            path, options={"max_pixels": str(bounds.pixels)}, formats=USUAL_FORMATS
        )
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{name} is not a video or an image that can be read; give a file that contains the "
            "video or image itself, such as MP4, WebM, JPEG or PNG"
        ) from error
    with container:
        stream = main_video(container, Path(name))
        codec = codec_of(stream)
        if codec not in _CODECS and not (
            codec in _PNG_CODECS and container.format.name in _PNG_FORMATS
        ):
            raise MediaError(
                f"{name} is encoded as {codec}, which is not accepted here; convert it to H.264, "
                "HEVC, VP9, AV1, JPEG or PNG"
            )
        width, height = stream.codec_context.width, stream.codec_context.height
        if not width or not height:
            raise MediaError(
                f"{name} contains no picture of at most {bounds.pixels:,} pixels that can be "
                "decoded; it may be truncated or damaged, or the picture too large"
            )
        _check_size((width, height), name, bounds)
        yield container, stream


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream, as far as the file can be read."""
    with suppress(av.FFmpegError):
        yield from container.demux(stream)


def _timestamps(
    container: InputContainer,
    stream: VideoStream,
    name: str,
    bounds: MediaBounds,
    each: Callable[[], None],
) -> Iterator[int | None]:
    """Yield the pts of every decoded frame.

    Raises:
        TooLarge: a frame has more pixels than allowed.
    """
    context = stream.codec_context
    context.options = {**context.options, "max_pixels": str(bounds.pixels)}
    for packet in _packets(container, stream):
        try:
            pictures = packet.decode()
        except DAMAGE as error:
            # For a refused size, a decoder keeps the size, resets it, or (dav1d) raises
            # OverflowError. Other errors are damage, after which the video goes on.
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
        if seconds > bounds.seconds or count >= bounds.seconds * _MAX_RATE:
            raise TooLarge(
                f"{name} lasts too long; allowed: at most {bounds.seconds:g} seconds of "
                f"{_MAX_RATE} frames each"
            )


def _check_size(size: tuple[int, int] | None, name: str, bounds: MediaBounds) -> None:
    if size is not None and size[0] * size[1] > bounds.pixels:
        raise TooLarge(
            f"{name} has {size[0]} x {size[1]} pixels; "
            f"allowed: at most {bounds.pixels:,} in a picture"
        )
