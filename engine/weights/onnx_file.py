"""ONNX files as the package onnx reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsCorrupt

EMAP_SHAPE: Final = (512, 512)
_Message: TypeAlias = Any  # a message of onnx's protocol buffers


class MalformedError(ValueError):
    """A file is cut short, or no ONNX model."""


def read_model(path: Path) -> _Message:
    """Return the `onnx.ModelProto` of a file, whatever its suffix; external data is not read.

    Raises:
        MalformedError: The file is cut short, or no ONNX model.
    """
    import onnx  # noqa: PLC0415 - takes a second, and few commands open a model

    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # protobuf's own error, of a package that only onnx depends on
        raise MalformedError(f"it is cut short, or no ONNX model ({error}).") from error
    if not model.HasField("graph"):
        raise MalformedError("it holds no graph.")
    return model


def has_external_data(message: _Message) -> bool:
    """Tell whether any tensor in a model, graph or node is kept in another file.

    All messages within are visited, as tensors are found in initializers, attributes, functions,
    training steps and sparse tensors.
    """
    import onnx  # noqa: PLC0415 - as above

    if isinstance(message, onnx.TensorProto):
        return message.data_location == onnx.TensorProto.EXTERNAL or bool(message.external_data)
    return any(
        has_external_data(inner)
        for field, value in message.ListFields()
        if field.message_type is not None
        for inner in (value if field.is_repeated else (value,))
    )


def emap_of(model: _Message, called: str) -> NDArray[np.float32]:
    """Return the emap of an inswapper's model, (512, 512) float32.

    It maps an embedding to its source encoding, and is the model's last initializer of that shape;
    no node of the graph uses it. Errors name the file as `called`.

    Raises:
        WeightsCorrupt: There is none of single or half precision.
    """
    import onnx  # noqa: PLC0415 - as above

    found = [one for one in model.graph.initializer if tuple(one.dims) == EMAP_SHAPE]
    if not found:
        raise WeightsCorrupt(
            f"{called} holds no matrix of 512 x 512, the emap without which an inswapper cannot "
            "be used; bring the file as it was published."
        )
    kind = found[-1].data_type
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
        raise WeightsCorrupt(
            f"The emap in {called} is of the type {onnx.TensorProto.DataType.Name(kind)}; save it "
            "as FLOAT or FLOAT16."
        )
    if has_external_data(found[-1]):
        raise WeightsCorrupt(f"The emap in {called} is external data; save all as one ONNX file.")
    try:
        emap: NDArray[np.float32] = onnx.numpy_helper.to_array(found[-1]).astype(np.float32)
    except ValueError as error:
        raise WeightsCorrupt(
            f"The emap in {called} is cut short ({error}); copy it again."
        ) from error
    return emap
