"""Networks with the packs' signatures whose outputs are known, and their store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from engine.weights.weight_store import WeightStore
from tests.graphs import Shape, out_of_range, save_graph

Nodes: TypeAlias = list[onnx.NodeProto]
Constants: TypeAlias = Mapping[str, NDArray[Any]]

_NODE = helper.make_node
_NONE: Final = (0.0, 0.0, 0.0)
_ONE: Final = (1.0, 1.0, 1.0)
_HALF: Final = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Kind:
    """A swapper as FaceFusion's `face_swapper` feeds it, so that the packs' rows are held to it.

    `mean` and `std` are of pixels 0..1; `output_range` is that of its output.
    """

    name: str
    side: int
    template: str
    source: tuple[int, ...] = (512,)
    mean: tuple[float, float, float] = _NONE
    std: tuple[float, float, float] = _ONE
    output_range: tuple[float, float] = (0.0, 1.0)
    converter: str = ""
    source_first: bool = False
    masked: bool = False


_SIGNED: Final[Mapping[str, Any]] = {"mean": _HALF, "std": _HALF, "output_range": (-1.0, 1.0)}
_IMAGENET: Final[Mapping[str, Any]] = {
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
# One of each family, and both of a family whose members differ.
KINDS: Final = (
    Kind("inswapper_128", 128, "arcface_128"),
    Kind("hyperswap_1a_256", 256, "arcface_128", masked=True, source_first=True, **_SIGNED),
    Kind("ghost_1_256", 256, "arcface_112_v1", converter="crossface_ghost", **_SIGNED),
    Kind("simswap_256", 256, "arcface_112_v1", converter="crossface_simswap", **_IMAGENET),
    Kind("simswap_unofficial_512", 512, "arcface_112_v1", converter="crossface_simswap"),
    Kind("hififace_unofficial_256", 256, "mtcnn_512", converter="crossface_hififace", **_SIGNED),
    Kind("blendswap_256", 256, "ffhq_512", (3, 112, 112)),
    Kind("uniface_256", 256, "ffhq_512", (3, 256, 256), source_first=True, **_SIGNED),
)

EMAP = np.random.default_rng(3).normal(size=(512, 512)).astype(np.float32)
TINT, SHADE = 0.5, 0.25
LEAN = np.random.default_rng(5).normal(scale=0.03, size=512).astype(np.float32)


def kind_named(name: str) -> Kind:
    (found,) = (kind for kind in KINDS if kind.name == name)
    return found


def ramp(side: int) -> NDArray[np.float32]:
    """Return the values that `tinted` adds along a row of its picture, before `SHADE`."""
    return np.linspace(0, 1, side, dtype=np.float32)


def inswapper(folder: Path, make: Callable[[Path], object]) -> WeightStore:
    """Return the embedded weights, the inswapper that `make` writes, and its embedder."""
    make(folder / "inswapper_128.onnx")
    embedder(folder / "w600k_r50.onnx")
    return _imported(folder)


def identities(folder: Path) -> WeightStore:
    """Return the embedded weights, and of each kind a swapper that gives its target back."""
    return family(folder, identity)


def family(folder: Path, make: Callable[[Path], object]) -> WeightStore:
    """The embedded weights, of each kind the swapper that `make` writes, and what they need."""
    for kind in KINDS:
        make(folder / f"{kind.name}.onnx")
    for name in {kind.converter for kind in KINDS} - {""}:
        converter(folder / f"{name}.onnx")
    embedder(folder / "w600k_r50.onnx")
    return _imported(folder)


def identity(path: Path) -> Path:
    """The target as it is."""
    return _swapper(path, [_NODE("Identity", ["pixels"], ["shown"])])


def tinted(path: Path, *, batch: int | str = 1) -> Path:
    """Half the target, tinted by the source's first three numbers, brighter to the right.

    Of a picture for a source these are the means of its colours.
    """
    kind = kind_named(path.stem)
    constants = {
        "half": np.array(0.5, np.float32),
        "tint": np.array(TINT, np.float32),
        "from": np.array([0]),
        "to": np.array([3]),
        "along": np.array([1]),
        "shape": np.array([0, 3, 1, 1]),
        "ramp": SHADE * np.broadcast_to(ramp(kind.side), (1, 3, kind.side, kind.side)),
    }
    told = (
        [_NODE("Slice", ["source", "from", "to", "along"], ["three"])]
        if len(kind.source) == 1
        else [_NODE("GlobalAveragePool", ["source"], ["three"])]
    )
    nodes = [
        *told,
        _NODE("Mul", ["three", "tint"], ["amount"]),
        _NODE("Reshape", ["amount", "shape"], ["colour"]),
        _NODE("Mul", ["pixels", "half"], ["dimmed"]),
        _NODE("Add", ["dimmed", "colour"], ["coloured"]),
        _NODE("Add", ["coloured", "ramp"], ["shown"]),
    ]
    return _swapper(path, nodes, constants, batch)


def failing(path: Path) -> Path:
    """Runs into an index that is out of range."""
    nodes, constants = out_of_range("pixels", "shown")
    return _swapper(path, nodes, constants, "N")


def blind(path: Path) -> Path:
    """Answers with no numbers where the target is black."""
    return _swapper(path, [_NODE("Div", ["target", "target"], ["shown"])], {}, "N")


def embedder(path: Path) -> Path:
    """ArcFace's signature: projects a coarse picture."""
    matrix = np.random.default_rng(4).normal(scale=0.01, size=(192, 512)).astype(np.float32)
    nodes = [
        _NODE("AveragePool", ["input.1"], ["coarse"], kernel_shape=[14, 14], strides=[14, 14]),
        _NODE("Flatten", ["coarse"], ["row"]),
        _NODE("MatMul", ["row", "matrix"], ["embedding"]),
    ]
    inputs = {"input.1": ("N", 3, 112, 112)}
    return save_graph(path, nodes, inputs, {"embedding": ("N", 512)}, {"matrix": matrix})


