"""ONNX models as bytes of protocol buffers, for what must do without the package onnx.

Models of one operator are written, to try a machine; of those in files, the initializers are read.
The numbers of fields are those of onnx.proto (https://github.com/onnx/onnx), the bytes as in
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

# onnx.TensorProto.DataType
FLOAT: Final = 1
UINT8: Final = 2
INT8: Final = 3
INT32: Final = 6
FLOAT16: Final = 10

_OPSET = 13

# Of a model, a graph and a tensor.
_GRAPH = 7
_INITIALIZER = 5
# By kind of message, the fields on the way to tensors, and the kinds that they hold.
_WAYS: Final = {
    "model": {_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", _INITIALIZER: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_DIMS, _KIND, _FLOATS, _INT32S, _RAW, _EXTERNAL_DATA, _LOCATION = 1, 2, 4, 5, 9, 13, 14
_ENUM = 0xFFFFFFFF  # the bits that readers keep of a number that is an enum

# How a field is written: as a number of 7 bits a byte, as so many bytes, or after its length.
_VARINT, _LENGTH = 0, 2
_FIXED: Final = {1: 8, 5: 4}
_MOST_BITS, _MOST_KEY_BITS = 64, 32
_MOST_HALF = 0xFFFF  # the bits of a number of half precision

_Value: TypeAlias = int | memoryview


class MalformedError(ValueError):
    """What was to be an ONNX model is cut short or something else, or its numbers are elsewhere."""


@dataclass(slots=True)
class Initializer:
    """A stored tensor of a model: its shape, its type, and its numbers as they lie in the file.

    Where they lie `outside`, they are external data, in another file.
    """

    shape: tuple[int, ...] = ()
    kind: int = 0
    outside: bool = False
    _raw: list[memoryview] = field(default_factory=list)
    _floats: list[memoryview] = field(default_factory=list)
    _bits: list[_Value] = field(default_factory=list)

    @classmethod
    def parse(cls, content: memoryview) -> Initializer:
        """A tensor from its message.

        Raises:
            MalformedError: it is cut short.
        """
        tensor, shape = cls(), list[int]()
        for number, value in _fields(content):
            if number == _DIMS:
                shape.extend(_whole(value))
            elif number == _KIND and isinstance(value, int):
                tensor.kind = value
            elif number == _INT32S:
                tensor._bits.append(value)
            elif number in (_RAW, _FLOATS) and isinstance(value, memoryview):
                (tensor._raw if number == _RAW else tensor._floats).append(value)
            tensor.outside |= _is_outside(number, value)
        tensor.shape = tuple(shape)
        return tensor

    def numbers(self) -> NDArray[np.float32]:
        """A copy of the numbers, of single or half precision in the file.

        Raises:
            MalformedError: they are of another type, in another file, or too many or too few.
        """
        if self.outside:
            raise MalformedError("its numbers lie in a file of their own; save all as one file.")
        if self.kind not in (FLOAT, FLOAT16):
            raise MalformedError(
                f"its numbers are of ONNX's type {self.kind}; save it with {FLOAT} (float32) or "
                f"{FLOAT16} (float16)."
            )
        stored: NDArray[np.floating]
        if self.kind == FLOAT16 and not self._raw:
            bits = [number for value in self._bits for number in _whole(value)]
            if max(bits, default=0) > _MOST_HALF:
                raise MalformedError("its numbers are not of half precision; copy it again.")
            stored = np.array(bits, "<u2").view("<f2")
        else:
            content = b"".join(self._raw or self._floats)
            size = 2 if self.kind == FLOAT16 else 4
            if len(content) % size:
                raise MalformedError("its numbers are cut short; copy it again.")
            stored = np.frombuffer(content, f"<f{size}")
        if stored.size != prod(self.shape):
            raise MalformedError(
                f"it has {stored.size} numbers and the shape {self.shape}; copy it again."
            )
        return stored.reshape(self.shape).astype(np.float32)


def initializers(path: Path) -> Iterator[Initializer]:
    """The stored tensors of a model's file; what is not asked for is not read.

    Raises:
        MalformedError: the file is cut short, or holds no model.
    """
    # A graph may be there in parts, which make one.
    for graph in _inner(_model(path), _GRAPH):
        for tensor in _inner(graph, _INITIALIZER):
            yield Initializer.parse(tensor)


def keeps_numbers_outside(path: Path) -> bool:
    """Whether a tensor of a model's file, be it of a node or of a graph within, is in another file.

    Raises as `initializers` does.
    """
    pending = [("model", _model(path))]
    while pending:
        kind, message = pending.pop()
        if kind == "tensor":
            if any(_is_outside(number, value) for number, value in _fields(message)):
                return True
            continue
        for number, value in _fields(message):
            if number in _WAYS[kind] and isinstance(value, memoryview):
                pending.append((_WAYS[kind][number], value))
    return False


def one_operator(
    kind: str, inputs: Sequence[int], output: int, shape: Sequence[int] = (0, 0)
) -> bytes:
    """An ONNX model of the operator `kind`, which makes y of a, b, ... .

    `inputs` and `output` are the types of their elements; all are of `shape`, where 0 is any size.
    """
    names = [bytes([ord("a") + number]) for number in range(len(inputs))]
    node = b"".join(_message(1, name) for name in names)
    node += _message(2, b"y") + _message(4, kind.encode())
    graph = _message(1, node) + _message(2, b"g")
    for name, element in zip(names, inputs, strict=True):
        graph += _message(11, _value(name, element, shape))
    graph += _message(12, _value(b"y", output, shape))
    return _number(1, 8) + _message(_GRAPH, graph) + _message(8, _number(2, _OPSET))


def _is_outside(number: int, value: _Value) -> bool:
    """Tell whether a tensor's field says that its numbers are external data.

    Readers differ in which of several fields counts and what they keep of a number, so whatever
    is not plainly "here" is outside.
    """
    if number == _LOCATION:
        return not isinstance(value, int) or value & _ENUM != 0
    return number == _EXTERNAL_DATA


def _model(path: Path) -> memoryview:
    """The bytes of a model's file, which holds a graph."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise MalformedError("it is empty.")
        model = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if not list(_inner(model, _GRAPH)):
        raise MalformedError("it holds no graph.")
    return model


