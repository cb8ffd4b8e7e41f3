"""Which of ONNX Runtime's execution providers can truly run here, and which to use."""

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
from engine.runtime.protobuf import FLOAT, one_operator

CPU_NAME: Final = "CPUExecutionProvider"
CUDA_NAME: Final = "CUDAExecutionProvider"
TENSORRT_NAME: Final = "TensorrtExecutionProvider"

# A client for a remote service: it computes nothing here.
_REMOTE = frozenset({"AzureExecutionProvider"})
_FATAL_ONLY = 4
_NO_CARD = "is there an NVIDIA card, and does its driver suit this build's version of CUDA?"


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider by ONNX Runtime's name, with its options."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    def with_options(self, **values: str) -> Provider:
        """The same with other values of those options that it has."""
        options = tuple((name, values.get(name, value)) for name, value in self.options)
        return replace(self, options=options)


CPU: Final = Provider(CPU_NAME)


def cuda(card: int = 0, vram: float | None = None) -> Provider:
    """CUDA on one card; `vram` bounds what one session's arena takes of it, in GiB.

    Products of fp32 matrices run on the tensor cores as TF32: 8 bits of exponent, 10 of mantissa,
    sums in fp32.
    """
    options = {
        "device_id": str(card),
        # The exhaustive search tunes anew at every new shape, and the default one may pick
        # convolutions that are slower.
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        # By powers of two, an arena would take up to twice what it needs.
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",
        "use_tf32": "1",
    }
    if vram is not None:
        options["gpu_mem_limit"] = str(int(vram * 2**30))
    return Provider(CUDA_NAME, tuple(options.items()))


def tensorrt(compute: Compute) -> Provider:
    """TensorRT on the first card; its engines, minutes to build, are kept between runs."""
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


CUDA: Final = cuda()


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a session truly ran on a provider; `detail` says why not."""

    provider: str
    works: bool
    detail: str = ""


def load_runtime(runtimes: Iterable[Distribution] | None = None) -> ModuleType:
    """The module `onnxruntime`, kept from printing; `runtimes` default to the installed ones.

    Raises:
        RuntimeUnavailable: there is none, several overwrite each other, or it cannot be loaded.
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
    # What its log would say is said by our errors.
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    # Where the caller loaded it before us, it may report already; from here on, it does not.
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def choose(
    compute: Compute, probe: Callable[[Provider], Probe] | None = None
) -> tuple[Provider, ...]:
    """The providers for what was asked, the wanted one first.

    `auto` is CUDA where a session truly runs on it, else the CPU. After CUDA comes the CPU, for
    the few operators (of shapes, mostly) that have no place on a card, and after TensorRT come
    both. At "int8", `auto` is the CPU: such graphs are made for it.

    Raises:
        ParameterError: int8 was asked for on a card.
        RuntimeUnavailable: a card was asked for and does not work.
    """
    if compute.precision == "int8" and compute.device not in ("auto", "cpu"):
        raise ParameterError(
            f"precision is 'int8', which is for the CPU alone, and device is {compute.device!r}; "
            "allowed with it: auto, cpu. On a card, fp16 is the fast one."
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
                "`faceswap-engine doctor` for the whole picture, or use the device cpu."
            )
    return (*wanted, CPU)


def single(chosen: Iterable[Provider]) -> tuple[Provider, ...]:
    """The same providers for a network that is not to be halved, whatever was asked of others."""
    return tuple(provider.with_options(trt_fp16_enable="0") for provider in chosen)


def reference(chosen: Iterable[Provider]) -> tuple[Provider, ...]:
    """The same providers where fp32 is fp32, and no TF32: what other graphs are measured by."""
    return tuple(provider.with_options(use_tf32="0") for provider in single(chosen))


def device_of(provider: Provider) -> str:
    """The device that a provider stands for, as one asks for it."""
    card = dict(provider.options).get("device_id", "0")
    if provider.name == CUDA_NAME:
        return "cuda" if card == "0" else f"cuda:{card}"
    return "tensorrt" if provider.name == TENSORRT_NAME else "cpu"


def probe() -> tuple[Probe, ...]:
    """What comes of making and running a tiny session on each provider of the installed build."""
    runtime = load_runtime()
    names = [name for name in runtime.get_available_providers() if name not in _REMOTE]
    return tuple(probe_provider(Provider(name)) for name in names)


def probe_provider(provider: Provider) -> Probe:
    """Makes and runs a tiny session on one provider; being compiled in proves nothing."""
    runtime, name = load_runtime(), provider.name
    if name not in runtime.get_available_providers():
        build = " and ".join(f"{item.name} {item.version}" for item in installed(RUNTIMES))
        return Probe(name, works=False, detail=f"{build} is built without {name}.")
    said = preload(runtime) if name in (CUDA_NAME, TENSORRT_NAME) else ""
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    try:
        # A provider that cannot start may print and fall back; both are kept out.
        with contextlib.redirect_stdout(io.StringIO()):
            session = runtime.InferenceSession(
                one_operator("Relu", (FLOAT,), FLOAT, (1,)),
                options,
                providers=[(name, dict(provider.options))],
                enable_fallback=0,
            )
            session.run(None, {"a": np.zeros(1, np.float32)})
    except Exception as error:  # noqa: BLE001 - each provider fails in its own way
        return Probe(name, works=False, detail=f"{name} does not run: {_line(str(error))}")
    if session.get_providers()[0] != name:
        return Probe(name, works=False, detail=f"{name} cannot start: {said or _NO_CARD}")
    return Probe(name, works=True)


def preload(runtime: ModuleType) -> str:
    """Loads the CUDA libraries that pip installed; returns a sentence on those it cannot load."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        runtime.preload_dlls()
    libraries = dict.fromkeys(re.findall(r"Failed to load (\S+):", said.getvalue()))
    if not libraries:
        return ""
    return (
        f"{', '.join(libraries)} cannot be loaded; `{install('gpu')}` brings the libraries of "
        "CUDA and cuDNN."
    )


def _line(text: str, limit: int = 300) -> str:
    """The text on one line, cut short."""
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
