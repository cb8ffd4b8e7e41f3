"""Open media files and describe their main video stream."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.dolby_vision import dolby_vision
from engine.media.formats import picture_planes
from engine.media.metadata_blocks import exif_orientation, lacks_end
from engine.media.mp4_boxes import hangs_ffmpeg, has_index
from engine.media.os_errors import explain_read_errors, read_bytes
from engine.media.pyav import DAMAGE, as_fraction, codec_of, open_input, path_of, side_data
from engine.values import Colour, Matrix, Orientation, PixelFormat, VideoInfo

_IMAGE_FORMATS = frozenset({"image2", "webp"})
_IMAGE_BRANDS = frozenset({b"avif", b"heic", b"heix", b"mif1", b"msf1"})
_MATRICES: dict[int, Matrix] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt709",
    9: "bt2020",
    10: "bt2020",
}
# The other matrices of ITU-T H.273, table 4. Converting with a wrong matrix would change all
# colours of a face.
_UNSUPPORTED_MATRICES = {
    8: "YCgCo",
    11: "YDzDx (SMPTE ST 2085)",
    12: "YCbCr derived from its primaries",
    13: "YCbCr derived from its primaries, of constant luminance",
    14: "ICtCp",
    15: "IPT-PQ-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_DOLBY_CODECS = frozenset({"h264", "hevc", "av1"})
_LOWEST_RATE = Fraction(1, 100_000)  # frames per second; encoders take no lower rate
_WEBP_ANIMATION = 0x02
_HEAD_BYTES = 21  # enough to recognise an animated WebP
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_CENTRED_CODECS = frozenset({"mjpeg", "mpeg1video", "webp", "webp_anim"})
# The eight orientations as the linear part (a, b, c, d) of x' = ax + cy, y' = bx + dy.
_QUARTER_TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


@dataclass(frozen=True, slots=True)
class Source:
    """Facts about a media file's main video stream, known after its first frame.

    Attributes:
        info: what `probe` returns.
        time_base: seconds per unit of `first_pts`.
        first_pts: pts of the first frame.
        display_matrix: nine numbers as FFmpeg stores them, or None.
        mastering_display: FFmpeg's structure AVMasteringDisplayMetadata, or None.
        light_level: FFmpeg's structure AVContentLightMetadata, or None.
        sample_aspect_ratio: width of a pixel over its height, or None.
        interlaced: the first frame is interlaced.
        lost: names of dynamic metadata that no output stores.
    """

    info: VideoInfo
    time_base: Fraction
    first_pts: int
    display_matrix: tuple[int, ...] | None
    mastering_display: bytes | None
    light_level: bytes | None
    sample_aspect_ratio: Fraction | None
    interlaced: bool
    lost: tuple[str, ...]


def probe(path: Path) -> VideoInfo:
    """Return what a media file is: kind, size, frame rate, pixel format, colours and length.

    Raises:
        MediaError: the file does not exist, is a directory, or contains no frame that decodes.
    """
    return describe(path).info


def describe(path: Path) -> Source:
    """Return what `probe` does, and what an output takes over besides."""
    with open_media(path) as container:
        stream = main_video(container, path)
        picture = first_picture(container, stream, path)
        image = _is_image(container, path)
        orientations = FrameOrientations(stream)
        orientation = exif_orientation(read_bytes(path)) if image else orientations.of(picture)
        width, height = picture.width, picture.height
        info = VideoInfo(
            kind="image" if image else "video",
            size=(height, width) if orientation.quarter_turns % 2 else (width, height),
            frame_rate=frame_rate(stream),
            frame_count=1 if image else stream.frames or None,
            duration=None if image else _duration(container, stream),
            codec=codec_of(stream),
            format=format_of(picture),
            colour=colour_of(picture, stream),
            orientation=orientation,
        )
        ratio = stream.sample_aspect_ratio
        read_side_data = partial(side_data, stream, picture)
        return Source(
            info=info,
            time_base=as_fraction(stream.time_base),
            first_pts=(stream.start_time if only_decoding_times(container, stream) else picture.pts)
            or 0,
            display_matrix=None if image else orientations.matrix(picture),
            mastering_display=None if image else read_side_data("MASTERING_DISPLAY_METADATA"),
            light_level=None if image else read_side_data("CONTENT_LIGHT_LEVEL"),
            sample_aspect_ratio=as_fraction(ratio) if ratio else None,
            interlaced=picture.interlaced_frame,
            lost=() if image else tuple(_dynamic_metadata(container, stream, read_side_data)),
        )


def _dynamic_metadata(
    container: InputContainer,
    stream: VideoStream,
    read_side_data: Callable[[str], bytes | None],
) -> Iterator[str]:
    """Yield the names of HDR metadata that change from scene to scene."""
    codec = codec_of(stream)
    if codec in _DOLBY_CODECS and dolby_vision(path_of(container)) is not None:
        yield "Dolby Vision"
    if read_side_data("DYNAMIC_HDR_PLUS"):
        yield "HDR10+"


def is_image(path: Path) -> bool:
    """Return True for a still image, judged by the file's content, not by its name."""
    with open_media(path) as container:
        return _is_image(container, path)


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a file for reading and close it at the end of the block.

    Raises:
        MediaError: the file does not exist, is a directory, empty, truncated or no media file.
    """
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise MediaError(f"{path} is empty; copy the file again.")
    if hangs_ffmpeg(path):
        raise MediaError(f"{path} is damaged: a HEIF image follows its video; copy it again.")
    try:
        container = open_input(path)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(_open_error(path, head, error)) from error
    with container:
        yield container


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream that players show, ready to be decoded; never cover art.

    Raises:
        MediaError: there is none, or its codec, matrix or Dolby Vision profile is not supported.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    if not streams:
        what = "contains sound but no picture" if container.streams.audio else "contains no picture"
        raise MediaError(f"{path} {what}; give a video or an image.")
    chosen = next((stream for stream in streams if stream is best), streams[0])
    if chosen.codec_context is None:
        raise MediaError(
            f"{path} has a video codec that this FFmpeg build cannot decode; convert it to H.264."
        )
    matrix = _UNSUPPORTED_MATRICES.get(chosen.codec_context.colorspace)
    if matrix is not None:
        raise MediaError(
            f"{path} has the colour matrix {matrix}, which is not supported; convert it to BT.709 "
            "or BT.2020 first."
        )
    if _is_dolby_vision_alone(container, chosen):
        raise MediaError(
            f"{path} is Dolby Vision without a compatible base layer (profile 5, or 10.0); "
            "convert it to HDR10 or SDR first, for instance with FFmpeg's libplacebo filter."
        )
    if _is_jpeg_without_end(container, chosen):
        # Otherwise the decoder would invent the missing part.
        chosen.codec_context.options = {"err_detect": "explode"}
    chosen.thread_type = "AUTO"
    return chosen


def _is_jpeg_without_end(container: InputContainer, stream: VideoStream) -> bool:
    """Return True for a JPEG still image without the end marker, truncated or not."""
    if codec_of(stream) != "mjpeg":
        return False
    path = path_of(container)
    return _is_image(container, path) and lacks_end(read_bytes(path))


def _is_dolby_vision_alone(container: InputContainer, stream: VideoStream) -> bool:
    """Return True for a Dolby Vision profile without a base layer for other players."""
    codec = codec_of(stream)
    found = dolby_vision(path_of(container)) if codec in _DOLBY_CODECS else None
    return found is not None and (found[0] == 5 or found == (10, 0))


def decoder_of(stream: VideoStream) -> VideoCodecContext:
    """Return a stream's decoder: FFmpeg's choice, except for VP8 and VP9 with alpha."""
    context = stream.codec_context
    name = _ALPHA_DECODERS.get(codec_of(stream))
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1":
        return context
    # FFmpeg's own decoders of these codecs ignore the alpha plane.
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_type = "AUTO"
    return decoder


def first_picture(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    """Return the first frame that decodes.

    Raises:
        MediaError: none does.
    """
    decoder = decoder_of(stream)
    # A file that becomes unreadable may contain a frame before that.
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            try:
                pictures = decoder.decode(packet if packet.size else None)
            except DAMAGE:
                continue
            if pictures:
                return pictures[0]
    raise no_picture_error(path)


def only_decoding_times(container: InputContainer, stream: VideoStream) -> bool:
    """Return True if packets have decoding times but no presentation times, as in AVI."""
    return container.format.name == "avi" and stream.codec_context.has_b_frames


def no_picture_error(path: Path, name: str | None = None) -> MediaError:
    """Return the error for a file of which no frame decodes; `name` replaces the path in it."""
    label = name or str(path)
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if _is_animated_webp(head):
        return MediaError(_animated_webp_error(label))
    if lacks_end(read_bytes(path)):
        return MediaError(f"{label} is truncated: a part of its picture is missing; copy it again.")
    return MediaError(
        f"{label} contains no picture that can be decoded; it may be truncated or damaged; copy "
        "the file again."
    )


def format_of(picture: VideoFrame) -> PixelFormat:
    """Return the planar format of a decoded frame's planes."""
    return picture_planes(picture)[1]


