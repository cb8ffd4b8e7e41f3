"""Choose among ONNX Runtime's execution providers, and try which of them run here."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Final

import numpy as np
from platformdirs import user_cache_path

from engine.errors import ParameterError, RuntimeUnavailable
from engine.options import Compute
from engine.runtime.distributions import RUNTIMES, Distribution, install, installed, pip
from engine.runtime.operator_model import operator_model

CPU_NAME: Final = "CPUExecutionProvider"
CUDA_NAME: Final = "CUDAExecutionProvider"
TENSORRT_NAME: Final = "TensorrtExecutionProvider"
FATAL_ONLY: Final = 4  # severity of ONNX Runtime's log

# A client for a remote service: it computes nothing here.
_REMOTE: Final = frozenset({"AzureExecutionProvider"})
_NO_CARD: Final = (
    "is there an NVIDIA card, and does its driver support this build's version of CUDA?"
)


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider by ONNX Runtime's name, with its options."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    def with_options(self, **values: str) -> Provider:
        """Return a copy with other values for those of the options that it has."""
        options = tuple((name, values.get(name, value)) for name, value in self.options)
        return replace(self, options=options)


CPU: Final = Provider(CPU_NAME)


def cuda(card: int = 0, vram: float | None = None) -> Provider:
    """Return CUDA on one card.

    Matrix products of fp32 run on the tensor cores as TF32: 8 bits of exponent, 10 of mantissa,
    sums in fp32.

    Args:
        card: Number of the card.
        vram: Bound of a session's memory arena in GiB; None for no bound.
    """
    options = {
        "device_id": str(card),
        # The exhaustive search tunes again for every new shape, and the default may choose slower
        # convolutions.
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        # Growing by powers of two takes up to twice the memory that is needed.
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",
        "use_tf32": "1",
    }
    if vram is not None:
        options["gpu_mem_limit"] = str(int(vram * 2**30))
    return Provider(CUDA_NAME, tuple(options.items()))


def tensorrt(compute: Compute) -> Provider:
    """Return TensorRT on the first card; its engines take minutes to build and are cached."""
    cache = str(user_cache_path("faceswap-engine", appauthor=False) / "tensorrt")
    return Provider(
        TENSORRT_NAME,
        (
            ("device_id", "0"),
            ("trt_engine_cache_enable", "1"),
            ("trt_engine_cache_path", cache),
            ("trt_timing_cache_enable", "1"),
            ("trt_timing_cache_path", cache),
            ("trt_fp16_enable", "1" if compute.precision == "fp16" else "0"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """Result of running a session on a provider; `detail` says why it failed."""

    provider: str
    works: bool
    detail: str = ""


def load_runtime(runtimes: Iterable[Distribution] | None = None) -> ModuleType:
    """Import and return `onnxruntime`, with its log and its telemetry off.

    Args:
        runtimes: The builds of ONNX Runtime; None looks for those that are installed.

    Raises:
        RuntimeUnavailable: No build is installed, several overwrite each other, or it cannot be
            loaded.
    """
    found = installed(RUNTIMES) if runtimes is None else tuple(runtimes)
    if len(found) > 1:
        names = [item.name for item in found]
        raise RuntimeUnavailable(
            f"Several builds of ONNX Runtime are installed over each other ({' '.join(names)}); "
            f"run `{pip('uninstall', '-y', *names)}` and then `{install('gpu')}` for NVIDIA cards, "
            f"else `{install('cpu')}`."
        )
    try:
        import onnxruntime  # noqa: PLC0415 - importing the engine must not need a runtime
    except ImportError as error:
        if not found:
            raise RuntimeUnavailable(
                f"ONNX Runtime is not installed; run `{install('cpu')}`, or `{install('gpu')}` "
                "for NVIDIA cards."
            ) from error
        raise RuntimeUnavailable(
            f"{found[0].name} {found[0].version} cannot be loaded ({error}); "
            f"reinstall it with `{pip('install', '--force-reinstall', found[0].name)}`."
        ) from error
    # Our errors replace its log.
    onnxruntime.set_default_logger_severity(FATAL_ONLY)
    # A caller that loaded it before us may have let it report; from here on it does not.
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def choose(
    compute: Compute, probe: Callable[[Provider], Probe] | None = None
) -> tuple[Provider, ...]:
    """Return the providers for a device and precision, the wanted one first.

    The device "auto" is CUDA if a session runs on it, else the CPU; at int8 it is the CPU, which
    those graphs are made for. CUDA is followed by the CPU for the few operators (mostly of shapes)
    that have no kernel for a card, and TensorRT by both.

    Args:
        compute: The device and the precision.
        probe: Tries a provider; None takes `probe_provider`.

    Raises:
        ParameterError: int8 was asked for on a card.
        RuntimeUnavailable: A card was asked for and does not work.
    """
    if compute.precision == "int8" and compute.device not in ("auto", "cpu"):
        raise ParameterError(
            f"precision is 'int8', which runs on the CPU only, and device is {compute.device!r}; "
            "allowed with it: auto, cpu. On a card, use fp16."
        )
    if compute.device == "cpu" or compute.precision == "int8":
        return (CPU,)
    kind, _, card = compute.device.partition(":")
    on_card = cuda(int(card or 0), compute.vram)
    wanted = (tensorrt(compute), on_card) if kind == "tensorrt" else (on_card,)
    for provider in wanted:
        result = (probe or probe_provider)(provider)
        if not result.works and compute.device == "auto":
            return (CPU,)
        if not result.works:
            raise RuntimeUnavailable(
                f"The device {compute.device} cannot be used: {result.detail} Run "
                "`faceswap-engine doctor` for details, or use the device cpu."
            )
    return (*wanted, CPU)


def without_fp16(providers: Iterable[Provider]) -> tuple[Provider, ...]:
    """Return the providers for a network that runs at fp32 while others run at fp16."""
    return tuple(provider.with_options(trt_fp16_enable="0") for provider in providers)


def without_tf32(providers: Iterable[Provider]) -> tuple[Provider, ...]:
    """Return the providers with exact fp32, neither fp16 nor TF32, as a reference."""
    return tuple(provider.with_options(use_tf32="0") for provider in without_fp16(providers))


def device_of(provider: Provider) -> str:
    """Return the device of a provider as users name it: "cpu", "cuda:1", "tensorrt"."""
    card = dict(provider.options).get("device_id", "0")
    if provider.name == CUDA_NAME:
        return "cuda" if card == "0" else f"cuda:{card}"
    return "tensorrt" if provider.name == TENSORRT_NAME else "cpu"


def probe_all() -> tuple[Probe, ...]:
    """Try every provider of the installed build."""
    runtime = load_runtime()
    names = [name for name in runtime.get_available_providers() if name not in _REMOTE]
    return tuple(probe_provider(Provider(name)) for name in names)


def probe_provider(provider: Provider) -> Probe:
    """Open and run a tiny session on a provider; a provider that is compiled in may still fail."""
    runtime, name = load_runtime(), provider.name
    if name not in runtime.get_available_providers():
        build = " and ".join(f"{item.name} {item.version}" for item in installed(RUNTIMES))
        return Probe(name, works=False, detail=f"{build} is built without {name}.")
    fault = preload(runtime) if name in (CUDA_NAME, TENSORRT_NAME) else ""
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    try:
        # A provider that cannot start would print and fall back to another.
        with contextlib.redirect_stdout(io.StringIO()):
            session = runtime.InferenceSession(
                operator_model("Relu", (np.float32,), np.float32, (1,)),
                options,
                providers=[(name, dict(provider.options))],
                enable_fallback=0,
            )
            session.run(None, {"a": np.zeros(1, np.float32)})
    except Exception as error:  # noqa: BLE001 - each provider fails in its own way
        return Probe(name, works=False, detail=f"{name} does not run: {_one_line(str(error))}")
    if session.get_providers()[0] != name:
        return Probe(name, works=False, detail=f"{name} cannot start: {fault or _NO_CARD}")
    return Probe(name, works=True)


def preload(runtime: ModuleType) -> str:
    """Load the CUDA libraries that pip installed; return a sentence on those that fail."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        runtime.preload_dlls()
    libraries = dict.fromkeys(re.findall(r"Failed to load (\S+):", output.getvalue()))
    if not libraries:
        return ""
    return (
        f"{', '.join(libraries)} cannot be loaded; `{install('gpu')}` brings the libraries of "
        "CUDA and cuDNN."
    )


def _one_line(text: str, limit: int = 300) -> str:
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
