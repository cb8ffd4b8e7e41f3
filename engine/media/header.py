"""What a file claims to be, found out without decoding a picture of unknown size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from engine.errors import MediaError
from engine.media.probe import main_video
from engine.media.segments import claimed_size, hidden_bytes

# Formats that hold their media themselves: a playlist or a scene file names other files, and so
# could bring a stranger to files that were never given to the engine.
_SELF_CONTAINED = (
    "apng,asf,av1,avi,bmp_pipe,dv,flv,gif,h264,hevc,image2,ivf,jpeg_pipe,jpegxl_pipe,m4v,"
    "matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,png_pipe,rm,tiff_pipe,webm,"
    "webp_anim,webp_pipe,yuv4mpegpipe"
)
# What cameras, phones and editing programs write; the hundreds of other decoders in FFmpeg are
# for files that one trusts.
# fmt: off
_CODECS = frozenset({
    "av1", "bmp", "dnxhd", "dvvideo", "ffv1", "flv1", "gif", "h263", "h264", "hevc", "jpeg2000",
    "jpegxl", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "prores",
    "qtrle", "rawvideo", "theora", "tiff", "utvideo", "vc1", "vp8", "vp9", "webp", "wmv1", "wmv2",
    "wmv3",
})
# fmt: on
# A PNG in a file of its own is looked through; one in a video cannot be.
_PNG_CODECS = frozenset({"png", "apng"})
_PNG_FORMATS = frozenset({"png_pipe", "apng", "image2"})
_PNG = b"\x89PNG"
_HEAD_BYTES = 1 << 20
_MOST_HIDDEN = 1 << 24


class TooLarge(MediaError):
    """A picture has more pixels, or a video lasts longer, than is allowed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that a file may hold: pixels of a picture, and seconds of a video."""

    pixels: int
    seconds: float


def check_header(path: Path, name: str, bounds: Bounds) -> None:
    """Looks whether a file is media of an allowed size; `name` is how errors call it.

    No picture of more than `bounds.pixels` is ever allocated, and no other file is opened.

    Raises:
        TooLarge: the picture or the video is over the bounds.
        MediaError: it is no media file, or one that only names others, or shows no picture.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        _check_size(claimed_size(head), name, bounds)
        if head.startswith(_PNG) and hidden_bytes(head + file.read(), _MOST_HIDDEN) > _MOST_HIDDEN:
            raise TooLarge(
                f"{name} holds a colour profile or texts of more than {_MOST_HIDDEN:,} bytes; "
                "save it without them"
            )
    try:
        container = av.open(
            f"file:{path}",
            mode="r",
            options={"max_pixels": str(bounds.pixels)},
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": _SELF_CONTAINED,
            },
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{name} is not a video or an image that can be read; give one whose file holds all "
            "of its pictures, such as MP4, WebM, JPEG or PNG"
        ) from error
    with container:
        stream = main_video(container, path)
        codec = stream.codec_context.codec.canonical_name
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
                "the file may be damaged, or the picture too large"
            )
        _check_size((width, height), name, bounds)
        if container.duration is not None and container.duration > bounds.seconds * 1_000_000:
            raise TooLarge(
                f"{name} lasts {container.duration / 1_000_000:.0f} seconds; "
                f"allowed: at most {bounds.seconds:g}"
            )


def _check_size(size: tuple[int, int] | None, name: str, bounds: Bounds) -> None:
    if size is not None and size[0] * size[1] > bounds.pixels:
        raise TooLarge(
            f"{name} has {size[0]} x {size[1]} pixels; "
            f"allowed: at most {bounds.pixels:,} in a picture"
        )
