from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.runtime import processor


def test_this_processor_says_the_same_twice() -> None:
    assert processor.saturates() is processor.saturates()
    assert processor.int8_speed() > 0


@pytest.mark.parametrize("bits", [16, 32])
def test_sums_cut_to_16_bits_are_seen(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """Two products at a time are added in so many bits, as processors with and without VNNI do."""
    most = 2 ** (bits - 1) - 1

    def run(_: None, feed: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        left, right = (feed[name].astype(np.int64) for name in "ab")
        pairs = [
            np.clip(left[:, k : k + 2] @ right[k : k + 2], -most, most) for k in range(0, 64, 2)
        ]
        return [np.sum(pairs, axis=0)]

    monkeypatch.setattr(processor, "_session", lambda *_: SimpleNamespace(run=run))
    assert processor.saturates() is (bits == 16)
