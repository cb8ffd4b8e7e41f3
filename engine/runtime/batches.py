"""Any number of inputs through a network, in batches of a few fixed sizes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from math import prod
from typing import Final

import numpy as np

from engine.errors import RuntimeUnavailable
from engine.runtime.providers import CPU_NAME
from engine.runtime.session import Session, Tensor

# Few and fixed: every new shape is tuned and allocated for anew.
SIZES: Final = (1, 2, 4, 8, 16)
# Of each input's numbers in a batch, sixteen pictures of 512 x 512: activations take a hundred
# times as much of a card.
_MOST_NUMBERS = 16 * 3 * 512**2
_WASTE = 0.25  # share of a batch that may be padding


class Batches:
    """Runs one session, one call at a time; several threads may share it.

    Args:
        session: a graph whose inputs and outputs begin with the batch axis, settings left aside.
        sizes: the batches it is given, among them 1. None takes those of `SIZES` that are not too
            large for a card where the graph's batch is free, and 1 where it is not, or on a CPU:
            there a batch costs what its parts cost, and memory besides.
    """

    def __init__(self, session: Session, sizes: Sequence[int] | None = None) -> None:
        self.session = session
        alone = not session.batchable or session.provider == CPU_NAME
        self._sizes = tuple(sizes or ((1,) if alone else _fitting(session)))
        self._lock = threading.Lock()

    @property
    def most(self) -> int:
        """The largest batch that the session is given."""
        return max(self._sizes)

    def run(self, *arrays: Tensor) -> Tensor:
        """The graph's first output for n >= 1 rows of each of its inputs, in the graph's order.

        What comes after the first output, as in published graphs of several, is not used here.
        An input that is a setting is no rows, and goes with each batch as it is.

        Raises:
            ValueError: a shape is not what the graph takes.
            RuntimeUnavailable: the provider failed, or the answers are not one to each row.
        """
        settings = [spec.is_setting for spec in self.session.inputs]
        count = len(arrays[settings.index(False)])
        result: Tensor | None = None
        start = 0
        for size in batches(count, self._sizes):
            stop = min(start + size, count)
            inputs = [
                array if is_setting else _padded(array[start:stop], size)
                for array, is_setting in zip(arrays, settings, strict=True)
            ]
            with self._lock:
                answer, *_ = self.session.run(*inputs)
            self._require_rows(answer, size)
            if result is None:
                result = np.empty((count, *answer.shape[1:]), np.float32)
            result[start:stop] = answer[: stop - start]
            start = stop
        if result is None:
            raise ValueError(f"{self.session.path.name} was given no rows.")
        return result

    def _require_rows(self, answer: Tensor, size: int) -> None:
        if answer.shape[:1] != (size,):
            raise RuntimeUnavailable(
                f"{self.session.path.name} was given a batch of {size}, and its output "
                f"{self.session.outputs[0].name} is of shape {answer.shape}, which does not begin "
                "with that number; bring a good copy with `faceswap-engine weights import PATH`."
            )


def _fitting(session: Session) -> Iterator[int]:
    numbers = max(prod(size or 1 for size in spec.shape[1:]) for spec in session.inputs)
    return (size for size in SIZES if size == 1 or size * numbers <= _MOST_NUMBERS)


def batches(count: int, sizes: Sequence[int]) -> Iterator[int]:
    """The sizes of the batches that `count` rows make; the last one may be padded a little."""
    while count > 0:
        enough = min((size for size in sizes if size >= count), default=None)
        if enough is not None and enough - count <= _WASTE * enough:
            yield enough
            return
        largest = max(size for size in sizes if size <= count)
        yield largest
        count -= largest


def _padded(rows: Tensor, size: int) -> Tensor:
    """The last row is repeated: a network may not take zeros for a picture."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
