from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from engine.runtime.providers import CPU
from engine.runtime.tiny import FLOAT, INT8, INT32, UINT8, one_operator


@pytest.mark.parametrize(
    "model",
    [
        one_operator("Relu", (FLOAT,), FLOAT, (1,)),
        one_operator("MatMulInteger", (UINT8, INT8), INT32),
    ],
)
def test_a_model_of_one_operator_is_valid(model: bytes) -> None:
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)


def test_it_computes_what_its_operator_does() -> None:
    model = one_operator("Relu", (FLOAT,), FLOAT, (1,))
    session = onnxruntime.InferenceSession(model, providers=[CPU.name])
    for value in (-1.5, 0.0, 2.5):
        (answer,) = session.run(None, {"a": np.array([value], np.float32)})
        assert answer == max(value, 0.0)


def test_shapes_may_be_free() -> None:
    model = one_operator("MatMul", (FLOAT, FLOAT), FLOAT)
    session = onnxruntime.InferenceSession(model, providers=[CPU.name])
    for side in (2, 300):
        square = np.eye(side, dtype=np.float32)
        (answer,) = session.run(None, {"a": square, "b": 3 * square})
        np.testing.assert_array_equal(answer, 3 * square)
