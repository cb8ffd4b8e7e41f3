"""Validation of changed graphs against the original, and a cache of the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import RuntimeUnavailable, WeightsCorrupt
from engine.runtime.providers import CPU, Provider
from engine.runtime.session import Session, Tensor, TensorSpec
from engine.weights.atomic_files import atomic_replacement, sha256_of
from engine.weights.manifest import InputSpec

_Inputs: TypeAlias = Sequence[NDArray[Any]]  # of a graph, in its order

# Share of the largest output, or of 1 if all are smaller. Half precision rounds differently in
# another batch; pictures that influence each other differ by far more.
BATCH_TOLERANCE: Final = 1e-2
_MAX_PSNR: Final = 200.0  # dB, of equal outputs


class RefusedError(Exception):
    """A graph cannot be changed, or the changed graph failed its validation."""


class UndecidedError(Exception):
    """A validation failed for lack of memory or a similar fault, perhaps of the machine."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The sha256 of a file that passed its validation, or "" and the reason why it failed."""

    sha256: str
    reason: str = ""


def validate_once(file: Path, record: Path, validate: Callable[[], None]) -> ValidationResult:
    """Return the cached result of a validation, or validate and cache the result.

    The validation is repeated if the file has changed since, or if it was undecided. Errors other
    than `RefusedError` and `UndecidedError` are not caught.

    Args:
        file: The file; `validate` may write it.
        record: The file of the cached result.
        validate: Raises `RefusedError` or `UndecidedError` if the file is not to be used.
    """
    cached = read_result(record)
    if cached and (not cached.sha256 or (file.is_file() and sha256_of(file) == cached.sha256)):
        return cached
    try:
        validate()
        result = ValidationResult(sha256_of(file))
    except UndecidedError as error:
        return ValidationResult("", str(error))
    except RefusedError as error:
        result = ValidationResult("", str(error))
    write_result(record, result)
    return result


def write_result(record: Path, result: ValidationResult) -> None:
    """Cache a result.

    Raises:
        WeightsError: The file cannot be written.
    """
    with atomic_replacement(record) as file:
        file.write_text(json.dumps(asdict(result)) + "\n", "utf-8")


