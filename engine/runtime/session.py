"""Sessions: networks that ONNX Runtime has loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import RuntimeUnavailable, WeightsCorrupt, WeightsMissing
from engine.runtime.providers import (
    CPU,
    CUDA_NAME,
    FATAL_ONLY,
    TENSORRT_NAME,
    Provider,
    load_runtime,
    preload,
)

Tensor: TypeAlias = NDArray[np.float32]

# The networks are small: more threads would wait for each other.
_MAX_THREADS = 8
# Operators that do nearly all the arithmetic of a network.
_HEAVY_OPERATORS = frozenset(
    {"Conv", "ConvTranspose", "FusedConv", "FusedMatMul", "Gemm", "MatMul"}
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a graph; None in the shape stands for a dynamic axis."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def is_scalar(self) -> bool:
        """True for one number for the whole batch, such as CodeFormer's fidelity."""
        return len(self.shape) < 2


class Session:
    """Runs one ONNX graph; `run` may be called from several threads at once.

    Args:
        path: The ONNX file.
        providers: The wanted provider first; see `engine.runtime.providers.choose`.
        threads: Threads of one run on the CPU; None takes the cores of this process, at most 8.

    Raises:
        WeightsMissing: There is no such file.
        WeightsCorrupt: ONNX Runtime cannot load the file.
        RuntimeUnavailable: ONNX Runtime is missing, it fell back to another provider than the
            first, or the network's matrix products would run on the CPU instead of the card.
    """

    def __init__(
        self, path: Path, providers: Sequence[Provider] = (CPU,), *, threads: int | None = None
    ) -> None:
        if not path.is_file():
            raise WeightsMissing(f"There is no weight file {path}; see weights/README.md.")
        runtime = load_runtime()
        built = runtime.get_available_providers()
        if providers[0].name not in built:
            raise RuntimeUnavailable(
                f"{path.name} was to run on {providers[0].name}, but the installed ONNX Runtime "
                f"has only {', '.join(built)}; run `faceswap-engine doctor`, or use the device cpu."
            )
        if providers[0].name in (CUDA_NAME, TENSORRT_NAME):
            preload(runtime)
        self.path = path
        self._session = _open(runtime, path, providers, threads or min(cores(), _MAX_THREADS))
        self.provider: str = self._session.get_providers()[0]
        if self.provider != providers[0].name:
            raise RuntimeUnavailable(
                f"{path.name} was to run on {providers[0].name}, but only {self.provider} could "
                "be started; run `faceswap-engine doctor`, or use the device cpu."
            )
        if providers[0] != CPU:
            _require_heavy_on_card(path, self._session.get_provider_graph_assignment_info())
        self.inputs, self.outputs = _signature(self._session, str(path))

    @property
    def batchable(self) -> bool:
        """True if the first axis of every input, scalar ones excepted, is a dynamic batch axis."""
        return all(spec.shape[0] is None for spec in self.inputs if not spec.is_scalar)

    def run(self, *arrays: Tensor) -> list[Tensor]:
        """Return the graph's outputs in its order, for its inputs in its order.

        Raises:
            ValueError: The number of arrays or a shape is not what the graph takes.
            RuntimeUnavailable: The provider failed, for example for lack of memory.
        """
        if len(arrays) != len(self.inputs):
            names = ", ".join(spec.name for spec in self.inputs)
            raise ValueError(
                f"{self.path.name} takes {names}, but {len(arrays)} arrays were given."
            )
        for spec, array in zip(self.inputs, arrays, strict=True):
            _require_shape(self.path.name, spec, array)
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        try:
            outputs: list[Tensor] = self._session.run(None, feed)
        except Exception as error:
            raise RuntimeUnavailable(
                f"{self.path.name} failed on {self.provider}: {error}"
            ) from error
        return outputs


def read_signature(
    path: Path, called: str = ""
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and outputs of a file's graph, without optimising it.

    Args:
        path: The ONNX file.
        called: The file's name to its user; "" for its path.

    Raises:
        WeightsCorrupt: ONNX Runtime cannot load the file.
        RuntimeUnavailable: ONNX Runtime is missing.
    """
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        # With its fallback it would print an error, and load the file again.
        session = runtime.InferenceSession(
            str(path), options, providers=[CPU.name], enable_fallback=0
        )
    except Exception as error:
        raise WeightsCorrupt(
            f"ONNX Runtime {runtime.__version__} cannot load {called or path}: "
            f"{' '.join(str(error).split())} Bring a good copy of it, or update ONNX Runtime."
        ) from error
    return _signature(session, called or str(path))


def _signature(session: Any, called: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and outputs of ONNX Runtime's session.

    Raises:
        WeightsCorrupt: A name in the file is not UTF-8.
    """
    try:
        inputs = tuple(_spec(value) for value in session.get_inputs())
        return inputs, tuple(_spec(value) for value in session.get_outputs())
    except UnicodeDecodeError as error:
        raise WeightsCorrupt(
            f"{called} is damaged: a name in it is not UTF-8 ({error.reason}); copy it again."
        ) from error


def _loads_on_cpu(runtime: Any, path: Path) -> bool:
    """Tell whether the provider is at fault, not the file."""
    try:
        runtime.InferenceSession(str(path), providers=[CPU.name], enable_fallback=0)
    except Exception:  # noqa: BLE001 - ONNX Runtime's errors share no base class
        return False
    return True


def _open(runtime: Any, path: Path, providers: Sequence[Provider], threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the cores from the decoder, the warps and the encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if providers[0] != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        return runtime.InferenceSession(
            str(path),
            options,
            providers=[(provider.name, dict(provider.options)) for provider in providers],
            enable_fallback=0,
        )
    except Exception as error:
        if providers[0] != CPU and _loads_on_cpu(runtime, path):
            raise RuntimeUnavailable(
                f"{path.name} cannot start on {providers[0].name}: {error}"
            ) from error
        raise WeightsCorrupt(
            f"ONNX Runtime cannot load {path}: {error}; bring a good copy with "
            "`faceswap-engine weights import PATH`."
        ) from error


def _require_heavy_on_card(path: Path, parts: Sequence[Any]) -> None:
    """Raise if heavy operators were assigned to the CPU although a card was chosen."""
    operators = sorted(
        {
            node.op_type
            for part in parts
            if part.ep_name == CPU.name
            for node in part.get_nodes()
            if node.op_type in _HEAVY_OPERATORS
        }
    )
    if operators:
        raise RuntimeUnavailable(
            f"{path.name} would run its {', '.join(operators)} on the CPU, as the card's provider "
            "does not support them; use the device cpu."
        )


def cores() -> int:
    """Return the number of cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _spec(value: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    # ONNX Runtime writes "tensor(float)" for numpy's "float32".
    kind = str(value.type).removeprefix("tensor(").removesuffix(")")
    return TensorSpec(value.name, shape, {"float": "float32", "double": "float64"}.get(kind, kind))


def describe_shape(shape: Sequence[int | None]) -> str:
    """Return a shape in words: (None, 3) is "(any, 3)"."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _require_shape(network: str, spec: TensorSpec, array: Tensor) -> None:
    fits = len(array.shape) == len(spec.shape) and all(
        wanted in (None, size) for wanted, size in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{network} takes {spec.name} of shape {describe_shape(spec.shape)}, but was given "
            f"{array.shape}."
        )
