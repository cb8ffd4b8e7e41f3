"""Networks of the packs' signatures whose answers are known, and the store that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.runtime.weights import WeightStore

Shape: TypeAlias = Sequence[int | str]
Nodes: TypeAlias = list[onnx.NodeProto]

_NODE = helper.make_node
EMAP = np.random.default_rng(3).normal(size=(512, 512)).astype(np.float32)
TINT, SHADE = 0.5, 0.25
RAMP = np.linspace(0, 1, 128, dtype=np.float32)


def inswapper(folder: Path, make: Callable[[Path], object]) -> WeightStore:
    """The embedded weights, the inswapper that `make` writes, and its embedder."""
    make(folder / "inswapper_128.onnx")
    embedder(folder / "w600k_r50.onnx")
    return _imported(folder)


def identities(folder: Path) -> WeightStore:
    """The embedded weights, and for each kind of source a swapper that gives its target back."""
    identity(folder / "inswapper_128.onnx")
    identity(folder / "hyperswap_1a_256.onnx", 256)
    identity(folder / "hififace_unofficial_256.onnx", 256)
    converter(folder / "crossface_hififace.onnx")
    identity(folder / "uniface_256.onnx", 256, cut=256)
    embedder(folder / "w600k_r50.onnx")
    return _imported(folder)


def identity(path: Path, side: int = 128, *, cut: int = 0) -> Path:
    """The target as it is. With a `cut` its source is a picture of that side, and comes first."""
    target = (1, 3, side, side)
    nodes = [_NODE("Identity", ["target"], ["output"])]
    outputs: dict[str, Shape] = {"output": target}
    if path.stem.startswith("hyperswap"):
        nodes.append(_NODE("ReduceMin", ["target"], ["mask"], axes=[1]))
        outputs["mask"] = (1, 1, side, side)
    if cut:
        inputs: dict[str, Shape] = {"source": (1, 3, cut, cut), "target": target}
    else:
        inputs = {"target": target, "source": (1, 512)}
    return _save(path, nodes, inputs, outputs, {"emap": EMAP})


def tinted(path: Path, *, batch: int | str = 1) -> Path:
    """Half the target, tinted by the source's first three numbers, brighter to the right."""
    constants = {
        "half": np.array(0.5, np.float32),
        "tint": np.array(TINT, np.float32),
        "from": np.array([0]),
        "to": np.array([3]),
        "along": np.array([1]),
        "shape": np.array([0, 3, 1, 1]),
        "ramp": SHADE * np.broadcast_to(RAMP, (1, 3, 128, 128)),
    }
    nodes = [
        _NODE("Slice", ["source", "from", "to", "along"], ["three"]),
        _NODE("Mul", ["three", "tint"], ["amount"]),
        _NODE("Reshape", ["amount", "shape"], ["colour"]),
        _NODE("Mul", ["target", "half"], ["dimmed"]),
        _NODE("Add", ["dimmed", "colour"], ["coloured"]),
        _NODE("Add", ["coloured", "ramp"], ["output"]),
    ]
    return _inswapper(path, nodes, batch, constants)


def failing(path: Path) -> Path:
    """Runs into an index that is out of range."""
    constants = {"row": np.zeros(3, np.float32), "far": np.array(999.0, np.float32)}
    nodes = [
        _NODE("ReduceMax", ["target"], ["highest"], keepdims=0),
        _NODE("Add", ["highest", "far"], ["where"]),
        _NODE("Cast", ["where"], ["index"], to=TensorProto.INT64),
        _NODE("Gather", ["row", "index"], ["value"]),
        _NODE("Add", ["target", "value"], ["output"]),
    ]
    return _inswapper(path, nodes, "N", constants)


def blind(path: Path) -> Path:
    """Answers with no numbers where the target is black."""
    return _inswapper(path, [_NODE("Div", ["target", "target"], ["output"])], "N", {})


def embedder(path: Path) -> Path:
    """ArcFace's signature: projects a coarse picture."""
    matrix = np.random.default_rng(4).normal(size=(192, 512)).astype(np.float32)
    nodes = [
        _NODE("AveragePool", ["input.1"], ["coarse"], kernel_shape=[14, 14], strides=[14, 14]),
        _NODE("Flatten", ["coarse"], ["row"]),
        _NODE("MatMul", ["row", "matrix"], ["embedding"]),
    ]
    inputs = {"input.1": ("N", 3, 112, 112)}
    return _save(path, nodes, inputs, {"embedding": ("N", 512)}, {"matrix": matrix})


def converter(path: Path) -> Path:
    """A crossface converter that doubles what it is given."""
    nodes = [_NODE("Add", ["input", "input"], ["output"])]
    return _save(path, nodes, {"input": (1, 512)}, {"output": (1, 512)}, {})


def _imported(folder: Path) -> WeightStore:
    store = WeightStore(user_folder=folder / "weights")
    store.import_path(folder)
    return store


def _inswapper(
    path: Path, nodes: Nodes, batch: int | str, constants: Mapping[str, NDArray[Any]]
) -> Path:
    target = (batch, 3, 128, 128)
    inputs = {"target": target, "source": (batch, 512)}
    return _save(path, nodes, inputs, {"output": target}, {**constants, "emap": EMAP})


def _save(
    path: Path,
    nodes: Nodes,
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    constants: Mapping[str, NDArray[Any]],
) -> Path:
    def values(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in shapes.items()
        ]

    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "stand-in", values(inputs), values(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
