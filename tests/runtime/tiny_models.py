"""ONNX files of any signature whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
        return save_graph(path, nodes, self.inputs, self.outputs, sizes)


def save_difference(path: Path, shape: Shape = ("N", 2)) -> Path:
    """A network of the inputs `first` and `second` that answers their `difference` and `sum`."""
    nodes = [
        helper.make_node("Sub", ["first", "second"], ["difference"]),
        helper.make_node("Add", ["first", "second"], ["sum"]),
    ]
    return save_graph(
        path, nodes, {"first": shape, "second": shape}, {"difference": shape, "sum": shape}, []
    )


def save_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    constants: list[onnx.TensorProto],
    opset: int = 17,
) -> Path:
    """A network of these nodes and initializers; its file."""

    def values(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in shapes.items()
        ]

    graph = helper.make_graph(nodes, "tiny", values(inputs), values(outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def save_swapper(path: Path, *, fixed: str = "", weight: float = 1.0) -> Path:
    """An inswapper in small, at batch 1: target times `weight`, tinted by the source's first three.

    What holds real ones to batch 1 is in it: a Reshape and a Resize of constant shapes. With
    `fixed` "inside", rows of several pictures would be mixed up. Its last initializer is the map
    of latents, 2 on the diagonal.
    """
    merged = [1, 3, 64, 256] if fixed == "inside" else [1, 3, 128, 128]
    constants = {
        "twice": np.array([1, 3, 256, 256]),
        "once": np.array([1, 3, 128, 128]),
        "style": np.array([1, 512, 1, 1]),
        "merged": np.array(merged),
        "flat": np.array([3, -1] if fixed == "inside" else [1, -1]),
        "from": np.array([0]),
        "to": np.array([3]),
        "axis": np.array([1]),
        "scale": np.full((1, 3, 128, 128), weight, np.float32),
        "emap": 2 * np.eye(512, dtype=np.float32),
    }
    make = helper.make_node
    nodes = [
        make("Resize", ["target", "", "", "twice"], ["large"], mode="nearest"),
        make("Resize", ["large", "", "", "once"], ["small"], mode="nearest"),
        make("Reshape", ["small", "flat"], ["row"]),
        make("Reshape", ["row", "once"], ["again"]),
        make("Mul", ["again", "scale"], ["weighted"]),
        make("Reshape", ["source", "style"], ["styles"]),
        make("Slice", ["styles", "from", "to", "axis"], ["tint"]),
        make("Add", ["weighted", "tint"], ["output"]),
    ]
    return save_graph(
        path,
        nodes,
        {"target": (1, 3, 128, 128), "source": (1, 512)},
        {"output": (1, 3, 128, 128)},
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def save_painter(
    path: Path, *, side: int = 128, outlier: float = 1.0, opset: int = 11, layers: int = 4
) -> Path:
    """Convolutions of an inswapper's signature: a picture and 512 numbers, which tint it.

    One channel is larger by `outlier` inside, and as much smaller in what follows: the answer is
    the same but for what rounding makes of it.
    """
    rng = np.random.default_rng(7)
    channels = [3, *[8] * (layers - 1), 3]
    constants = {
        f"w{layer}": rng.normal(0, 1 / np.sqrt(9 * before), (after, before, 3, 3))
        for layer, (before, after) in enumerate(pairwise(channels))
    }
    constants["w0"][0] *= outlier
    constants["w1"][:, 0] /= outlier
    constants["styles"] = rng.normal(0, 0.2, (512, 8))
    constants["emap"] = np.eye(512)
    make = helper.make_node
    nodes = [
        make("Gemm", ["source", "styles"], ["style"]),
        make("Reshape", ["style", "column"], ["tint"]),
    ]
    last = "target"
    for layer in range(layers):
        nodes.append(make("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(make("Relu", [f"c{layer}"], [f"r{layer}"]))
        last = f"r{layer}"
        if layer == layers - 2:
            nodes.append(make("Add", [last, "tint"], ["tinted"]))
            last = "tinted"
    nodes[-1] = make("Sigmoid", [nodes[-2].output[0]], ["output"])
    column = numpy_helper.from_array(np.array([1, 8, 1, 1]), "column")
    return save_graph(
        path,
        nodes,
        {"target": (1, 3, side, side), "source": (1, 512)},
        {"output": (1, 3, side, side)},
        [
            column,
            *(
                numpy_helper.from_array(value.astype(np.float32), name)
                for name, value in constants.items()
            ),
        ],
        opset,
    )
