"""Trials of changed graphs: do they load, do they run, and are their answers the original's?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import RuntimeUnavailable, WeightsCorrupt
from engine.runtime.providers import CPU, Provider
from engine.runtime.session import Session, Tensor, TensorSpec
from engine.weights.manifest import InputSpec

_Inputs: TypeAlias = Sequence[NDArray[Any]]  # of a graph, in its order

# Of the largest answer, or of 1 where all are smaller: half precision rounds otherwise in another
# batch, and pictures that know of each other differ by far more.
BATCH_BOUND: Final = 1e-2
_EQUAL = 200.0  # dB, of answers that do not differ


class RefusedError(Exception):
    """A graph cannot be changed, or what came of it did not pass its trial."""


class UndecidedError(Exception):
    """A trial was cut off by what may be the graph's fault or the machine's, as for memory."""


def opened(path: Path, providers: Sequence[Provider]) -> Session:
    """A session on a changed graph; that it does not load is a reason to refuse it."""
    try:
        return Session(path, providers)
    except WeightsCorrupt as error:
        raise RefusedError(f"the changed graph does not load: {_line(error)}") from error


def same_alone(original: Session, freed: Session, spec: InputSpec) -> None:
    """Refuses a graph whose answers to two pictures at once differ from those to each alone.

    Of several outputs the first is what is used, and looked at. `original` says what it should
    answer to each; it may be the same graph.

    Raises:
        RefusedError: they differ, or the graph cannot answer two.
        UndecidedError: two at once were not answered this time.
        RuntimeUnavailable: `original` cannot be run.
    """
    pair = _pair(original.inputs, spec)
    together = _together(pair)
    try:
        found = freed.run(*together)
    except RuntimeUnavailable as error:
        # What answers one on the CPU, but not two, is the same everywhere and at any time.
        if _runs_on_cpu(freed.path, pair[0]) and not _runs_on_cpu(freed.path, together):
            raise RefusedError(f"two at once do not run: {_line(error)}") from error
        raise UndecidedError(f"two at once did not run this time: {_line(error)}") from error
    output, expected, answer = original.outputs[0], _of_each(original, pair), found[0]
    _require_shape(output.name, expected, answer)
    bound = BATCH_BOUND * max(1.0, float(np.abs(expected).max(initial=0)))
    apart = float(np.abs(answer - expected).max(initial=0))
    if not apart <= bound:  # NaN included
        raise RefusedError(
            f"in two pictures at once, {output.name} differs by {apart:.2g} from what each "
            f"gives alone (at most {bound:.2g} may be)."
        )


def close(exact: Session, half: Session, spec: InputSpec, *, least: float, alone: bool) -> float:
    """The PSNR of a graph of half precision, in dB: see `likeness`, which it raises as.

    It is given one picture and, unless it is to be run `alone`, two at once; `exact` is given one
    at a time.
    """
    pair = _pair(exact.inputs, spec)
    answers = [(exact.run(*pair[0])[:1], half.run(*pair[0])[:1])]
    if half.batchable and not alone:
        answers.append(([_of_each(exact, pair)], half.run(*_together(pair))[:1]))
    return likeness(exact.outputs[:1], answers, least=least)


def likeness(
    outputs: Sequence[TensorSpec],
    answers: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]],
    *,
    least: float,
) -> float:
    """The PSNR of a changed graph's answers, in dB, of the output that is furthest off.

    `answers` are pairs of the original's answers, whose range is the peak, and the changed graph's
    to the same inputs.

    Raises:
        RefusedError: it is below `least`, or an answer is not finite or of another shape.
    """
    gaps = [_Gap(output.name) for output in outputs]
    for originals, changed in answers:
        for gap, expected, answer in zip(gaps, originals, changed, strict=True):
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
        _require_shape(self.output, expected, answer)
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


def _require_shape(output: str, expected: Tensor, answer: Tensor) -> None:
    if answer.shape != expected.shape:
        raise RefusedError(f"{output} is of shape {answer.shape}, not {expected.shape}.")


def _runs_on_cpu(path: Path, sample: _Inputs) -> bool:
    try:
        Session(path, (CPU,)).run(*sample)
    except (RuntimeUnavailable, WeightsCorrupt):
        return False
    return True


def _of_each(session: Session, samples: Sequence[_Inputs]) -> Tensor:
    """The first outputs for samples that are given one by one, put together."""
    return np.concatenate([np.atleast_1d(session.run(*sample)[0]) for sample in samples])


def _together(samples: Sequence[_Inputs]) -> list[NDArray[Any]]:
    """One sample of several rows; settings are the first one's."""
    return [
        np.concatenate(rows) if rows[0].ndim > 1 else rows[0] for rows in zip(*samples, strict=True)
    ]


def _pair(inputs: Sequence[TensorSpec], spec: InputSpec) -> list[list[NDArray[Any]]]:
    """Two pictures, and what else the graph takes, as the network would be given them."""
    return [
        [_example(tensor, spec, generator) for tensor in inputs]
        for generator in map(np.random.default_rng, (1, 2))
    ]


def _example(tensor: TensorSpec, spec: InputSpec, generator: np.random.Generator) -> NDArray[Any]:
    # Sides that are free are those of a detector's picture.
    side = spec.size or 8 * spec.multiple
    shape = [size or (side if axis else 1) for axis, size in enumerate(tensor.shape)]
    example: NDArray[Any]
    if len(shape) == 4:
        across = (3, 1, 1) if spec.layout == "NCHW" else (3,)
        mean, std = (np.reshape(triple, across) for triple in (spec.mean, spec.std))
        example = (generator.uniform(0, 255, shape) - mean) / std
    elif len(shape) == 2:
        vectors = generator.normal(size=shape)
        example = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    else:
        example = np.full(shape, 0.5)
    return example.astype(tensor.dtype)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
