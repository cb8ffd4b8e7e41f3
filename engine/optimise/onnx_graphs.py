"""ONNX graphs as the package onnx reads and writes them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engine.errors import RuntimeUnavailable
from engine.runtime.distributions import install


def onnx_package() -> ModuleType:
    """The module `onnx`, which is imported by what changes graphs, and by nothing else.

    Raises:
        RuntimeUnavailable: it is not installed.
    """
    try:
        import onnx  # noqa: PLC0415 - only surgery needs it, and only the first time
    except ImportError as error:
        raise RuntimeUnavailable(
            "Networks are prepared once for batches on a card and for the precisions fp16 and "
            f"int8, and that needs the package onnx; run `{install('packs')}`."
        ) from error
    module: ModuleType = onnx
    return module


def load(path: Path) -> Any:
    """The model of a file; raises as `onnx_package` does."""
    return onnx_package().load(str(path))


def save(model: Any, path: Path) -> None:
    """Writes a model, whatever the file's name ends in."""
    path.write_bytes(model.SerializeToString())


def is_half(model: Any) -> bool:
    """Whether most of the numbers that the graph computes with are of half precision."""
    types = onnx_package().TensorProto
    counts = {types.FLOAT: 0, types.FLOAT16: 0}
    used = {name for node in model.graph.node for name in node.input}
    for initializer in model.graph.initializer:
        if initializer.name in used and initializer.data_type in counts:
            counts[initializer.data_type] += int(np.prod(initializer.dims))
    return counts[types.FLOAT16] > counts[types.FLOAT]
