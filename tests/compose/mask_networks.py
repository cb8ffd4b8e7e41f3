"""Networks with the signatures of occluders and parsers whose outputs are known."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from onnx import helper

from tests.graphs import save_graph

OCCLUDER, PARSER, CLASSES = 256, 512, 19
# A colour for each class of a parser, as far apart as they can be: RGB 0..1.
COLOURS = np.array([*product((0, 0.5, 1), repeat=3)], np.float32)[:CLASSES]
_MEAN, _STD = np.array([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)])  # of ImageNet


def save_occluder(path: Path, *, batch: int | str = "N") -> Path:
    """Save an occluder that finds a face in the blue parts of the upper three quarters."""
    upper = np.zeros((1, OCCLUDER, OCCLUDER, 1), np.float32)
    upper[:, : 3 * OCCLUDER // 4] = 1
    nodes = [
        helper.make_node("Slice", ["input", "from", "to", "along"], ["blue"]),
        helper.make_node("Mul", ["blue", "upper"], ["output"]),
    ]
    constants = {
        "from": np.array([0]),
        "to": np.array([1]),
        "along": np.array([3]),
        "upper": upper,
    }
    return save_graph(
        path,
        nodes,
        {"input": (batch, OCCLUDER, OCCLUDER, 3)},
        {"output": (batch, OCCLUDER, OCCLUDER, 1)},
        constants,
    )


def save_blind_occluder(path: Path) -> Path:
    """Save an occluder that returns NaN where the picture is black."""
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["bright"], axes=[3]),
        helper.make_node("Div", ["bright", "bright"], ["output"]),
    ]
    shape = ("N", OCCLUDER, OCCLUDER)
    return save_graph(path, nodes, {"input": (*shape, 3)}, {"output": (*shape, 1)}, {})


def save_parser(path: Path, *, batch: int | str = "N") -> Path:
    """Save a parser whose score of a class is higher the nearer a pixel is to its colour."""
    # -|x - c|² + |x|² for x = input * std + mean.
    weights = 2 * COLOURS * _STD
    biases = 2 * COLOURS @ _MEAN - (COLOURS**2).sum(axis=1)
    constants = {
        "weights": weights.astype(np.float32).reshape(CLASSES, 3, 1, 1),
        "biases": biases.astype(np.float32),
    }
    nodes = [helper.make_node("Conv", ["input", *constants], ["output"])]
    return save_graph(
        path,
        nodes,
        {"input": (batch, 3, PARSER, PARSER)},
        {"output": (batch, CLASSES, PARSER, PARSER)},
        constants,
    )
