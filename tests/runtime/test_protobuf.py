from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from engine.runtime.protobuf import (
    FLOAT,
    INT8,
    INT32,
    UINT8,
    Initializer,
    MalformedError,
    initializers,
    keeps_numbers_outside,
    one_operator,
)
from engine.runtime.providers import CPU


@pytest.mark.parametrize(
    "model",
    [
        one_operator("Relu", (FLOAT,), FLOAT, (1,)),
        one_operator("MatMulInteger", (UINT8, INT8), INT32),
    ],
)
def test_a_model_of_one_operator_is_valid(model: bytes) -> None:
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)


def test_it_computes_what_its_operator_does() -> None:
    model = one_operator("Relu", (FLOAT,), FLOAT, (1,))
    session = onnxruntime.InferenceSession(model, providers=[CPU.name])
    for value in (-1.5, 0.0, 2.5):
        (answer,) = session.run(None, {"a": np.array([value], np.float32)})
        assert answer == max(value, 0.0)


def test_shapes_may_be_free() -> None:
    model = one_operator("MatMul", (FLOAT, FLOAT), FLOAT)
    session = onnxruntime.InferenceSession(model, providers=[CPU.name])
    for side in (2, 300):
        square = np.eye(side, dtype=np.float32)
        (answer,) = session.run(None, {"a": square, "b": 3 * square})
        np.testing.assert_array_equal(answer, 3 * square)


def stored(tensor: onnx.TensorProto, folder: Path) -> Initializer:
    """The tensor as it is read from a model's file, where it is the second of three."""
    others = [onnx.numpy_helper.from_array(np.arange(size), str(size)) for size in (3, 300)]
    graph = onnx.helper.make_graph([], "g", [], [], [others[0], tensor, others[1]])
    onnx.save(onnx.helper.make_model(graph), folder / "model.onnx")
    first, second, third = initializers(folder / "model.onnx")
    assert (first.shape, third.shape) == ((3,), (300,))
    return second


MATRIX = np.random.default_rng(3).normal(size=(40, 7)).astype(np.float32)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "listed"])
@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
def test_initializers_are_read_as_onnx_reads_them(tmp_path: Path, raw: bool, half: bool) -> None:
    matrix = MATRIX.astype(np.float16) if half else MATRIX
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    numbers = matrix.tobytes() if raw else matrix.ravel().tolist()
    tensor = onnx.helper.make_tensor("m", kind, matrix.shape, numbers, raw=raw)
    found = stored(tensor, tmp_path)
    assert found.shape == matrix.shape
    np.testing.assert_array_equal(found.numbers(), matrix.astype(np.float32), strict=True)


def outside(tensor: onnx.TensorProto) -> None:
    onnx.external_data_helper.set_external_data(tensor, "elsewhere")


def whole(tensor: onnx.TensorProto) -> None:
    tensor.data_type = onnx.TensorProto.INT32


def wider(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_type = onnx.TensorProto.FLOAT16
    tensor.int32_data[:] = [70000] * MATRIX.size


def fewer(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-4]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (outside, "file of their own"),
        (whole, "type 6"),
        (wider, "not of half precision"),
        (fewer, "279 numbers and the shape"),
    ],
)
def test_numbers_that_cannot_be_taken_are_told(
    tmp_path: Path, change: Callable[[onnx.TensorProto], None], words: str
) -> None:
    tensor = onnx.numpy_helper.from_array(MATRIX, "m")
    change(tensor)
    with pytest.raises(MalformedError, match=words):
        stored(tensor, tmp_path).numbers()


def of_node(tensor: onnx.TensorProto) -> list[onnx.NodeProto]:
    return [onnx.helper.make_node("Constant", [], ["k"], value=tensor)]


def of_sparse(tensor: onnx.TensorProto) -> list[onnx.NodeProto]:
    places = onnx.numpy_helper.from_array(np.arange(2), "places")
    sparse = onnx.helper.make_sparse_tensor(tensor, places, [9])
    return [onnx.helper.make_node("Constant", [], ["k"], sparse_value=sparse)]


def of_branch(tensor: onnx.TensorProto) -> list[onnx.NodeProto]:
    branch = onnx.helper.make_graph(of_node(tensor), "branch", [], [])
    return [onnx.helper.make_node("If", ["yes"], ["k"], then_branch=branch, else_branch=branch)]


@pytest.mark.parametrize("nodes", [of_node, of_sparse, of_branch])
def test_numbers_elsewhere_are_found_wherever_they_are_used(
    tmp_path: Path, nodes: Callable[[onnx.TensorProto], list[onnx.NodeProto]]
) -> None:
    path = tmp_path / "model.onnx"
    tensor = onnx.numpy_helper.from_array(np.arange(2, dtype=np.float32), "m")
    for change, elsewhere in ((lambda _: None, False), (outside, True)):
        change(tensor)
        made = nodes(tensor)
        graph = onnx.helper.make_graph(made, "g", [], [])
        path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
        assert keeps_numbers_outside(path) is elsewhere
        # As the body of a function, too.
        graph = onnx.helper.make_graph([], "g", [], [])
        opsets = [onnx.helper.make_opsetid("", 13)]
        body = onnx.helper.make_function("own", "F", [], ["k"], made, opsets)
        model = onnx.helper.make_model(graph, functions=[body])
        path.write_bytes(model.SerializeToString())
        assert keeps_numbers_outside(path) is elsewhere