def read_result(record: Path) -> ValidationResult | None:
    """Return a cached result; None if there is none or it cannot be read."""
    try:
        fields = json.loads(record.read_text("utf-8"))
        result = ValidationResult(str(fields["sha256"]), str(fields["reason"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return result if result.sha256 or result.reason else None


def open_changed(path: Path, providers: Sequence[Provider]) -> Session:
    """Open a session on a changed graph.

    Raises:
        RefusedError: ONNX Runtime cannot load it.
        RuntimeUnavailable: The provider failed.
    """
    try:
        return Session(path, providers)
    except WeightsCorrupt as error:
        raise RefusedError(f"the changed graph does not load: {_one_line(error)}") from error


def require_independent_rows(original: Session, changed: Session, spec: InputSpec) -> None:
    """Raise unless the outputs of a batch of two are those of its pictures one by one.

    Only the first output is used, and compared. `original`, which may be the same graph, is given
    the pictures one by one.

    Raises:
        RefusedError: The outputs differ, or the graph cannot run a batch of two.
        UndecidedError: The batch of two failed, this time at least.
        RuntimeUnavailable: `original` cannot be run.
    """
    pair = _random_pair(original.inputs, spec)
    batch = _concatenate(pair)
    try:
        found = changed.run(*batch)
    except RuntimeUnavailable as error:
        # If the CPU can run one and not two, the graph is at fault, not the machine.
        if _runs_on_cpu(changed.path, pair[0]) and not _runs_on_cpu(changed.path, batch):
            raise RefusedError(f"a batch of two does not run: {_one_line(error)}") from error
        raise UndecidedError(f"a batch of two did not run this time: {_one_line(error)}") from error
    name, expected, output = original.outputs[0].name, _run_one_by_one(original, pair), found[0]
    _require_shape(name, expected, output)
    bound = BATCH_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
    difference = float(np.abs(output - expected).max(initial=0))
    if not difference <= bound:  # also for NaN
        raise RefusedError(
            f"in a batch of two, {name} differs by {difference:.2g} from its value at batch size "
            f"1 (at most {bound:.2g} is allowed)."
        )


def require_close(
    original: Session, half: Session, spec: InputSpec, *, min_psnr: float, single: bool
) -> float:
    """Return the PSNR of a half-precision graph in dB; raises as `require_psnr` does.

    The graph is given one picture and, unless `single`, a batch of two; `original` is given the
    pictures one by one.
    """
    pair = _random_pair(original.inputs, spec)
    outputs = [(original.run(*pair[0])[:1], half.run(*pair[0])[:1])]
    if half.batchable and not single:
        batch = half.run(*_concatenate(pair))[:1]
        outputs.append(([_run_one_by_one(original, pair)], batch))
    return require_psnr(original.outputs[:1], outputs, min_psnr=min_psnr)


def require_psnr(
    specs: Sequence[TensorSpec],
    outputs: Iterable[tuple[Sequence[Tensor], Sequence[Tensor]]],
    *,
    min_psnr: float,
) -> float:
    """Return the PSNR in dB of the output that differs most.

    Args:
        specs: The graph's outputs.
        outputs: Pairs of the original's outputs, whose range is the peak, and the changed graph's
            for the same inputs.
        min_psnr: The bound in dB.

    Raises:
        RefusedError: The PSNR is below the bound, or an output is not finite or of another shape.
    """
    errors = [_OutputError(spec.name) for spec in specs]
    for expected_outputs, changed_outputs in outputs:
        for error, expected, output in zip(errors, expected_outputs, changed_outputs, strict=True):
            error.add(expected, output)
    largest = min(errors, key=lambda error: error.psnr)
    if not largest.psnr >= min_psnr:  # also for NaN
        raise RefusedError(
            f"{largest.output} is {largest.psnr:.1f} dB from single precision ({min_psnr:.0f} dB "
            "is the least)."
        )
    return largest.psnr


@dataclass(slots=True)
class _OutputError:
    """Sum of squared errors of one output, and the range of its expected values."""

    output: str
    squares: float = 0.0
    count: int = 0
    low: float = np.inf
    high: float = -np.inf

    def add(self, expected: Tensor, output: Tensor) -> None:
        _require_shape(self.output, expected, output)
        difference = np.subtract(output, expected, dtype=np.float64)
        if not np.isfinite(difference).all():
            raise RefusedError(f"{self.output} is not finite.")
        self.squares += float(np.square(difference).sum())
        self.count += expected.size
        self.low = min(self.low, float(expected.min()))
        self.high = max(self.high, float(expected.max()))

    @property
    def psnr(self) -> float:
        peak = (self.high - self.low) or 1.0
        mean = self.squares / self.count
        return min(10 * float(np.log10(peak**2 / mean)), _MAX_PSNR) if mean else _MAX_PSNR


def _require_shape(name: str, expected: Tensor, output: Tensor) -> None:
    if output.shape != expected.shape:
        raise RefusedError(f"{name} is of shape {output.shape}, not {expected.shape}.")


def _runs_on_cpu(path: Path, inputs: _Inputs) -> bool:
    try:
        Session(path, (CPU,)).run(*inputs)
    except (RuntimeUnavailable, WeightsCorrupt):
        return False
    return True


def _run_one_by_one(session: Session, samples: Sequence[_Inputs]) -> Tensor:
    """Return the first outputs of batches of one, concatenated."""
    return np.concatenate([np.atleast_1d(session.run(*sample)[0]) for sample in samples])


def _concatenate(samples: Sequence[_Inputs]) -> list[NDArray[Any]]:
    """Return one batch of several samples, with the scalar inputs of the first one."""
    return [
        np.concatenate(rows) if rows[0].ndim > 1 else rows[0] for rows in zip(*samples, strict=True)
    ]


def _random_pair(inputs: Sequence[TensorSpec], spec: InputSpec) -> list[list[NDArray[Any]]]:
    """Return two samples of random values for all inputs, in the ranges that the network takes."""
    return [
        [_random_input(tensor, spec, generator) for tensor in inputs]
        for generator in map(np.random.default_rng, (1, 2))
    ]


def _random_input(
    tensor: TensorSpec, spec: InputSpec, generator: np.random.Generator
) -> NDArray[Any]:
    # Dynamic sides are those of a detector's picture.
    side = spec.size or 8 * spec.multiple
    shape = [size or (side if axis else 1) for axis, size in enumerate(tensor.shape)]
    values: NDArray[Any]
    if len(shape) == 4:
        across = (3, 1, 1) if spec.layout == "NCHW" else (3,)
        mean, std = (np.reshape(triple, across) for triple in (spec.mean, spec.std))
        values = (generator.uniform(0, 255, shape) - mean) / std
    elif len(shape) == 2:
        vectors = generator.normal(size=shape)
        values = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    else:
        values = np.full(shape, 0.5)
    return values.astype(tensor.dtype)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
