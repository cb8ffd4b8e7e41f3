"""Small networks of the packs' signatures whose convolutions can be made of whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from engine.optimise.int8 import Sample
from tests.graphs import Shape, save_graph

_LAYERS = 4
_CHANNELS = 8


def save_painter(path: Path, *, outlier: float = 1.0) -> Path:
    """Convolutions with an inswapper's signature: a picture, and 512 numbers that tint it.

    One channel is larger by `outlier` inside, and as much smaller in what follows: the answer is
    the same but for what rounding makes of it. Its opset is as old as published networks' are.
    """
    return _save(path, {"target": (1, 3, 128, 128), "source": (1, 512)}, outlier)


def save_restorer(path: Path) -> Path:
    """Return the same with a restorer's signature of 512 x 512 pixels, and without a tint."""
    return _save(path, {"input": (1, 3, 512, 512)})


def samples(count: int, seed: int = 0, *, light: float = 1.0) -> list[Sample]:
    """Inputs of a painter: noise from 0 to `light`, and directions."""
    rng = np.random.default_rng(seed)
    return [
        (
            (light * rng.random((1, 3, 128, 128))).astype(np.float32),
            rng.normal(0, 1 / np.sqrt(512), (1, 512)).astype(np.float32),
        )
        for _ in range(count)
    ]


def _save(path: Path, inputs: Mapping[str, Shape], outlier: float = 1.0) -> Path:
    (last, picture), *rest = inputs.items()
    rng = np.random.default_rng(7)
    channels = [3, *[_CHANNELS] * (_LAYERS - 1), 3]
    weights = {
        f"w{layer}": rng.normal(0, 1 / np.sqrt(9 * before), (after, before, 3, 3))
        for layer, (before, after) in enumerate(pairwise(channels))
    }
    weights["w0"][0] = outlier * np.abs(weights["w0"][0])  # never cut
    weights["w1"][:, 0] /= outlier
    weights["styles"] = rng.normal(0, 0.2, (512, _CHANNELS))
    weights["emap"] = np.eye(512)
    constants: dict[str, NDArray[Any]] = {
        name: weight.astype(np.float32) for name, weight in weights.items()
    }
    constants["column"] = np.array([1, _CHANNELS, 1, 1])
    make = helper.make_node
    nodes = []
    for layer in range(_LAYERS):
        nodes.append(make("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(make("Relu", [f"c{layer}"], [f"r{layer}"]))
        last = f"r{layer}"
        if layer == _LAYERS - 2 and rest:
            nodes.append(make("Gemm", [rest[0][0], "styles"], ["style"]))
            nodes.append(make("Reshape", ["style", "column"], ["tint"]))
            nodes.append(make("Add", [last, "tint"], ["tinted"]))
            last = "tinted"
    nodes[-1] = make("Sigmoid", [nodes[-2].output[0]], ["output"])
    return save_graph(path, nodes, inputs, {"output": picture}, constants, opset=11)