def colour_of(picture: VideoFrame, stream: VideoStream) -> Colour:
    """Return range, matrix and tags of a decoded frame; players' defaults for what is untagged."""
    name, codec = picture.format.name, codec_of(stream)
    rgb = picture.format.is_rgb or name == "pal8"
    # Untagged grey has full range, as for FFmpeg's own scaler.
    untagged_grey = picture.color_range == 0 and name.startswith(("gray", "ya", "mono"))
    return Colour(
        matrix="rgb" if rgb else _matrix(picture),
        full_range=picture.color_range == 2 or name.startswith("yuvj") or rgb or untagged_grey,
        primaries=picture.color_primaries,
        transfer=picture.color_trc,
        space=picture.colorspace,
        chroma_location=2 if codec in _CENTRED_CODECS else 0,
    )


class FrameOrientations:
    """Orientations of a video's frames, from the display matrix of the stream or of the frame.

    H.264 and HEVC can change the orientation in the middle of a video. The matrix is read once for
    each rotation.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._matrices: dict[int, tuple[int, ...] | None] = {}

    def of(self, picture: VideoFrame) -> Orientation:
        """Return the orientation of a decoded frame."""
        matrix = self.matrix(picture)
        return Orientation() if matrix is None else orientation_from_matrix(matrix)

    def matrix(self, picture: VideoFrame) -> tuple[int, ...] | None:
        """Return the display matrix of a decoded frame: FFmpeg's nine numbers, or None."""
        rotation = picture.rotation
        if rotation not in self._matrices:
            self._matrices[rotation] = self._read(picture)
        return self._matrices[rotation]

    def _read(self, picture: VideoFrame) -> tuple[int, ...] | None:
        data = side_data(self._stream, picture, "DISPLAYMATRIX")
        if data is not None:
            return struct.unpack("=9i", data)
        if not picture.rotation:
            return None
        a, b, c, d = (n << 16 for n in _QUARTER_TURNS[round(picture.rotation / 90) % 4])
        return (a, b, 0, c, d, 0, 0, 0, 1 << 30)


