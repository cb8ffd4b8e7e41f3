"""Undamaged files for the fuzzer to start from: a face in each container and picture format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.media.encoder_trials import quiet_svt_av1
from engine.values import Bytes
from tests.footage import MAN, WOMAN, portrait, write_png
from tests.synth import Line, Sound, Tags, make_clip

WIDTH, HEIGHT, FRAMES = 160, 128, 6
FACE = 120
# Codecs that know no time stamps but a rate.
_RATED: dict[str, Any] = {"time_base": Fraction(1, 25), "pts": range(FRAMES)}
_SMALL = Sound("aac", seconds=0.25)


@cache
def _wall() -> Bytes:
    noise = np.random.default_rng(1).integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)


def picture(step: int = 0, person: str = WOMAN) -> Bytes:
    """Return a person before a wall, further to the right with each step; (128, 160, 3) RGB."""
    image = _wall().copy()
    image[4 : 4 + FACE, 16 + step : 16 + step + FACE] = portrait(person, FACE)
    return image


def _paint(index: int, _: tuple[int, int]) -> NDArray[np.uint8]:
    return picture(2 * index)


@dataclass(frozen=True)
class Clip:
    """Properties of a clip as `make_clip` takes them."""

    codec: str = "libx264"
    properties: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        given: dict[str, Any] = {"size": (WIDTH, HEIGHT), "frames": FRAMES, "paint": _paint}
        make_clip(path, codec=self.codec, **{**given, **self.properties})


def clips() -> dict[str, Clip]:
    """Return all clips by the names of their files."""
    quick = {"preset": "ultrafast"}
    loud = {"options": quick, "sounds": (_SMALL,)}
    return {
        "plain.mp4": Clip(properties=loud),
        "bframes.mp4": Clip(properties={"options": {"preset": "fast", "bf": "2"}}),
        "texts.mp4": Clip(
            properties={
                **loud,
                "lines": (Line(0, 0.1, "one"), Line(0.1, 0.2, "two")),
                "chapters": ((0, 0.1, "first"), (0.1, 0.24, "second")),
                "metadata": {"title": "a title"},
            }
        ),
        "turned.mp4": Clip(properties={"options": quick, "rotation": 90}),
        "fragments.mp4": Clip(
            properties={**loud, "muxing": {"movflags": "frag_keyframe+empty_moov"}}
        ),
        "deep.mp4": Clip(
            "libx265",
            {
                "pix_fmt": "yuv420p10le",
                "options": {"preset": "ultrafast", "x265-params": "log-level=error"},
                "tags": Tags(9, 16, 9),
            },
        ),
        "av1.mp4": Clip("libsvtav1", {"options": {"preset": "10"}}),
        "uneven.mp4": Clip(
            properties={
                "options": quick,
                "pts": [0, 33, 100, 101, 240, 300],
                "time_base": Fraction(1, 1000),
            }
        ),
        "prores.mov": Clip(
            "prores_ks",
            {"pix_fmt": "yuv422p10le", "sounds": (Sound("pcm_s16le", seconds=0.2),)},
        ),
        "alpha.mov": Clip("prores_ks", {"pix_fmt": "yuva444p10le"}),
        "jpegs.mov": Clip("mjpeg", {"pix_fmt": "yuvj420p"}),
        "plain.mkv": Clip(
            properties={
                **loud,
                "sounds": (_SMALL, Sound("flac", 660, seconds=0.2)),
                "lines": (Line(0, 0.1, "one"),),
                "chapters": ((0, 0.1, "first"),),
                "attachment": b"a note",
            }
        ),
        "lossless.mkv": Clip("ffv1", {"pix_fmt": "yuv444p", "sounds": (Sound("pcm_s16le"),)}),
        "odd.mkv": Clip("ffv1", {"pix_fmt": "bgra", "aspect": Fraction(4, 3)}),
        "vp9.webm": Clip(
            "libvpx-vp9",
            {
                "options": {"deadline": "realtime", "cpu-used": "8"},
                "sounds": (Sound("libopus", seconds=0.2),),
            },
        ),
        "alpha.webm": Clip(
            "libvpx-vp9",
            {"pix_fmt": "yuva420p", "options": {"deadline": "realtime", "auto-alt-ref": "0"}},
        ),
        "vp8.webm": Clip("libvpx", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
        "mpeg4.avi": Clip("mpeg4", _RATED | {"sounds": (Sound("libmp3lame", seconds=0.2),)}),
        "jpegs.avi": Clip(
            "mjpeg", _RATED | {"pix_fmt": "yuvj420p", "sounds": (Sound("pcm_s16le", seconds=0.2),)}
        ),
        "plain.ts": Clip(properties=loud),
        "mpeg2.ts": Clip("mpeg2video", _RATED | {"sounds": (Sound("mp2", seconds=0.2),)}),
        "plain.flv": Clip(properties=loud),
        "mpeg2.mpg": Clip("mpeg2video", _RATED | {"sounds": (Sound("mp2", seconds=0.2),)}),
        "moving.gif": Clip("gif", {"pix_fmt": "rgb8", "fps": 10}),
    }


def _encoded(suffix: str, pixels: NDArray[Any], *options: int) -> bytes:
    """Encode RGB, RGBA or grey pixels with OpenCV."""
    if pixels.ndim == 3:
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        pixels = cv2.cvtColor(pixels, order)
    done, data = cv2.imencode(suffix, pixels, list(options))
    if not done:
        raise OSError(f"OpenCV cannot write {suffix}.")
    return data.tobytes()


def _with_alpha() -> Bytes:
    opacity = np.linspace(0, 255, WIDTH, dtype=np.uint8)
    return np.dstack([picture(), np.broadcast_to(opacity, (HEIGHT, WIDTH))])


def _jpeg_turned() -> bytes:
    """Return a JPEG whose EXIF data say: turned by 90 degrees."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    body = b"Exif\0\0" + tiff
    data = _encoded(".jpg", picture())
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_with(*chunks: bytes) -> bytes:
    """Return a PNG with chunks after its header, which is 33 bytes with the signature."""
    data = _encoded(".png", picture())
    return data[:33] + b"".join(chunks) + data[33:]


