from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from engine.runtime.operator_model import operator_model
from engine.runtime.providers import CPU


@pytest.mark.parametrize(
    "model",
    [
        operator_model("Relu", (np.float32,), np.float32, (1,)),
        operator_model("MatMulInteger", (np.uint8, np.int8), np.int32, (None, None)),
    ],
)
def test_a_model_of_one_operator_is_valid(model: bytes) -> None:
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)


def test_it_computes_what_its_operator_does() -> None:
    model = operator_model("Relu", (np.float32,), np.float32, (1,))
    session = onnxruntime.InferenceSession(model, providers=[CPU.name])
    for value in (-1.5, 0.0, 2.5):
        (output,) = session.run(None, {"a": np.array([value], np.float32)})
        assert output == max(value, 0.0)


def test_axes_may_be_dynamic() -> None:
    model = operator_model("MatMul", (np.float32, np.float32), np.float32, (None, None))
    session = onnxruntime.InferenceSession(model, providers=[CPU.name])
    for side in (2, 300):
        square = np.eye(side, dtype=np.float32)
        (output,) = session.run(None, {"a": square, "b": 3 * square})
        np.testing.assert_array_equal(output, 3 * square)
