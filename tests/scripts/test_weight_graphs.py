"""The rewrites that make the embedded weights."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


graphs = script("onnx_graphs")
canonical = script("canonical_face")


def quantised(rows: int, columns: int, block: int) -> tuple[onnx.ModelProto, np.ndarray]:
    """A graph of y = x W^T with W in int8 blocks, all constants among the inputs, and W itself."""
    noise = np.random.default_rng(0)
    values = noise.integers(-128, 128, (rows, columns), dtype=np.int8)
    zeros = noise.integers(-9, 9, (rows, columns // block), dtype=np.int8)
    scales = noise.uniform(0.1, 1, (rows, columns // block)).astype(np.float32)
    weight = (values - np.repeat(zeros, block, 1).astype(np.float32)) * np.repeat(scales, block, 1)
    constants = [
        numpy_helper.from_array(values, "values"),
        numpy_helper.from_array(scales, "scales"),
        numpy_helper.from_array(zeros, "zeros"),
        numpy_helper.from_array(np.array([rows, columns]), "shape"),
    ]
    nodes = [
        helper.make_node(
            "DequantizeLinear",
            ["values", "scales", "zeros"],
            ["unpacked"],
            axis=1,
            block_size=block,
        ),
        helper.make_node("Reshape", ["unpacked", "shape"], ["weight"]),
        helper.make_node("Dropout", ["x"], ["kept"]),
        helper.make_node("Gemm", ["kept", "weight"], ["y"], transB=1),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "quantised",
        [
            tensor("x", TensorProto.FLOAT, ["N", columns]),
            tensor("values", TensorProto.INT8, [rows, columns]),
        ],
        [tensor("y", TensorProto.FLOAT, ["N", rows])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.producer_name = "somebody"
    return model, weight


@pytest.mark.parametrize("stay_small", [True, False])
@pytest.mark.parametrize("columns", [8, 2048])
def test_unpacked_constants_compute_the_same(columns: int, stay_small: bool) -> None:
    model, weight = quantised(rows=6, columns=columns, block=4)
    graphs.unpack_constants(model, stay_small=stay_small)
    data = graphs.tidy(model)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(3, columns)).astype(np.float32)
    (y,) = session.run(None, {"x": x})
    np.testing.assert_allclose(y, x @ weight.T, rtol=1e-4, atol=1e-2)
    assert [value.name for value in session.get_inputs()] == ["x"]
    kinds = {node.op_type for node in onnx.load_from_string(data).graph.node}
    assert "DequantizeLinear" not in kinds
    assert ("Cast" in kinds) == (stay_small and columns > 8)


def test_dropout_goes_without_a_trace() -> None:
    model, _ = quantised(rows=6, columns=8, block=4)
    graphs.unpack_constants(model, stay_small=False)
    graphs.drop_dropout(model)
    kinds = [node.op_type for node in onnx.load_from_string(graphs.tidy(model)).graph.node]
    assert kinds == ["Gemm"]


def test_the_same_graph_gives_the_same_bytes() -> None:
    results = set()
    for _ in range(2):
        model, _ = quantised(rows=6, columns=8, block=4)
        graphs.unpack_constants(model, stay_small=True)
        results.add(graphs.tidy(model))
    assert len(results) == 1


def test_archives_of_arrays_depend_on_the_arrays_alone(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.int16)}
    data = canonical.npz_bytes(arrays)
    assert data == canonical.npz_bytes(arrays)
    path = tmp_path / "arrays.npz"
    path.write_bytes(data)
    with np.load(path) as loaded:
        assert loaded.files == list(arrays)
        assert all((loaded[name] == arrays[name]).all() for name in arrays)


def test_prelu_spread_over_convolutions_computes_the_same() -> None:
    slope = np.array([-0.5, 0.0, 0.3, 1.0, 4.0], np.float32).reshape(-1, 1, 1)
    tensor = helper.make_tensor_value_info
    shape: list[str | int | None] = ["N", 5, "H", "W"]
    graph = helper.make_graph(
        [helper.make_node("PRelu", ["x", "slope"], ["y"])],
        "prelu",
        [tensor("x", TensorProto.FLOAT, shape)],
        [tensor("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(slope, "slope")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    graphs.spread_prelu(model)
    data = graphs.tidy(model)
    assert b"PRelu" not in data
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    (y,) = session.run(None, {"x": x})
    np.testing.assert_allclose(y, np.where(x > 0, x, slope * x), rtol=1e-5, atol=1e-6)
