"""Read MediaPipe's canonical face model out of its geometry pipeline metadata.

The metadata is one protocol buffer message: field 1 the mesh (vertex type, primitive type, floats
x, y, z, u, v of each vertex, triangle indices), field 2 the landmarks that carry the head's pose
(index and weight of each).
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field in a protocol buffer message, in file order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == LENGTH:
            size, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at byte {at} is not part of protocol buffers")
        yield key >> 3, data[at : at + size]
        at += size


def read_canonical_face(metadata: bytes) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the canonical face.

    Returns:
        `vertices` float32 (468, 3): centimetres, x to the picture's right, y up, z towards the
        camera; `uv` float32 (468, 2): texture coordinates, 0..1, v down; `triangles` int16
        (898, 3); `pose_indices` int16 (k,) and `pose_weights` float32 (k,): the landmarks that
        a rigid fit of the head weighs.
    """
    message = list(_fields(metadata))
    mesh = list(_fields(next(_bytes(value) for field, value in message if field == 1)))
    floats = [struct.unpack("<f", _bytes(value))[0] for field, value in mesh if field == 3]
    indices = [value for field, value in mesh if field == 4]
    basis = [dict(_fields(_bytes(value))) for field, value in message if field == 2]
    points = np.array(floats, np.float32).reshape(-1, 5)
    return {
        "vertices": np.ascontiguousarray(points[:, :3]),
        "uv": np.ascontiguousarray(points[:, 3:]),
        "triangles": np.array(indices, np.int16).reshape(-1, 3),
        "pose_indices": np.array([entry.get(1, 0) for entry in basis], np.int16),
        "pose_weights": np.array(
            [struct.unpack("<f", _bytes(entry[2]))[0] for entry in basis], np.float32
        ),
    }


def npz_bytes(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """Return an .npz archive whose bytes depend on the arrays alone (no clock, no version)."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0))
            bundle.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return archive.getvalue()


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError(f"expected a length-delimited field, found the number {value}")
    return value
