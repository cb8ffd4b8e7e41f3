"""Small ONNX networks with the signatures of InsightFace's and FairFace's.

Their outputs depend on every part and each colour of the input, so that a wrong order, scale or
position changes them. Their weights are formulas, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.graphs import save_graph


def scene(height: int, width: int) -> NDArray[np.uint8]:
    """Draw an RGB picture of soft waves in integer arithmetic."""
    y, x = np.mgrid[:height, :width]
    red = np.abs((3 * x + y) % 362 - 181)
    green = np.abs((x + 2 * y + 90) % 302 - 151) + 40
    blue = np.abs((2 * x - 3 * y) % 442 - 221)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


@dataclass(frozen=True)
class ScrfdKind:
    """A variant of SCRFD: levels, anchors per cell, five points, batch axis."""

    levels: int = 3
    anchors: int = 2
    points: bool = True
    batched: bool = False
    side: int | None = None

    @property
    def name(self) -> str:
        """Name for files and fixtures."""
        parts = ("points" if self.points else "boxes", "batched" if self.batched else "flat")
        return f"scrfd_{self.levels}x{self.anchors}_{'_'.join(parts)}"


SCRFD_KINDS = (
    ScrfdKind(),
    ScrfdKind(points=False),
    ScrfdKind(levels=5, anchors=1),
    ScrfdKind(levels=5, anchors=1, points=False),
    ScrfdKind(batched=True),
)


def save_scrfd(path: Path, kind: ScrfdKind) -> Path:
    """Write a detector whose outputs depend on the mean colour of each cell, level and anchor.

    In `scene(512, 640)`, a twelfth of the cells of each level score as faces.
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[np.generic]] = {}
    values = (1, 4, 10) if kind.points else (1, 4)
    for level in range(kind.levels):
        step = 8 << level
        nodes.append(
            helper.make_node(
                "AveragePool",
                ["input.1"],
                [f"mean_{level}"],
                kernel_shape=[step, step],
                strides=[step, step],
            )
        )
        for group, count in enumerate(values):
            name = f"{group}_{level}"
            weights = _wave(count * kind.anchors, 3, seed=group * 7 + level)
            bias = 2 + np.abs(_wave(count * kind.anchors, 1, seed=group + 3)[:, 0])
            if count == 1:
                weights = 2 * weights + 6 * np.eye(3)[: kind.anchors]
                bias = -np.quantile(_means(step) @ weights.T, 11 / 12, axis=0)
            if count == 10:
                bias = _wave(count * kind.anchors, 1, seed=5)[:, 0]
            constants[f"w_{name}"] = weights[:, :, None, None].astype(np.float32)
            constants[f"b_{name}"] = bias.astype(np.float32)
            shape = [1, -1, count] if kind.batched else [-1, count]
            constants[f"s_{name}"] = np.array(shape)
            nodes += [
                helper.make_node(
                    "Conv", [f"mean_{level}", f"w_{name}", f"b_{name}"], [f"c_{name}"]
                ),
                helper.make_node("Transpose", [f"c_{name}"], [f"t_{name}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t_{name}", f"s_{name}"], [f"r_{name}"]),
                helper.make_node(
                    "Sigmoid" if count == 1 else "Identity", [f"r_{name}"], [f"out_{name}"]
                ),
            ]
    outputs: dict[str, Sequence[int | str]] = {
        f"out_{group}_{level}": [1, f"n{level}", count] if kind.batched else [f"n{level}", count]
        for group, count in enumerate(values)
        for level in range(kind.levels)
    }
    picture: list[int | str] = [1, 3, kind.side or "height", kind.side or "width"]
    return save_graph(path, nodes, {"input.1": picture}, outputs, constants)


def save_arcface(path: Path, batch: int | str = "N") -> Path:
    """Write a recogniser that mixes the colours of 64 squares into 512 values."""
    return _save_reader(path, 112, 14, 512, batch=batch, name="input.1", scaled=False)


def save_landmarks(path: Path, values: int, *, scaled: bool = True) -> Path:
    """Write a landmark network of 212 (2d106det) or 3309 (1k3d68) values, mostly in -1..1."""
    return _save_reader(path, 192, 24, values, batch="N", name="data", scaled=scaled)


def save_genderage(path: Path) -> Path:
    """Write an attribute network: two scores of gender and an age in centuries."""
    return _save_reader(path, 96, 12, 3, batch="N", name="data", scaled=True)


def save_fairface(path: Path, race: int, gender: int, age: int) -> Path:
    """Write a FairFace that returns these classes for every face."""
    classes = {"race_id": race, "gender_id": gender, "age_id": age}
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array([value])))
        for name, value in classes.items()
    ]
    outputs: dict[str, Sequence[int | str]] = {name: [1] for name in classes}
    kinds = dict.fromkeys(classes, TensorProto.INT64)
    return save_graph(path, nodes, {"input": [1, 3, 224, 224]}, outputs, {}, kinds)


def _save_reader(
    path: Path,
    side: int,
    square: int,
    values: int,
    *,
    batch: int | str,
    name: str,
    scaled: bool,
) -> Path:
    """Write a network from a crop to a row of values; `scaled` takes 0..255, like MXNet exports."""
    constants: dict[str, NDArray[np.generic]] = {
        "weights": _wave(3 * (side // square) ** 2, values, seed=values).astype(np.float32) / 6,
        "bias": np.full(values, 0.4, np.float32),
        "half": np.array([127.5], np.float32),
        "scale": np.array([1 / 128], np.float32),
    }
    make = helper.make_node
    before = [
        make("Sub", [name, "half"], ["shifted"], name="Sub_minusscalar"),
        make("Mul", ["shifted", "scale"], ["normal"], name="Mul_mulscalar"),
    ]
    nodes = [
        *(before if scaled else ()),
        make(
            "AveragePool",
            ["normal" if scaled else name],
            ["means"],
            kernel_shape=[square, square],
            strides=[square, square],
        ),
        make("Flatten", ["means"], ["row"]),
        make("Gemm", ["row", "weights", "bias"], ["fc1"]),
    ]
    if not scaled:
        del constants["half"], constants["scale"]
    return save_graph(
        path, nodes, {name: [batch, 3, side, side]}, {"fc1": [batch, values]}, constants
    )


def _means(step: int) -> NDArray[np.float64]:
    """Return the normalised mean colours of the squares of a scene."""
    squares = scene(512, 640).reshape(512 // step, step, 640 // step, step, 3)
    means: NDArray[np.float64] = (squares.mean(axis=(1, 3)).reshape(-1, 3) - 127.5) / 128
    return means


def _wave(rows: int, columns: int, seed: int) -> NDArray[np.float64]:
    """Return deterministic values in -1..1 without a visible pattern."""
    count = np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)
    wave: NDArray[np.float64] = np.sin((count + 1) ** 1.5 * 1.7 + seed)
    return wave
