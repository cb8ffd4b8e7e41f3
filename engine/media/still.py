"""Write a frame as a still image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from engine.errors import MediaError
from engine.media.formats import frame_to_picture, full_range, upsample_chroma
from engine.media.metadata_blocks import (
    exif_of_upright,
    has_location,
    icc_profile,
    resolution,
    with_metadata,
)
from engine.media.os_errors import read_bytes, write_error
from engine.media.output_check import check_picture
from engine.media.output_file import IMAGE_SUFFIXES, WrittenInfo, check_output, partial_output
from engine.media.provenance_tags import provenance_xmp
from engine.options import MetadataMode
from engine.values import Frame, Orientation, Plane

_BT601, _LIMITED, _FULL = 5, 1, 2  # FFmpeg's numbers


@dataclass(frozen=True, slots=True)
class _Encoding:
    codec: str
    pixel_format: str
    options: Mapping[str, str] = field(default_factory=dict)
    yuv_range: int | None = None  # FFmpeg's number; None for RGB and grey


def write_image(
    frame: Frame,
    output: Path,
    *,
    like: Path | None = None,
    overwrite: bool = False,
    provenance: Mapping[str, str] | None = None,
    metadata: MetadataMode = "keep",
) -> WrittenInfo:
    """Write a frame as PNG, JPEG or WebP, upright, with the ICC profile and EXIF of `like`.

    PNG keeps alpha and 16 bits. JPEG has the highest quality and the frame's chroma resolution.
    WebP is lossless for RGB frames.

    Args:
        frame: the picture.
        output: file to write; its suffix chooses the format.
        like: the target, from which metadata is taken.
        overwrite: replace an existing file.
        provenance: tags that become an XMP packet.
        metadata: "none" takes only the ICC profile and the resolution from `like`.

    Raises:
        MediaError: `output` cannot be written or has another suffix.
        OutputExists: `output` exists and `overwrite` is False.
    """
    check_output(output, overwrite=overwrite, inputs=() if like is None else (like,))
    suffix = output.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise MediaError(f"The output {output} must end in one of {', '.join(IMAGE_SUFFIXES)}.")
    upright = _make_upright(frame)
    encoding = _encoding(suffix, upright)
    width, height = upright.coded_size
    try:
        data = _encode(upright, encoding)
    except av.FFmpegError as error:
        raise MediaError(
            f"{output} could not be written: the encoder {encoding.codec} refuses a picture of "
            f"{width}x{height} ({error.strerror}); choose another format."
        ) from error
    alpha = upright.format.alpha
    xmp = provenance_xmp(provenance) if provenance else None
    old = b"" if like is None else read_bytes(like)
    profile, exif = icc_profile(old), exif_of_upright(old) if metadata == "keep" else None
    density = resolution(old)
    if density and frame.orientation.quarter_turns % 2:
        density = density[::-1]
    if xmp or profile or exif or density:
        data = with_metadata(
            data,
            xmp=xmp,
            icc=profile,
            exif=exif,
            size=(width, height),
            alpha=alpha,
            resolution=density,
        )
    with partial_output(output, overwrite=overwrite) as partial:
        try:
            partial.write_bytes(data)
        except OSError as error:
            raise write_error(output, error) from error
        check_picture(partial, output, (width, height))
    warnings = []
    if alpha and encoding.codec == "mjpeg" and _is_transparent(upright):
        warnings.append("JPEG cannot store transparency; it is left out.")
    if exif is not None and has_location(old):
        warnings.append(
            "The target's EXIF says where it was taken (GPS), and the output keeps it; "
            "metadata none leaves it out."
        )
    return WrittenInfo(
        frames=1,
        size=(width, height),
        codec=encoding.codec,
        pixel_format=encoding.pixel_format,
        warnings=tuple(warnings),
    )


def _is_transparent(frame: Frame) -> bool:
    """Return True if a pixel is not opaque; some formats always have alpha."""
    alpha = frame.planes[-1]
    return bool((alpha < (1 << frame.format.bits) - 1).any())


def _encoding(suffix: str, frame: Frame) -> _Encoding:
    fmt = frame.format
    if suffix == ".png":
        deep = fmt.bits > 8
        if fmt.family == "gray":
            grey = ("ya16be" if deep else "ya8") if fmt.alpha else ("gray16be" if deep else "gray")
            return _Encoding("png", grey)
        stem = "rgba" if fmt.alpha else "rgb"
        depth = ("64be" if fmt.alpha else "48be") if deep else ("" if fmt.alpha else "24")
        return _Encoding("png", stem + depth)
    if suffix == ".webp":
        if fmt.family == "yuv":
            name = "yuva420p" if fmt.alpha else "yuv420p"
            return _Encoding("libwebp", name, {"quality": "95"}, _LIMITED)
        return _Encoding("libwebp", "bgra", {"lossless": "1"})
    name = fmt.name if fmt.name in ("yuv420p", "yuv422p") else "yuv444p"
    return _Encoding("mjpeg", name, {"qmin": "1", "qmax": "1", "huffman": "optimal"}, _FULL)


def _encode(frame: Frame, encoding: _Encoding) -> bytes:
    picture = _convert(frame, encoding)
    context = CodecContext.create(encoding.codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = frame.coded_size
    context.pix_fmt = encoding.pixel_format
    context.time_base = Fraction(1, 25)
    context.options = dict(encoding.options)
    context.color_range = encoding.yuv_range or _FULL
    if encoding.yuv_range is not None:
        context.colorspace = _BT601
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])


def _convert(frame: Frame, encoding: _Encoding) -> VideoFrame:
    """Convert a frame to the encoding's pixel format, range and matrix, if they differ."""
    picture = frame_to_picture(frame)
    range_now = _FULL if full_range(frame) else _LIMITED
    range_then = encoding.yuv_range or _FULL
    matrix_agrees = frame.format.family != "yuv" or frame.colour.matrix == "bt601"
    if frame.format.name == encoding.pixel_format and range_now == range_then and matrix_agrees:
        return picture
    matrices = {"bt601": _BT601, "bt709": 1, "bt2020": 9, "rgb": _BT601}
    return picture.reformat(
        format=encoding.pixel_format,
        src_colorspace=matrices[frame.colour.matrix],
        dst_colorspace=_BT601 if encoding.yuv_range is not None else None,
        src_color_range=range_now,
        dst_color_range=range_then,
    )


def _make_upright(frame: Frame) -> Frame:
    """Apply a frame's orientation to its planes."""
    orientation = frame.orientation
    if orientation == Orientation():
        return frame
    if frame.format.chroma_shift_x or frame.format.chroma_shift_y:
        # After a turn, the chroma siting would differ, and odd sizes would not match.
        frame = upsample_chroma(frame)
    planes = tuple(_orient(plane, orientation) for plane in frame.planes)
    return replace(frame, planes=planes, orientation=Orientation())


def _orient(plane: Plane, orientation: Orientation) -> Plane:
    mirrored = plane[:, ::-1] if orientation.mirrored else plane
    return np.rot90(mirrored, orientation.quarter_turns)
