"""ONNX files of any signature whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape: TypeAlias = Sequence[int | str]


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a network, by name and shape."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Sequence[int]]

    def save(self, path: Path, value: float = 0.0) -> Path:
        """A network that ignores its inputs and answers `value` everywhere."""
        sizes = [
            numpy_helper.from_array(np.array(shape, np.int64), f"{name}_shape")
            for name, shape in self.outputs.items()
        ]
        fill = numpy_helper.from_array(np.array([value], np.float32))
        nodes = [
            helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=fill)
            for name in self.outputs
        ]
        return _save(path, nodes, self.inputs, self.outputs, sizes)


def save_difference(path: Path, shape: Shape = ("N", 2)) -> Path:
    """A network of the inputs `first` and `second` that answers their `difference` and `sum`."""
    nodes = [
        helper.make_node("Sub", ["first", "second"], ["difference"]),
        helper.make_node("Add", ["first", "second"], ["sum"]),
    ]
    return _save(
        path, nodes, {"first": shape, "second": shape}, {"difference": shape, "sum": shape}, []
    )


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    constants: list[onnx.TensorProto],
) -> Path:
    def values(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in shapes.items()
        ]

    graph = helper.make_graph(nodes, "tiny", values(inputs), values(outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