def _inner(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages in the fields of one number."""
    for number, value in _fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(content: memoryview) -> Iterator[tuple[int, _Value]]:
    """The fields of a message: their numbers, and their values as numbers or as they lie there."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position, _MOST_KEY_BITS)
        number, wire = key >> 3, key & 7
        value: _Value
        if wire == _VARINT:
            value, position = _varint(content, position)
        elif wire == _LENGTH or wire in _FIXED:
            size = _FIXED.get(wire, 0)
            if wire == _LENGTH:
                size, position = _varint(content, position)
            value, position = content[position : position + size], position + size
        else:
            raise MalformedError("it is no message.")
        if number == 0 or position > len(content):
            raise MalformedError("it is cut short, or no message.")
        yield number, value


def _varint(content: memoryview, position: int, most_bits: int = _MOST_BITS) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, most_bits, 7):
        if position >= len(content):
            break
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            if value.bit_length() > most_bits:
                break
            return value, position
    raise MalformedError("a number in it is cut short, or too large.")


def _whole(value: _Value) -> Iterator[int]:
    """The numbers of a field that may stand alone or be packed."""
    if isinstance(value, int):
        yield value
        return
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        yield number


def _value(name: bytes, element: int, shape: Sequence[int]) -> bytes:
    sizes = b"".join(_message(1, _number(1, size) if size else b"") for size in shape)
    tensor = _number(1, element) + _message(2, sizes)
    return _message(1, name) + _message(2, _message(1, tensor))


def _message(number: int, content: bytes) -> bytes:
    """A length-delimited field of fewer than 128 bytes."""
    return bytes([number << 3 | _LENGTH, len(content)]) + content


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3 | _VARINT, value])
