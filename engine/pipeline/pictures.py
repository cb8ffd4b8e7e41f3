"""Pictures as users pass them: paths, encoded bytes, arrays and PIL images."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np

from engine.errors import EngineError, ParameterError
from engine.media.decode import read_image
from engine.media.metadata_blocks import ORIENTATION_TAG, orientation_of_tag
from engine.media.probe import is_image
from engine.media.still import write_image
from engine.pixels.planes import as_frame
from engine.values import Bytes, Frame

Location: TypeAlias = str | os.PathLike[str]


@runtime_checkable
class PILImage(Protocol):
    """The part of a `PIL.Image.Image` that is used; Pillow itself is not needed."""

    def convert(self, mode: str) -> Any:
        """Return the image in another mode."""
        ...

    def getexif(self) -> Any:
        """Return the EXIF tags, a mapping; its orientation is that of the picture."""
        ...


# (h, w, 3) RGB uint8, a PIL image, the bytes of an image file, or its path.
Picture: TypeAlias = Bytes | PILImage | bytes | Location

# Path() drops the second slash of a URI. A scheme of one letter is a drive of Windows.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|data:")


def path_of(field: str, location: Location) -> Path:
    """Return a location as a path. Raise a ParameterError for a URI or what is no path."""
    text = os.fspath(location) if isinstance(location, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ParameterError(
            f"{field} is {location!r:.80}; allowed: the path of a file, as a str or a Path."
        )
    if _URI.match(text):
        raise ParameterError(
            f"{field} is {text[:80]!r}, and this engine reads and writes files only, with no "
            "network; allowed: the path of a file."
        )
    return Path(location)


def picture_frame(field: str, picture: Picture) -> Frame:
    """Return a picture as a frame; an image file keeps its pixel format and orientation.

    Raises:
        ParameterError: It is no picture; `field` names it.
        MediaError: The file or the bytes cannot be decoded.
    """
    if isinstance(picture, PILImage):
        orientation = picture.getexif().get(ORIENTATION_TAG)
        return replace(
            as_frame(np.asarray(picture.convert("RGB"))),
            orientation=orientation_of_tag(orientation if isinstance(orientation, int) else 0),
        )
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ParameterError(
                f"{field} is an array of {picture.dtype} {picture.shape}; allowed: RGB of uint8 "
                "(height, width, 3). OpenCV's arrays are BGR: convert them by image[..., ::-1]."
            )
        if not picture.size:
            raise ParameterError(f"{field} is an array without pixels; allowed: at least one.")
        return as_frame(picture)
    with picture_file(field, picture) as path:
        if not is_image(path):
            raise ParameterError(f"{field} is a video; swap it by engine.swap, from file to file.")
        return read_image(path)


def is_in_memory(picture: object) -> TypeGuard[Bytes | PILImage | bytes]:
    """Return True for a picture that is no file."""
    return isinstance(picture, np.ndarray | PILImage | bytes)


@contextmanager
def picture_file(field: str, picture: Picture) -> Iterator[Path]:
    """Yield the path of a picture; one in memory lies in a private temporary folder meanwhile.

    Errors about a picture in memory name `field` in place of the temporary file.
    """
    if not is_in_memory(picture):
        if not isinstance(picture, str | os.PathLike):
            raise ParameterError(
                f"{field} is {picture!r:.80}; allowed: a path, the bytes of an image file, an "
                "array (height, width, 3) of RGB in uint8, or a PIL image."
            )
        yield path_of(field, picture)
        return
    with TemporaryDirectory(prefix="faceswap-engine-") as folder:
        path = Path(folder) / field
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        else:
            path = path.with_suffix(".png")
            write_image(picture_frame(field, picture), path)
        try:
            yield path
        except EngineError as error:
            if str(path) not in str(error):
                raise
            raise type(error)(str(error).replace(str(path), field)) from error


def video_frames(
    pictures: Iterable[Bytes | PILImage], frame_rate: float | Fraction
) -> Generator[Frame]:
    """Yield pictures as the frames of a video, numbered from 0.

    Raises:
        ParameterError: A picture is no RGB array or PIL image, or its size is not the first one's.
    """
    size: tuple[int, int] | None = None
    time_base = 1 / Fraction(frame_rate)
    for index, picture in enumerate(pictures):
        field = f"frames[{index}]"
        if not isinstance(picture, np.ndarray | PILImage):
            raise ParameterError(
                f"{field} is {picture!r:.80}; allowed: an array (height, width, 3) of RGB in "
                "uint8, or a PIL image."
            )
        frame = picture_frame(field, picture)
        if size not in (None, frame.size):
            raise ParameterError(
                f"{field} has the size {frame.size}, and the first frame {size}; allowed: frames "
                "of one size."
            )
        size = frame.size
        yield replace(frame, index=index, pts=index, time_base=time_base, duration=1)
