"""ONNX models of a single operator, to try out a provider or a processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_IR_VERSION, _OPSET = 8, 13  # old enough for every supported ONNX Runtime


def operator_model(
    operator: str, inputs: Sequence[DTypeLike], output: DTypeLike, shape: Sequence[int | None]
) -> bytes:
    """Return a serialised model that computes y of the inputs a, b, ...

    Args:
        operator: Name of an operator of ONNX.
        inputs: Element type of each input.
        output: Element type of the output.
        shape: Shape of every input and of the output; None for a dynamic axis.
    """
    from onnx import helper  # noqa: PLC0415 - takes a second, and few commands try an operator

    def value(name: str, kind: DTypeLike) -> Any:
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape
        )

    names = "abcdefgh"[: len(inputs)]
    graph = helper.make_graph(
        [helper.make_node(operator, list(names), ["y"])],
        operator,
        [value(name, kind) for name, kind in zip(names, inputs, strict=True)],
        [value("y", output)],
    )
    model = helper.make_model(
        graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
    )
    content: bytes = model.SerializeToString()
    return content
