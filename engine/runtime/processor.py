"""Measure how this processor computes int8 matrix products.

x86 processors with VNNI accumulate such products in 32 bits; older ones add pairs of them in 16,
where large sums saturate. No CPU flag tells this alike on all systems, so products are computed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.runtime.operator_model import operator_model
from engine.runtime.providers import CPU, load_runtime

_DEPTH = 64
_SIDE = 512
_REPEATS = 5


def saturates() -> bool:
    """Tell whether sums of large uint8 by int8 products come out too small on this processor."""
    largest = np.full((4, _DEPTH), 255, np.uint8), np.full((_DEPTH, 16), 127, np.int8)
    session = _session("MatMulInteger", (np.uint8, np.int8), np.int32)
    (product,) = session.run(None, _feed(largest))
    return bool((product != 255 * 127 * _DEPTH).any())


def int8_speed() -> float:
    """Return how many times as fast int8 matrix products are as fp32 ones."""
    rng = np.random.default_rng(0)
    int8 = [rng.integers(0, 100, (_SIDE, _SIDE)).astype(kind) for kind in (np.uint8, np.int8)]
    fp32 = [matrix.astype(np.float32) for matrix in int8]
    fp32_seconds = _seconds(_session("MatMul", (np.float32, np.float32), np.float32), fp32)
    return fp32_seconds / _seconds(_session("MatMulInteger", (np.uint8, np.int8), np.int32), int8)


def _session(operator: str, inputs: Sequence[DTypeLike], output: DTypeLike) -> Any:
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    model = operator_model(operator, inputs, output, (None, None))
    return runtime.InferenceSession(model, options, providers=[CPU.name])


def _feed(arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return dict(zip("ab", arrays, strict=True))


def _seconds(session: Any, arrays: Sequence[NDArray[Any]]) -> float:
    """Return the shortest of a few runs, as disturbances only add time."""
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        session.run(None, _feed(arrays))
        times.append(time.perf_counter() - began)
    return min(times)
