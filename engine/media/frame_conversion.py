"""Convert frames to the pixel format and size of an encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from av.video.frame import VideoFrame

from engine.media.formats import (
    depth_suffix,
    frame_to_picture,
    full_range,
    pixel_format,
    upsample_chroma,
)
from engine.values import Frame, Plane

_RGB, _BT709 = 0, 1  # FFmpeg's numbers
_LIMITED, _FULL = 1, 2
_MATRICES = {"bt601": 5, "bt709": _BT709, "bt2020": 9, "rgb": _RGB}


def convert_frame(frame: Frame, name: str, size: tuple[int, int]) -> VideoFrame:
    """Return a frame as a PyAV frame in a pixel format and size (width, height).

    The samples stay as they are if the format allows it. A larger size repeats the last column and
    line. RGB becomes BT.709 of limited range.
    """
    frame = _pad(frame, size)
    wanted = pixel_format(name)
    if frame.format.family == "gray" and wanted.family == "yuv":
        frame = _with_neutral_chroma(frame, wanted.chroma_shift_x, wanted.chroma_shift_y)
    own = frame.format
    if name.startswith("yuvj"):
        # Some encoders accept full range only under these deprecated names.
        range_now = _FULL if full_range(frame) else _LIMITED
        return frame_to_picture(frame).reformat(
            format=name, src_color_range=range_now, dst_color_range=_FULL
        )
    if own == wanted:
        return frame_to_picture(frame)
    if own.family == "yuv" and name == f"yuv444p{depth_suffix(own.bits)}":
        return frame_to_picture(upsample_chroma(frame, alpha=False))
    picture = frame_to_picture(frame)
    if own.family == "rgb" and wanted.family == "yuv":
        # RGB has full range; players expect limited range in video.
        return picture.reformat(format=name, dst_colorspace=_BT709, dst_color_range=_LIMITED)
    if own.family == "yuv" and wanted.family == "rgb":
        return picture.reformat(
            format=name,
            src_colorspace=_MATRICES[frame.colour.matrix],
            src_color_range=_FULL if full_range(frame) else _LIMITED,
            dst_color_range=_FULL,
        )
    return picture.reformat(format=name)


def colour_tags(frame: Frame, name: str) -> tuple[int, int]:
    """Return FFmpeg's numbers of the matrix and range of the result of `convert_frame`."""
    own, wanted = frame.format.family, pixel_format(name).family
    if own == "rgb" and wanted == "yuv":
        return _BT709, _LIMITED
    if wanted == "rgb" and own != "rgb":
        return _RGB, _FULL
    if name.startswith("yuvj"):
        return frame.colour.space, _FULL
    return frame.colour.space, _FULL if full_range(frame) else _LIMITED


def _pad(frame: Frame, size: tuple[int, int]) -> Frame:
    """Repeat the last column and line of a frame's planes up to a size (width, height)."""
    if frame.coded_size == size:
        return frame
    planes: list[Plane] = []
    for number, plane in enumerate(frame.planes):
        chroma = number in (1, 2) and frame.format.family == "yuv"
        shift_x = frame.format.chroma_shift_x if chroma else 0
        shift_y = frame.format.chroma_shift_y if chroma else 0
        lines = np.arange(-(-size[1] >> shift_y)).clip(max=plane.shape[0] - 1)
        columns = np.arange(-(-size[0] >> shift_x)).clip(max=plane.shape[1] - 1)
        planes.append(plane[lines[:, None], columns])
    return replace(frame, planes=tuple(planes))


def _with_neutral_chroma(frame: Frame, shift_x: int, shift_y: int) -> Frame:
    """Return a grey frame as YUV with neutral chroma; its samples stay."""
    luma, bits = frame.planes[0], frame.format.bits
    height, width = luma.shape
    shape = -(-height >> shift_y), -(-width >> shift_x)
    chroma = luma[: shape[0], : shape[1]].copy()
    chroma.fill(1 << (bits - 1))
    sampling = {(1, 1): "420", (1, 0): "422", (0, 0): "444"}[shift_x, shift_y]
    name = f"yuv{'a' if frame.format.alpha else ''}{sampling}p{depth_suffix(bits)}"
    planes = (luma, chroma, chroma, *frame.planes[1:])
    return replace(frame, planes=planes, format=pixel_format(name))
