"""What this processor makes of products of whole numbers of 8 bits, found out by asking it.

x86 processors with VNNI add up such products in 32 bits; those before add two of them in 16, where
large ones are cut. No list of instructions says that alike on all systems, so products are made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime.protobuf import FLOAT, INT8, INT32, UINT8, one_operator
from engine.runtime.providers import CPU, load_runtime

_DEPTH = 64
_SIDE = 512
_REPEATS = 5


def saturates() -> bool:
    """Whether sums of large products of unsigned by signed numbers come out too small here."""
    largest = np.full((4, _DEPTH), 255, np.uint8), np.full((_DEPTH, 16), 127, np.int8)
    (found,) = _session("MatMulInteger", (UINT8, INT8), INT32).run(None, _feed(largest))
    return bool((found != 255 * 127 * _DEPTH).any())


def int8_speed() -> float:
    """How many times as fast as matrix products in fp32 those of whole numbers of 8 bits are."""
    rng = np.random.default_rng(0)
    whole = [rng.integers(0, 100, (_SIDE, _SIDE)).astype(kind) for kind in (np.uint8, np.int8)]
    single = [matrix.astype(np.float32) for matrix in whole]
    slow = _seconds(_session("MatMul", (FLOAT, FLOAT), FLOAT), single)
    return slow / _seconds(_session("MatMulInteger", (UINT8, INT8), INT32), whole)


def _session(kind: str, inputs: Sequence[int], output: int) -> Any:
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(
        one_operator(kind, inputs, output), options, providers=[CPU.name]
    )


def _feed(arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return dict(zip("ab", arrays, strict=True))


def _seconds(session: Any, arrays: Sequence[NDArray[Any]]) -> float:
    """The least time of a few runs: others only ever add to it."""
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        session.run(None, _feed(arrays))
        times.append(time.perf_counter() - began)
    return min(times)
