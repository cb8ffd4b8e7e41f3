"""ONNX files of any signature whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tests.graphs import Shape, save_graph


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a network by name and shape, and whether it has inswapper's map."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Sequence[int]]
    with_emap: bool = False

    def save(self, path: Path, value: float = 0.0) -> Path:
        """Save a network that ignores its inputs and returns `value` everywhere."""
        constants: dict[str, NDArray[Any]] = {
            f"{name}_shape": np.array(shape, np.int64) for name, shape in self.outputs.items()
        }
        if self.with_emap:
            constants["emap"] = np.eye(512, dtype=np.float32)
        fill = numpy_helper.from_array(np.array([value], np.float32))
        nodes = [
            helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=fill)
            for name in self.outputs
        ]
        return save_graph(path, nodes, self.inputs, self.outputs, constants)


def save_difference(path: Path, shape: Shape = ("N", 2)) -> Path:
    """Save a network that returns the `difference` and `sum` of `first` and `second`."""
    nodes = [
        helper.make_node("Sub", ["first", "second"], ["difference"]),
        helper.make_node("Add", ["first", "second"], ["sum"]),
    ]
    return save_graph(
        path, nodes, {"first": shape, "second": shape}, {"difference": shape, "sum": shape}, {}
    )


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
        constants,
    )
