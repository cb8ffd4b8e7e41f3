"""Models of one operator, written as protocol buffer bytes: what tries a machine needs no onnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# onnx.TensorProto.DataType
FLOAT: Final = 1
UINT8: Final = 2
INT8: Final = 3
INT32: Final = 6

_OPSET = 13


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
    return _number(1, 8) + _message(7, graph) + _message(8, _number(2, _OPSET))


def _value(name: bytes, element: int, shape: Sequence[int]) -> bytes:
    sizes = b"".join(_message(1, _number(1, size) if size else b"") for size in shape)
    tensor = _number(1, element) + _message(2, sizes)
    return _message(1, name) + _message(2, _message(1, tensor))


def _message(number: int, content: bytes) -> bytes:
    """A length-delimited field of fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3, value])