def _png_profiled() -> bytes:
    profile = struct.pack(">I", 128) + bytes(32) + b"acsp" + bytes(88)
    exif = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 0x0112, 3, 1, 3, 0)
    return _png_with(
        png_chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile)),
        png_chunk(b"eXIf", exif + bytes(4)),
    )


def _png_palette() -> bytes:
    """Return a picture of 64 colours, one of them transparent."""
    pixels = (picture() >> 6).astype(np.uint8)
    indices = pixels[..., 0] << 4 | pixels[..., 1] << 2 | pixels[..., 2]
    palette = bytes((index >> shift & 3) * 85 for index in range(64) for shift in (4, 2, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in indices)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette),
        (b"tRNS", bytes(1)),
        (b"IDAT", zlib.compress(rows)),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in (*parts, (b"IEND", b"")))


def stills() -> dict[str, Callable[[], bytes]]:
    """Return the writer of each still picture, by file name."""
    return {
        "plain.jpg": lambda: _encoded(".jpg", picture()),
        "progressive.jpg": lambda: _encoded(
            ".jpg", picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4
        ),
        "grey.jpg": lambda: _encoded(".jpg", picture()[..., 1]),
        "turned.jpg": _jpeg_turned,
        "plain.png": lambda: _encoded(".png", picture()),
        "alpha.png": lambda: _encoded(".png", _with_alpha()),
        "deep.png": lambda: _encoded(".png", picture().astype(np.uint16) * 257),
        "grey.png": lambda: _encoded(".png", picture()[..., 1]),
        "palette.png": _png_palette,
        "profiled.png": _png_profiled,
        "plain.webp": lambda: _encoded(".webp", picture(), cv2.IMWRITE_WEBP_QUALITY, 90),
        "alpha.webp": lambda: _encoded(".webp", _with_alpha(), cv2.IMWRITE_WEBP_QUALITY, 101),
        "plain.tiff": lambda: _encoded(".tiff", picture()),
        "deep.tiff": lambda: _encoded(".tiff", picture().astype(np.uint16) * 257),
        "plain.bmp": lambda: _encoded(".bmp", picture()),
        "plain.avif": lambda: _encoded(".avif", picture()),
    }


def write_seeds(folder: Path) -> list[Path]:
    """Write every clip and every still into a folder that is made for them."""
    quiet_svt_av1()
    folder.mkdir(parents=True)
    for name, clip in clips().items():
        clip.write(folder / name)
    for name, make in stills().items():
        (folder / name).write_bytes(make())
    return sorted(folder.iterdir())


def write_source(path: Path) -> Path:
    """Write the undamaged picture of another person."""
    return write_png(path, picture(person=MAN))
