from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.errors import WeightsCorrupt
from engine.runtime.operator_model import operator_model
from engine.weights.onnx_file import (
    EMAP_SHAPE,
    MalformedError,
    emap_of,
    has_external_data,
    read_model,
)

MATRIX = np.random.default_rng(3).normal(size=EMAP_SHAPE).astype(np.float32)


def model_of(*tensors: onnx.TensorProto) -> onnx.ModelProto:
    return onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], tensors))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "listed"])
@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
def test_an_emap_is_the_last_initializer_of_its_shape(raw: bool, half: bool) -> None:
    matrix = MATRIX.astype(np.float16) if half else MATRIX
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    numbers = matrix.tobytes() if raw else matrix.ravel().tolist()
    emap = onnx.helper.make_tensor("m", kind, matrix.shape, numbers, raw=raw)
    first = onnx.numpy_helper.from_array(np.zeros(EMAP_SHAPE, np.float32), "first")
    last = onnx.numpy_helper.from_array(np.arange(300), "last")
    found = emap_of(model_of(first, emap, last), "file")
    np.testing.assert_array_equal(found, matrix.astype(np.float32), strict=True)


def as_external(tensor: onnx.TensorProto) -> None:
    onnx.external_data_helper.set_external_data(tensor, "elsewhere")


def as_integers(tensor: onnx.TensorProto) -> None:
    tensor.data_type = onnx.TensorProto.INT32


def cut(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-4]


def reshape(tensor: onnx.TensorProto) -> None:
    tensor.dims[0] = 511


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (as_external, "emap in file is external data"),
        (as_integers, "emap in file is of the type INT32; save it as FLOAT"),
        (cut, "emap in file is cut short"),
        (reshape, "file holds no matrix of 512 x 512"),
    ],
)
def test_an_emap_that_cannot_be_used_is_refused(
    change: Callable[[onnx.TensorProto], None], words: str
) -> None:
    tensor = onnx.numpy_helper.from_array(MATRIX, "m")
    change(tensor)
    with pytest.raises(WeightsCorrupt, match=words):
        emap_of(model_of(tensor), "file")


# The fields on the way from a model to each place where a tensor may be.
PLACES = {
    "initializer": (7, 5),
    "value of a sparse initializer": (7, 15, 1),
    "index of a sparse initializer": (7, 15, 2),
    "attribute": (7, 1, 5, 5),
    "attributes": (7, 1, 5, 10),
    "sparse attribute": (7, 1, 5, 22, 1),
    "sparse attributes": (7, 1, 5, 23, 2),
    "graph": (7, 1, 5, 6, 5),
    "graphs": (7, 1, 5, 11, 1, 5, 5),
    "graphs within graphs": (7, 1, 5, 6, 1, 5, 6, 1, 5, 6, 15, 1),
    "function": (25, 7, 5, 5),
    "default of a function": (25, 11, 5),
    "start of training": (20, 1, 5),
    "step of training": (20, 2, 1, 5, 5),
}
FLOATS = b"\x08\x02\x10\x01\x42\x01m\x4a\x08" + bytes(8)
LOCATION, ENTRIES = bytes([14 << 3]), bytes([13 << 3 | 2])
# Ways to write that a tensor has external data: field 14 is 1, or field 13 is there.
EXTERNAL = {
    "plain": LOCATION + b"\x01",
    "long": LOCATION + b"\x81\x80\x80\x00",
    "ten bytes": LOCATION + b"\x81" + b"\x80" * 8 + b"\x00",
    "long key": b"\xf0\x00" + b"\x01",
    "internal before": LOCATION + b"\x00" + LOCATION + b"\x01",
    "after a group": b"\xa3\x06\xa4\x06" + LOCATION + b"\x01",
    "by its entries alone": ENTRIES + b"\x04\x0a\x02\x61\x62",
    "entries, then internal": ENTRIES + b"\x04\x0a\x02\x61\x62" + LOCATION + b"\x00",
}


def encoded(number: int, content: bytes) -> bytes:
    """Return a length-delimited field of any length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def model_with(place: tuple[int, ...], tensor: bytes) -> bytes:
    """Return a model whose tensor lies in a place, with a graph whatever place it is."""
    content = tensor
    for number in reversed(place):
        content = encoded(number, content)
    return b"\x08\x08" + encoded(7, b"") + content


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_external_data_is_found_wherever_and_however_it_is_written(
    tmp_path: Path, place: tuple[int, ...]
) -> None:
    path = tmp_path / "model.onnx"
    for inside in (b"", LOCATION + b"\x00", LOCATION + b"\x80\x00"):
        path.write_bytes(model_with(place, FLOATS + inside))
        assert not has_external_data(read_model(path))
    for outside in EXTERNAL.values():
        for tensor in (FLOATS + outside, outside + FLOATS):
            path.write_bytes(model_with(place, tensor))
            assert has_external_data(read_model(path))


def test_what_is_cut_short_anywhere_is_no_model(tmp_path: Path) -> None:
    content = operator_model("Relu", (np.float32,), np.float32, (1,))
    path = tmp_path / "model.onnx"
    ends = []
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        with suppress(MalformedError):
            read_model(path)
            ends.append(end)
    # What follows the graph is one field, and without it, the graph is there still.
    graph = onnx.load_from_string(content).graph.SerializeToString()
    assert ends == [content.index(graph) + len(graph), len(content)]


@pytest.mark.parametrize(
    "content", [b"", b"no network", b"PK\x03\x04", b"\xff" * 40, b"\x38\x01", b"\x08\x08"]
)
def test_other_files_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(MalformedError):
        read_model(path)


def test_the_suffix_of_a_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(operator_model("Relu", (np.float32,), np.float32, (1,)))
    assert read_model(path).graph.node[0].op_type == "Relu"


def test_a_tensor_of_very_many_dimensions_is_no_burden(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_with((7, 5), b"\x08\x02" * 200_000 + FLOATS))
    began = time.perf_counter()
    model = read_model(path)
    assert not has_external_data(model)
    with pytest.raises(WeightsCorrupt, match="no matrix of 512"):
        emap_of(model, "file")
    assert time.perf_counter() - began < 20
