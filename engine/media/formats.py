"""Lossless conversion between FFmpeg's frames and planes of one component each.

Planar formats are viewed in place. Semi-planar, packed and palette formats are split into the
planar format with the same samples. Only rare layouts (5-6-5 bits, floats, ...) go through FFmpeg's
scaler.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import log2
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from engine.values import Frame, PixelFormat, Plane

# Semi-planar formats: planar format, left shift of the samples, and True if V comes first.
_SEMI_PLANAR: dict[str, tuple[str, int, bool]] = {
    "nv12": ("yuv420p", 0, False),
    "nv21": ("yuv420p", 0, True),
    "nv16": ("yuv422p", 0, False),
    "nv24": ("yuv444p", 0, False),
    "nv42": ("yuv444p", 0, True),
    "nv20le": ("yuv422p10le", 0, False),
    "p010le": ("yuv420p10le", 6, False),
    "p012le": ("yuv420p12le", 4, False),
    "p016le": ("yuv420p16le", 0, False),
    "p210le": ("yuv422p10le", 6, False),
    "p216le": ("yuv422p16le", 0, False),
    "p410le": ("yuv444p10le", 6, False),
    "p416le": ("yuv444p16le", 0, False),
}
# Packed formats with one sample of each component per pixel: planar format, and the positions of
# its planes (R, G, B, A or Y, A) among the packed components.
_PACKED: dict[str, tuple[str, tuple[int, ...]]] = {
    "rgb24": ("gbrp", (0, 1, 2)),
    "bgr24": ("gbrp", (2, 1, 0)),
    "rgb0": ("gbrp", (0, 1, 2)),
    "bgr0": ("gbrp", (2, 1, 0)),
    "0rgb": ("gbrp", (1, 2, 3)),
    "0bgr": ("gbrp", (3, 2, 1)),
    "rgba": ("gbrap", (0, 1, 2, 3)),
    "bgra": ("gbrap", (2, 1, 0, 3)),
    "argb": ("gbrap", (1, 2, 3, 0)),
    "abgr": ("gbrap", (3, 2, 1, 0)),
    "rgb48": ("gbrp16le", (0, 1, 2)),
    "bgr48": ("gbrp16le", (2, 1, 0)),
    "rgba64": ("gbrap16le", (0, 1, 2, 3)),
    "bgra64": ("gbrap16le", (2, 1, 0, 3)),
    "ya8": ("ya8", (0, 1)),
    "ya16": ("ya16le", (0, 1)),
    "gray16": ("gray16le", (0,)),
}
# Packed 4:2:2: positions of the first luma, Cb and Cr among four samples.
_PACKED_422: dict[str, tuple[int, int, int]] = {
    "yuyv422": (0, 1, 3),
    "yvyu422": (0, 3, 1),
    "uyvy422": (1, 0, 2),
}
_PLANAR = re.compile(r"(yuv[aj]?4\d\dp|gbra?p|gray)(9le|1\dle)?")


@cache
def pixel_format(name: str) -> PixelFormat:
    """Return the description of a planar format, by FFmpeg's name."""
    described = VideoFormat(name)
    components = described.components
    alpha = any(component.is_alpha for component in components)
    grey = len(components) - alpha == 1
    return PixelFormat(
        name=name.replace("yuvj", "yuv"),
        family="rgb" if described.is_rgb else "gray" if grey else "yuv",
        bits=components[0].bits,
        chroma_shift_x=0 if grey else int(log2(64 // described.chroma_width(64))),
        chroma_shift_y=0 if grey else int(log2(64 // described.chroma_height(64))),
        alpha=alpha,
    )


def depth_suffix(bits: int) -> str:
    """Return the end of a planar format's name for a number of bits per sample."""
    return "" if bits == 8 else f"{bits}le"


def picture_planes(picture: VideoFrame) -> tuple[tuple[Plane, ...], PixelFormat]:
    """Return the read-only planes of a decoded PyAV frame, and their planar format.

    The planes may be views of the frame's memory, which they keep alive.
    """
    name = picture.format.name
    if name in _SEMI_PLANAR:
        planes, name = _from_semi_planar(picture, name)
    elif name in _PACKED_422:
        planes, name = _from_packed_422(picture, name)
    elif name == "pal8":
        planes, name = _from_palette(picture), "gbrap"
    elif name.removesuffix("le").removesuffix("be") in _PACKED:
        planes, name = _from_packed(picture, name)
    else:
        target = _planar_name(picture.format)
        if target != name:
            picture, name = picture.reformat(format=target), target
        planes = [_view(picture, n) for n in range(len(picture.planes))]
        if picture.format.is_rgb:
            planes = [planes[2], planes[0], planes[1], *planes[3:]]
    for plane in planes:
        plane.flags.writeable = False
    return tuple(planes), pixel_format(name)


def frame_to_picture(frame: Frame) -> VideoFrame:
    """Return a PyAV frame with a copy of the frame's samples, bit for bit, and its tags."""
    width, height = frame.coded_size
    picture = VideoFrame(width, height, frame.format.name)
    if frame.format.name.startswith("ya"):
        packed = _view(picture, 0, components=2)
        for n, plane in enumerate(frame.planes):
            packed[..., n] = plane
    else:
        order: Sequence[int] = range(len(frame.planes))
        if frame.format.family == "rgb":
            order = (1, 2, 0, 3)[: len(frame.planes)]
        for n, source in enumerate(order):
            _view(picture, n)[:] = frame.planes[source]
    picture.pts, picture.time_base = frame.pts, frame.time_base
    picture.color_range = 2 if full_range(frame) else 1
    picture.colorspace = frame.colour.space
    picture.color_primaries = frame.colour.primaries
    picture.color_trc = frame.colour.transfer
    return picture


def upsample_chroma(frame: Frame, *, alpha: bool = True) -> Frame:
    """Return a YUV frame as 4:4:4 with repeated chroma samples; `alpha` False drops alpha."""
    fmt = frame.format
    width, height = frame.coded_size
    chroma = (
        plane.repeat(1 << fmt.chroma_shift_y, axis=0).repeat(1 << fmt.chroma_shift_x, axis=1)
        for plane in frame.planes[1:3]
    )
    alpha_planes = frame.planes[3:] if alpha else ()
    name = f"yuv{'a' if alpha_planes else ''}444p{depth_suffix(fmt.bits)}"
    planes = (frame.planes[0], *(plane[:height, :width] for plane in chroma), *alpha_planes)
    return replace(frame, planes=planes, format=pixel_format(name))


def full_range(frame: Frame) -> bool:
    """Return True if the frame's samples have full range; RGB always has."""
    return frame.colour.full_range or frame.format.family == "rgb"


def _view(
    picture: VideoFrame, n: int, *, components: int = 1, kind: str | None = None
) -> NDArray[Any]:
    """Return plane `n` as a view (h, w) or (h, w, components) without the lines' padding."""
    plane = picture.planes[n]
    dtype = np.dtype(kind or ("<u2" if picture.format.components[0].bits > 8 else "u1"))
    pixel = dtype.itemsize * components
    shape: tuple[int, ...] = (plane.height, plane.width)
    strides: tuple[int, ...] = (abs(plane.line_size), pixel)
    if components > 1:
        shape, strides = (*shape, components), (*strides, dtype.itemsize)
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer=_memory(plane), strides=strides)
    # A bottom-up picture has its first line last in memory.
    return array[::-1] if plane.line_size < 0 else array


def _memory(plane: Any) -> memoryview:
    return memoryview(plane)


def _split(packed: NDArray[Any], order: Sequence[int]) -> list[NDArray[Any]]:
    native = packed.dtype.newbyteorder("=")
    return [packed[..., n].astype(native, order="C") for n in order]


def _from_semi_planar(picture: VideoFrame, name: str) -> tuple[list[NDArray[Any]], str]:
    planar, shift, swapped = _SEMI_PLANAR[name]
    chroma = _split(_view(picture, 1, components=2), (1, 0) if swapped else (0, 1))
    planes = [_view(picture, 0), *chroma]
    return [plane >> shift for plane in planes] if shift else planes, planar


def _from_packed(picture: VideoFrame, name: str) -> tuple[list[NDArray[Any]], str]:
    stem = name.removesuffix("le").removesuffix("be")
    planar, order = _PACKED[stem]
    wide = picture.format.components[0].bits > 8
    kind = (">u2" if name.endswith("be") else "<u2") if wide else "u1"
    padded = 1 if stem.startswith("0") or stem.endswith("0") else 0
    components = len(picture.format.components) + padded
    packed = _view(picture, 0, components=components, kind=kind)
    return _split(packed if components > 1 else packed[..., None], order), planar


def _from_packed_422(picture: VideoFrame, name: str) -> tuple[list[NDArray[Any]], str]:
    luma, first, second = _PACKED_422[name]
    plane, width = picture.planes[0], picture.width
    pairs = -(-width // 2)
    lines = np.frombuffer(_memory(plane), np.uint8).reshape(plane.height, -1)[:, : pairs * 4]
    chroma = [np.ascontiguousarray(lines[:, n::4]) for n in (first, second)]
    return [np.ascontiguousarray(lines[:, luma::2][:, :width]), *chroma], "yuv422p"


def _from_palette(picture: VideoFrame) -> list[NDArray[Any]]:
    # The palette's entries are 32-bit words, alpha on top, in the machine's byte order.
    entries = np.frombuffer(_memory(picture.planes[1]), np.uint8, 1024).reshape(256, 4)
    order = (2, 1, 0, 3) if sys.byteorder == "little" else (1, 2, 3, 0)
    pixels = _view(picture, 0)
    return [entries[:, n][pixels] for n in order]


def _planar_name(described: VideoFormat) -> str:
    """Return the format's name if it is planar, else the nearest planar format's."""
    little = described.name.removesuffix("be") + ("le" if described.name.endswith("be") else "")
    if _PLANAR.fullmatch(little):
        return little
    components = described.components
    deep = "16le" if max(component.bits for component in components) > 8 else ""
    alpha = any(component.is_alpha for component in components)
    if len(components) == 1 and not described.is_bayer:
        return "gray" + deep
    if described.is_rgb or described.is_bayer:
        return ("gbrap" if alpha else "gbrp") + deep
    return ("yuva444p" if alpha else "yuv444p") + deep
