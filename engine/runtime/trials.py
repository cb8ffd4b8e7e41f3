"""Trials of changed graphs: do they load, do they run, and are their answers the original's?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import RuntimeUnavailable, WeightsCorrupt
from engine.runtime.providers import Provider
from engine.runtime.session import Session, Tensor

_EQUAL = 200.0  # dB, of answers that do not differ


class RefusedError(Exception):
    """A graph cannot be changed, or what came of it did not pass its trial."""


def opened(path: Path, providers: Sequence[Provider]) -> Session:
    """A session on a changed graph; that it does not load is a reason to refuse it."""
    try:
        return Session(path, providers)
    except WeightsCorrupt as error:
        raise RefusedError(f"the changed graph does not load: {_line(error)}") from error


def answers(session: Session, arrays: Sequence[NDArray[Any]]) -> list[Tensor]:
    """What a changed graph gives; that it does not run is a reason to refuse it."""
    try:
        return session.run(*arrays)
    except RuntimeUnavailable as error:
        raise RefusedError(f"the changed graph does not run: {_line(error)}") from error


def likeness(
    exact: Session, changed: Session, samples: Iterable[Sequence[NDArray[Any]]], *, least: float
) -> float:
    """The PSNR of a changed graph's answers to samples, in dB, of the output that is furthest off.

    Its peak is the range of the original's answers; each sample holds the inputs in the graph's
    order.

    Raises:
        RefusedError: it is below `least`, or an answer is not finite.
    """
    gaps = [_Gap(output.name) for output in exact.outputs]
    for sample in samples:
        for gap, expected, answer in zip(
            gaps, exact.run(*sample), answers(changed, sample), strict=True
        ):
            gap.add(expected, answer)
    furthest = min(gaps, key=lambda gap: gap.psnr)
    if not furthest.psnr >= least:  # NaN included
        raise RefusedError(
            f"{furthest.output} is {furthest.psnr:.1f} dB from single precision ({least:.0f} dB is "
            "the least)."
        )
    return furthest.psnr


@dataclass(slots=True)
class _Gap:
    """How far the answers of one output are from what was expected."""

    output: str
    squares: float = 0.0
    count: int = 0
    low: float = np.inf
    high: float = -np.inf

    def add(self, expected: Tensor, answer: Tensor) -> None:
        apart = np.subtract(answer, expected, dtype=np.float64)
        if not np.isfinite(apart).all():
            raise RefusedError(f"{self.output} is not finite.")
        self.squares += float(np.square(apart).sum())
        self.count += expected.size
        self.low = min(self.low, float(expected.min()))
        self.high = max(self.high, float(expected.max()))

    @property
    def psnr(self) -> float:
        peak = (self.high - self.low) or 1.0
        error = self.squares / self.count
        return min(10 * float(np.log10(peak**2 / error)), _EQUAL) if error else _EQUAL


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
