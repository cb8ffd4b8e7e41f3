"""Networks with the signatures of restorers whose outputs are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.graphs import out_of_range, save_graph

_NODE = helper.make_node
TINT: Final = np.array([0.4, 0.1, 0.25], np.float32)


@dataclass(frozen=True)
class Setting:
    """Fidelity input of a graph: its type, its shape, and True if it is the first input."""

    kind: int = TensorProto.DOUBLE
    shape: tuple[int, ...] = ()
    first: bool = False


@dataclass(frozen=True)
class Kind:
    """A restorer as FaceFusion's `face_enhancer` feeds it, so that the packs' rows are held to it.

    All of them take and answer RGB from -1 to 1.
    """

    name: str
    side: int = 512
    template: str = "ffhq_512"
    setting: Setting | None = None
    batch: int | str = 1


KINDS: Final = (
    Kind("gfpgan_1.2"),
    Kind("gfpgan_1.3"),
    Kind("gfpgan_1.4"),
    Kind("gpen_bfr_256", 256, "arcface_128"),
    Kind("gpen_bfr_512"),
    Kind("gpen_bfr_1024", 1024),
    Kind("gpen_bfr_2048", 2048),
    Kind("restoreformer_plus_plus"),
    Kind("codeformer", setting=Setting()),
)
GFPGAN, CODEFORMER = KINDS[2], KINDS[-1]


def batched(kind: Kind) -> Kind:
    """Return the same with a free batch axis."""
    return replace(kind, batch="N")


def identity(folder: Path, kind: Kind) -> Path:
    """The picture as it is, whatever the fidelity."""
    return _restorer(folder, kind, [_NODE("Identity", ["pixels"], ["shown"])])


def tinted(folder: Path, kind: Kind) -> Path:
    """Half the picture and `TINT`."""
    constants = {"half": np.array(0.5, np.float32), "tint": TINT.reshape(1, 3, 1, 1)}
    nodes = [
        _NODE("Mul", ["pixels", "half"], ["dimmed"]),
        _NODE("Add", ["dimmed", "tint"], ["shown"]),
    ]
    return _restorer(folder, kind, nodes, constants)


def dimmed(folder: Path, kind: Kind) -> Path:
    """Return the picture times the fidelity."""
    nodes = [
        _NODE("Cast", ["weight"], ["fidelity"], to=TensorProto.FLOAT),
        _NODE("Mul", ["pixels", "fidelity"], ["shown"]),
    ]
    return _restorer(folder, kind, nodes)


def failing(folder: Path, kind: Kind) -> Path:
    """Runs into an index that is out of range."""
    nodes, constants = out_of_range("pixels", "shown")
    return _restorer(folder, kind, nodes, constants)


def blind(folder: Path, kind: Kind) -> Path:
    """Answers with no numbers where the picture is of a middle grey."""
    return _restorer(folder, kind, [_NODE("Div", ["input", "input"], ["shown"])])


def _restorer(
    folder: Path,
    kind: Kind,
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """`nodes` make "shown", RGB 0..1, of "pixels", the picture's."""
    ends = {"two": np.array(2, np.float32), "one": np.array(1, np.float32)}
    around = [
        _NODE("Add", ["input", "one"], ["raised"]),
        _NODE("Div", ["raised", "two"], ["pixels"]),
        *nodes,
        _NODE("Mul", ["shown", "two"], ["doubled"]),
        _NODE("Sub", ["doubled", "one"], ["output"]),
    ]
    picture: tuple[int | str, ...] = (kind.batch, 3, kind.side, kind.side)
    inputs: dict[str, tuple[int | str, ...]] = {"input": picture}
    kinds = {}
    if kind.setting is not None:
        inputs["weight"] = kind.setting.shape
        kinds["weight"] = kind.setting.kind
        if kind.setting.first:
            inputs = dict(reversed(inputs.items()))
    return save_graph(
        folder / f"{kind.name}.onnx",
        around,
        inputs,
        {"output": picture},
        {**ends, **(constants or {})},
        kinds,
    )
