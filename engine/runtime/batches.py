"""Run any number of inputs through a network, in batches of a few fixed sizes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from math import prod
from typing import Final

import numpy as np

from engine.errors import RuntimeUnavailable
from engine.runtime.providers import CPU_NAME
from engine.runtime.session import Session, Tensor

# Few and fixed, as every new shape is tuned and allocated again.
SIZES: Final = (1, 2, 4, 8, 16)
# Of each input in a batch: sixteen pictures of 512 x 512, whose activations take a hundred times
# as much of a card's memory.
_MAX_NUMBERS: Final = 16 * 3 * 512**2
_MAX_PADDING: Final = 0.25  # share of a batch


class Batches:
    """Runs one session, one call at a time; threads may share it.

    Args:
        session: A graph whose inputs, scalar ones excepted, and outputs begin with the batch axis.
        sizes: The batch sizes, 1 among them. None takes those of `SIZES` that fit the memory of a
            card. On a CPU, where batches gain nothing and take memory, and for a graph without a
            dynamic batch axis, that is 1 alone.
    """

    def __init__(self, session: Session, sizes: Sequence[int] | None = None) -> None:
        self.session = session
        single = not session.batchable or session.provider == CPU_NAME
        self._sizes = tuple(sizes or ((1,) if single else _fitting_sizes(session)))
        self._lock = threading.Lock()

    @property
    def max_size(self) -> int:
        """The largest batch size."""
        return max(self._sizes)

    def run(self, *arrays: Tensor) -> Tensor:
        """Return the graph's first output for all rows; further outputs are not used.

        Args:
            arrays: The graph's inputs in its order, n >= 1 rows of each. A scalar input is passed
                to each batch as it is.

        Raises:
            ValueError: A shape is not what the graph takes.
            RuntimeUnavailable: The provider failed, or the output has not one row for each input.
        """
        scalars = [spec.is_scalar for spec in self.session.inputs]
        count = len(arrays[scalars.index(False)])
        result: Tensor | None = None
        start = 0
        for size in batch_sizes(count, self._sizes):
            stop = min(start + size, count)
            inputs = [
                array if is_scalar else _pad(array[start:stop], size)
                for array, is_scalar in zip(arrays, scalars, strict=True)
            ]
            with self._lock:
                output, *_ = self.session.run(*inputs)
            self._require_rows(output, size)
            if result is None:
                result = np.empty((count, *output.shape[1:]), np.float32)
            result[start:stop] = output[: stop - start]
            start = stop
        if result is None:
            raise ValueError(f"{self.session.path.name} was given no rows.")
        return result

    def _require_rows(self, output: Tensor, size: int) -> None:
        if output.shape[:1] != (size,):
            raise RuntimeUnavailable(
                f"{self.session.path.name} was given a batch of {size}, and its output "
                f"{self.session.outputs[0].name} is of shape {output.shape}, which does not begin "
                "with that number; bring a good copy with `faceswap-engine weights import PATH`."
            )


def _fitting_sizes(session: Session) -> Iterator[int]:
    numbers = max(prod(size or 1 for size in spec.shape[1:]) for spec in session.inputs)
    return (size for size in SIZES if size == 1 or size * numbers <= _MAX_NUMBERS)


def batch_sizes(count: int, sizes: Sequence[int]) -> Iterator[int]:
    """Yield the sizes of the batches for `count` rows; the last batch may need some padding."""
    while count > 0:
        enough = min((size for size in sizes if size >= count), default=None)
        if enough is not None and enough - count <= _MAX_PADDING * enough:
            yield enough
            return
        largest = max(size for size in sizes if size <= count)
        yield largest
        count -= largest


def _pad(rows: Tensor, size: int) -> Tensor:
    """Repeat the last row, as a network may not take zeros for a picture."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
