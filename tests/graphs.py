"""Write small ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape: TypeAlias = Sequence[int | str]


def save_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    constants: Mapping[str, NDArray[Any]],
    kinds: Mapping[str, int] | None = None,
    opset: int = 17,
) -> Path:
    """Write a graph; `kinds` has the element types of tensors other than float32, by name."""

    def values(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), shape)
            for name, shape in shapes.items()
        ]

    initializers = [
        numpy_helper.from_array(np.asarray(value, order="C"), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "stand-in", values(inputs), values(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def out_of_range(
    given: str, answer: str
) -> tuple[list[onnx.NodeProto], dict[str, NDArray[np.float32]]]:
    """Return nodes from an input to an output that fail at run time, and their constants."""
    nodes = [
        helper.make_node("ReduceMax", [given], ["highest"], keepdims=0),
        helper.make_node("Add", ["highest", "far"], ["where"]),
        helper.make_node("Cast", ["where"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["row", "index"], ["value"]),
        helper.make_node("Add", [given, "value"], [answer]),
    ]
    return nodes, {"row": np.zeros(3, np.float32), "far": np.array(999.0, np.float32)}
