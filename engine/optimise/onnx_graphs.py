"""ONNX models that are changed and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def save(model: Any, path: Path) -> None:
    """Write a model, whatever suffix the file has."""
    path.write_bytes(model.SerializeToString())


def is_half(model: Any) -> bool:
    """Tell whether most of the weights that the graph computes with are of half precision."""
    import onnx  # noqa: PLC0415 - takes a second, and only graphs that are prepared need it

    types = onnx.TensorProto
    counts = {types.FLOAT: 0, types.FLOAT16: 0}
    used = {name for node in model.graph.node for name in node.input}
    for initializer in model.graph.initializer:
        if initializer.name in used and initializer.data_type in counts:
            counts[initializer.data_type] += int(np.prod(initializer.dims))
    return counts[types.FLOAT16] > counts[types.FLOAT]