def orientation_from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """Return the nearest of the eight orientations to FFmpeg's display matrix (16.16 numbers)."""
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    candidates = [Orientation(turns, mirrored) for turns in range(4) for mirrored in (False, True)]

    def similarity(orientation: Orientation) -> int:
        p, q, r, s = _QUARTER_TURNS[orientation.quarter_turns]
        if orientation.mirrored:
            p, q = -p, -q
        return a * p + b * q + c * r + d * s

    return max(candidates, key=similarity)


def _is_image(container: InputContainer, path: Path) -> bool:
    name = container.format.name
    if name in _IMAGE_FORMATS or name.endswith("_pipe"):
        return True
    with explain_read_errors(path), path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS


def _is_animated_webp(head: bytes) -> bool:
    flags = head[20] if len(head) > 20 and head.startswith(b"RIFF") else 0
    return head[8:16] == b"WEBPVP8X" and bool(flags & _WEBP_ANIMATION)


def _animated_webp_error(name: str) -> str:
    return (
        f"{name} is an animated WebP, which cannot be decoded here; convert it to MP4, or save "
        "one of its frames as PNG."
    )


def _open_error(path: Path, head: bytes, error: Exception) -> str:
    if _is_animated_webp(head):
        return _animated_webp_error(str(path))
    if head[4:8] == b"ftyp" and head[8:12] not in _IMAGE_BRANDS and not has_index(path):
        return (
            f"{path} is incomplete: its index (moov) is missing, as after an interrupted recording "
            "or download; download or record it again."
        )
    if isinstance(error, av.ArgumentError):
        return (
            f"{path} is not a video or an image that is supported: it is damaged, has no video, or "
            "refers to other files, such as a playlist does. Give the file that contains the "
            "video, or convert it to MP4 or PNG."
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path} is not a video or an image that can be read ({reason})."


def _matrix(picture: VideoFrame) -> Matrix:
    if picture.colorspace in _MATRICES:
        return _MATRICES[picture.colorspace]
    if picture.color_primaries == 9:
        return "bt2020"
    if picture.color_range == 2 and picture.format.name.startswith("yuvj"):
        return "bt601"
    return "bt709" if picture.width >= 1280 or picture.height > 576 else "bt601"


def frame_rate(stream: VideoStream) -> Fraction:
    """Return the average frame rate, or the container's estimate; 25 if there is none."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return max(as_fraction(rate), _LOWEST_RATE) if rate else Fraction(25)


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * as_fraction(stream.time_base))
    return None if container.duration is None else container.duration / 1_000_000