def converter(path: Path, *, batch: int | str = 1) -> Path:
    """Return a crossface converter: twice what it is given, and `LEAN`."""
    nodes = [
        _NODE("Add", ["input", "input"], ["twice"]),
        _NODE("Add", ["twice", "lean"], ["output"]),
    ]
    row = (batch, 512)
    return save_graph(path, nodes, {"input": row}, {"output": row}, {"lean": LEAN})


def _imported(folder: Path) -> WeightStore:
    store = WeightStore(user_folder=folder / "weights")
    store.import_path(folder)
    return store


def _swapper(
    path: Path, nodes: Nodes, constants: Constants | None = None, batch: int | str = 1
) -> Path:
    """A swapper of the kind that the file is named after.

    `nodes` make "shown", RGB 0..1, of "pixels", the target's, and of "source".
    """
    kind = kind_named(path.stem)
    low, high = kind.output_range
    per_channel = {
        name: np.array(value, np.float32).reshape(1, 3, 1, 1)
        for name, value in (("std", kind.std), ("mean", kind.mean))
    }
    ends = {"range": np.array(high - low, np.float32), "low": np.array(low, np.float32)}
    nodes = [
        _NODE("Mul", ["target", "std"], ["centred"]),
        _NODE("Add", ["centred", "mean"], ["pixels"]),
        *nodes,
        _NODE("Mul", ["shown", "range"], ["ranged"]),
        _NODE("Add", ["ranged", "low"], ["output"]),
    ]
    target = (batch, 3, kind.side, kind.side)
    outputs: dict[str, Shape] = {"output": target}
    if kind.masked:
        nodes.append(_NODE("ReduceMin", ["pixels"], ["mask"], axes=[1]))
        outputs["mask"] = (batch, 1, kind.side, kind.side)
    pair: list[tuple[str, Shape]] = [("target", target), ("source", (batch, *kind.source))]
    inputs = dict(reversed(pair) if kind.source_first else pair)
    return save_graph(
        path, nodes, inputs, outputs, {**per_channel, **ends, **(constants or {}), "emap": EMAP}
    )
