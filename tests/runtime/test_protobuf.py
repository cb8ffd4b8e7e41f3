from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

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
