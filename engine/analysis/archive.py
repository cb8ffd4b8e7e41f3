"""Write and read the members of an analysis file, and hold what is unpacked to a limit.

A file may come from anybody. Nothing is unpacked beyond a member's limit, no memory is taken
because a header claims so, and every fault is a `MediaError`.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.columns import Columns
from engine.errors import MediaError
from engine.media.os_errors import write_error

_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the output of others has no bound
_PLANES: Final = 4  # bytes of an int32
_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,  # an encrypted member, an unknown method, too deep a nesting
    SyntaxError,
    TypeError,
    ValueError,
)


@contextmanager
def reading(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the opened archive; each fault of it is raised as one error.

    Raises:
        MediaError: The file cannot be read, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _FAULTS as error:
        raise MediaError(
            f"{path} is no analysis of a film, or is damaged; analyse the film again."
        ) from error
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Return a member of an archive.

    Raises:
        KeyError: There is none.
        ValueError: It is longer than `limit` bytes, or not as long as it claims.
    """
    info = archive.getinfo(name)
    if info.file_size > limit or info.compress_type not in _METHODS:
        raise ValueError(f"{name} has {info.file_size} bytes; allowed: {limit}.")
    with archive.open(info) as member:
        data = member.read(info.file_size)
    if len(data) != info.file_size:
        raise ValueError(f"{name} has {len(data)} bytes, not {info.file_size}.")
    return data


def read_columns(archive: zipfile.ZipFile, name: str, limit: int) -> Columns:
    """Return the columns in a member, of at most `limit` bytes in all.

    Raises:
        KeyError, ValueError, RuntimeError: The member is missing or damaged.
    """
    with zipfile.ZipFile(io.BytesIO(read_member(archive, name, limit))) as inner:
        columns: Columns = {}
        for file in inner.namelist():
            data = read_member(inner, file, limit)
            limit -= len(data)
            columns[file.removesuffix(".npy")] = _joined(_array(data))
        return columns


@dataclass(frozen=True, slots=True)
class ArchiveWriter:
    """Writes the members of an archive to `file`; errors name `output`."""

    file: Path
    output: Path

    def write(self, name: str, data: str | bytes) -> None:
        """Write a member.

        Raises:
            MediaError: The file cannot be written.
        """
        try:
            with zipfile.ZipFile(self.file, "a") as archive:
                archive.writestr(name, data)
        except OSError as error:
            raise write_error(self.output, error) from error

    def write_columns(self, name: str, columns: Columns, limit: int) -> None:
        """Write columns as a member.

        Raises:
            MediaError: The file cannot be written, or the columns have so many bytes that nobody
                could read them.
        """
        if sum(array.nbytes for array in columns.values()) > limit // 2:
            raise MediaError(f"{self.output} cannot hold as many faces; analyse a shorter film.")
        buffer = io.BytesIO()
        # Any: the type of the parameter allow_pickle, which numpy 2.0 would take for a column.
        split: dict[str, Any] = {key: _split(array) for key, array in columns.items()}
        np.savez_compressed(buffer, **split)
        self.write(name, buffer.getvalue())


def _array(data: bytes) -> NDArray[Any]:
    """Return the array of an npy file, a view of `data`."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("The version of the array is unknown.")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size != len(data) - stream.tell():
        raise ValueError("The array is not as large as it claims.")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _split(array: NDArray[Any]) -> NDArray[Any]:
    """Return a table of int32 as planes of bytes, (4, columns, rows): the upper ones are near 0."""
    if array.dtype != np.int32 or array.ndim != 2:
        return array
    folded = ((array << 1) ^ (array >> 31)).astype("<u4")  # the sign goes to the lowest bit
    planes = np.ascontiguousarray(folded.T).view(np.uint8).reshape(*array.shape[::-1], _PLANES)
    return np.ascontiguousarray(np.moveaxis(planes, -1, 0))


def _joined(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype != np.uint8 or array.ndim != 3:
        return array
    if len(array) != _PLANES:
        raise ValueError(f"A table has {len(array)} planes, not {_PLANES}.")
    folded = np.ascontiguousarray(np.moveaxis(array, 0, -1)).view("<u4")[..., 0]
    return ((folded >> 1).astype(np.int32) ^ -(folded & 1).astype(np.int32)).T