def test_what_is_cut_short_anywhere_is_no_model(tmp_path: Path) -> None:
    content = one_operator("Relu", (FLOAT,), FLOAT, (1,))
    path = tmp_path / "model.onnx"
    ends = []
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        with suppress(MalformedError):
            assert list(initializers(path)) == []
            ends.append(end)
    # What follows the graph is a field of four bytes, and without it, the graph is there still.
    assert ends == [len(content) - 4, len(content)]


@pytest.mark.parametrize("content", [b"no network", b"PK\x03\x04", b"\xff" * 40, b"\x38\x01"])
def test_other_files_are_no_models(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(MalformedError):
        list(initializers(path))


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
LOCATION, ENTRIES = bytes([14 << 3]), bytes([13 << 3 | 2])
# Ways to write that a tensor's numbers are in another file: field 14 is 1.
WRITINGS = {
    "plain": LOCATION + b"\x01",
    "long": LOCATION + b"\x81\x80\x80\x00",
    "ten bytes": LOCATION + b"\x81" + b"\x80" * 8 + b"\x00",
    "2**32 + 1": LOCATION + b"\x81\x80\x80\x80\x10",
    "2**63 + 1": LOCATION + b"\x81" + b"\x80" * 8 + b"\x01",
    "past 64 bits": LOCATION + b"\x81" + b"\x80" * 8 + b"\x7e",
    "long key": b"\xf0\x00" + b"\x01",
    "five bytes of key": b"\xf0\x80\x80\x80\x00" + b"\x01",
    "then no location": LOCATION + b"\x01" + LOCATION + b"\x07",
    "then here": LOCATION + b"\x01" + LOCATION + b"\x00",
    "here before": LOCATION + b"\x00" + LOCATION + b"\x01",
    "in a group": b"\xa3\x06" + LOCATION + b"\x00" + b"\xa4\x06" + LOCATION + b"\x01",
    "after a group": b"\xa3\x06\xa4\x06" + LOCATION + b"\x01",
    "by its entries alone": ENTRIES + b"\x04\x0a\x02\x61\x62",
    "as bytes": bytes([14 << 3 | 2]) + b"\x01\x01",
    "as four bytes": bytes([14 << 3 | 5]) + b"\x01\x00\x00\x00",
}


def encoded(number: int, content: bytes) -> bytes:
    """A length-delimited field of any length."""
    sizes, size = bytearray(), len(content)
    while size >= 0x80:
        sizes.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*_key(number), *sizes, size]) + content


def _key(number: int) -> bytes:
    key = number << 3 | 2
    return bytes([key]) if key < 0x80 else bytes([key & 0x7F | 0x80, key >> 7])


def model_with(place: tuple[int, ...], tensor: bytes) -> bytes:
    """A model whose tensor lies in a place, with a graph whatever place it is."""
    content = tensor
    for number in reversed(place):
        content = encoded(number, content)
    return b"\x08\x08" + encoded(7, b"") + content


def has_external_data(message: Any) -> bool:
    """What the package onnx sees, by whatever fields its messages have."""
    if message.DESCRIPTOR.name == "TensorProto":
        return bool(message.data_location == onnx.TensorProto.EXTERNAL)
    fields = (
        value if field.is_repeated else [value]
        for field, value in message.ListFields()
        if field.message_type is not None
    )
    return any(has_external_data(inner) for values in fields for inner in values)


def seen_by_onnx(content: bytes) -> bool:
    """What cannot be read, ONNX Runtime does not load either."""
    with suppress(Exception):
        return has_external_data(onnx.load_model_from_string(content))
    return False


def seen_here(path: Path) -> bool | None:
    """None where it is refused as malformed."""
    try:
        return keeps_numbers_outside(path)
    except MalformedError:
        return None


FLOATS = b"\x08\x02\x10\x01\x42\x01m\x4a\x08" + bytes(8)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_external_data_is_found_however_it_is_written(
    tmp_path: Path, place: tuple[int, ...]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_with(place, FLOATS))
    assert seen_here(path) is False
    assert not seen_by_onnx(path.read_bytes())
    for content in (FLOATS + LOCATION + b"\x00", FLOATS + LOCATION + b"\x80\x00"):
        path.write_bytes(model_with(place, content))
        assert seen_here(path) is False
    seen = 0
    for writing in WRITINGS.values():
        for tensor in (FLOATS + writing, writing + FLOATS):
            path.write_bytes(model_with(place, tensor))
            seen += seen_by_onnx(path.read_bytes())
            assert seen_here(path) is not False
    assert seen > len(WRITINGS)


def test_no_change_of_bytes_hides_external_data(tmp_path: Path) -> None:
    """Whatever the package onnx takes for external data is found here, or refused."""
    rng = random.Random(3)
    path = tmp_path / "model.onnx"
    seeds = [
        model_with(place, FLOATS + writing)
        for place in PLACES.values()
        for writing in WRITINGS.values()
    ]
    seen = 0
    for _ in range(2000):
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            position = rng.randrange(len(content))
            if rng.random() < 0.7:
                content[position] = rng.choice((content[position] ^ 1 << rng.randrange(8), 0x70))
            else:
                content[position:position] = rng.choice((*WRITINGS.values(), b"\x80", b"\x00"))
        path.write_bytes(content)
        if seen_by_onnx(bytes(content)):
            seen += 1
            assert seen_here(path) is not False
    assert seen > 100


def test_a_tensor_of_very_many_dimensions_is_no_burden(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_with((7, 5), b"\x08\x02" * 200_000 + FLOATS))
    began = time.perf_counter()
    assert keeps_numbers_outside(path) is False
    (tensor,) = initializers(path)
    assert len(tensor.shape) == 200_001
    with pytest.raises(MalformedError, match="has 2 numbers"):
        tensor.numbers()
    assert time.perf_counter() - began < 20
