"""Examine this machine for the command `doctor`; each broken finding has a remedy where known."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.errors import EngineError, ProcessDied
from engine.runtime.distributions import RUNTIMES, Distribution, install, installed, pip

if TYPE_CHECKING:  # at run time imported inside the checks, as they may fail to load
    from engine.jobs.process import ReportProgress
    from engine.weights.manifest import Weight
    from engine.weights.weight_store import WeightStore

State: TypeAlias = Literal["ok", "note", "broken"]

_OPENCVS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
_MIN_SPEED = 1.5  # times fp32, from which int8 is worth its calibration
# Called in a child process, which may crash.
_RUN_STEP, _LIST_ENCODERS = (
    "engine.doctor.selftest:run_step",
    "engine.doctor.examine:list_working_encoders",
)
_CUDA_EXTRAS = "onnxruntime-gpu[cuda,cudnn]"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    Attributes:
        subject: the part that was checked.
        state: "ok", "note" (works without it) or "broken".
        detail: what was found.
        remedy: how to repair it, as a shell command where there is one.
    """

    subject: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Yield all findings; a check that raises yields a broken finding."""
    yield check_python(sys.version_info[:3])
    yield check_single_build("ONNX Runtime", installed(RUNTIMES), prefer="onnxruntime-gpu")
    yield check_single_build("OpenCV", installed(_OPENCVS), prefer=_OPENCVS[0])
    for subject, check in (
        ("Providers", check_providers),
        ("Device", check_auto_device),
        ("Int8", check_int8),
        ("Encoders", check_encoders),
        ("Self-test", check_swap),
        ("Prepared networks", check_prepared_networks),
        ("Weights", check_weights),
    ):
        yield from _catch_errors(subject, check())


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Return True if no finding is broken."""
    return all(finding.state != "broken" for finding in findings)


def check_python(version: tuple[int, int, int]) -> Finding:
    """Check the version of Python; 3.11 is the minimum."""
    detail = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version < (3, 11):
        return Finding("Python", "broken", detail, "Install Python 3.11 or newer.")
    return Finding("Python", "ok", f"{detail}, {sys.executable}")


def check_single_build(subject: str, builds: Sequence[Distribution], *, prefer: str) -> Finding:
    """Check that exactly one of several distributions with the same package folder is installed.

    With two of them, the files of the last one installed are used, and removing one removes files
    of the other. The remedy uninstalls all and installs the preferred one (or the first) again.

    Args:
        subject: subject of the finding.
        builds: the installed distributions.
        prefer: name of the distribution to keep.
    """
    if not builds:
        return Finding(subject, "broken", "not installed", pip("install", _requirement(prefer)))
    detail = ", ".join(f"{build.name} {build.version}" for build in builds)
    if len(builds) == 1:
        return Finding(subject, "ok", detail)
    kept = next((build for build in builds if build.name == prefer), builds[0])
    remove = pip("uninstall", "-y", *(build.name for build in builds))
    again = pip("install", f"{_requirement(kept.name)}=={kept.version}")
    return Finding(
        subject,
        "broken",
        f"builds that overwrite each other: {detail}",
        f"{remove} && {again}",
    )


def check_providers() -> Iterator[Finding]:
    """Try each execution provider of the installed ONNX Runtime with a session.

    CUDA and TensorRT yield a note with the package to install where this build lacks them.
    """
    from engine.runtime.providers import (  # noqa: PLC0415 - it may not load
        CPU_NAME,
        CUDA_NAME,
        TENSORRT_NAME,
        Provider,
        device_of,
        probe_all,
        probe_provider,
    )

    tried = probe_all()
    for result in tried:
        if result.works:
            yield Finding(f"Provider {result.provider}", "ok", "a session ran on it")
        else:
            # A GPU is optional; the CPU is the fallback of every device.
            state: State = "broken" if result.provider == CPU_NAME else "note"
            yield Finding(f"Provider {result.provider}", state, result.detail)
    # The GPU build has the same package folder, so any other build must be removed first.
    remove = pip("uninstall", "-y", *(build.name for build in installed(RUNTIMES)))
    remedy = f"{remove} && {install('gpu')}"
    available = {result.provider for result in tried}
    for name in (one for one in (CUDA_NAME, TENSORRT_NAME) if one not in available):
        missing = probe_provider(Provider(name)).detail
        needs = f"The device {device_of(Provider(name))} needs an NVIDIA GPU and the extra gpu."
        yield Finding(f"Provider {name}", "note", f"{missing} {needs}", remedy)


def check_auto_device() -> Iterator[Finding]:
    """Report the device that `auto` selects, with the provider's options."""
    from engine.options import Compute  # noqa: PLC0415 - the same
    from engine.runtime.providers import choose, device_of  # noqa: PLC0415 - the same

    chosen = choose(Compute())[0]
    options = ", ".join(f"{name}={value}" for name, value in chosen.options)
    yield Finding("Device auto", "ok", f"{device_of(chosen)} ({options})" if options else "cpu")


def check_int8() -> Iterator[Finding]:
    """Measure the speed of int8 products on this CPU and whether their sums saturate."""
    from engine.runtime.processor import int8_speed, saturates  # noqa: PLC0415 - the same

    speed = int8_speed()
    sums = "saturate (so weights get 7 bits)" if saturates() else "are exact"
    state: State = "ok" if speed >= _MIN_SPEED else "note"
    detail = f"int8 is {speed:.1f} times as fast as fp32 on this CPU, and its sums {sums}"
    yield Finding("Precision int8", state, detail)


def check_prepared_networks() -> Iterator[Finding]:
    """Check for the package onnx, and list the prepared graphs of all networks."""
    from engine.weights.weight_store import WeightStore  # noqa: PLC0415 - the same

    found = installed(["onnx"])
    if found:
        yield Finding("Imports", "ok", f"onnx {found[0].version} prepares them")
    else:
        detail = "onnx is not installed; it reads and prepares them"
        yield Finding("Imports", "broken", detail, pip("install", "onnx>=1.20"))
    store = WeightStore()
    for weight in store.weights():
        subject = f"Prepared {weight.name}"
        yield from _catch_errors(subject, _list_prepared(subject, store, weight))


def check_encoders() -> Iterator[Finding]:
    """Report PyAV and the working encoders of each codec, tried in a child process."""
    from engine.jobs.process import TaskProcess  # noqa: PLC0415 - the same
    from engine.media.pyav import library_versions  # noqa: PLC0415 - the same

    yield Finding(
        "PyAV", "ok", ", ".join(f"{name} {text}" for name, text in library_versions().items())
    )
    with TaskProcess() as child:
        found: dict[str, list[str]] = child.call(_LIST_ENCODERS, None, _ignore_progress)
    for codec, working in found.items():
        if working:
            yield Finding(f"Encoder {codec}", "ok", ", ".join(working))
        elif codec == "h264":
            yield Finding(
                f"Encoder {codec}",
                "broken",
                "none works",
                pip("install", "--force-reinstall", "--no-deps", "av"),
            )
        else:
            yield Finding(f"Encoder {codec}", "note", "none works")


def list_working_encoders(_argument: None, _report: ReportProgress) -> dict[str, list[str]]:
    """Return the working encoders by codec; a task of a `TaskProcess`."""
    from engine.media import encoder_trials  # noqa: PLC0415 - the same

    found: dict[str, list[str]] = {}
    for trial in encoder_trials.try_encoders():
        found.setdefault(trial.codec, []).extend([trial.encoder] if trial.works else [])
    return found


def check_swap() -> Iterator[Finding]:
    """Make a tiny swap in a child process, with a finding per step; end at the first failure."""
    from engine.jobs.process import TaskProcess  # noqa: PLC0415 - the same

    with TaskProcess() as child, tempfile.TemporaryDirectory(prefix="faceswap-engine-") as folder:
        for name in child.call("engine.doctor.selftest:list_steps", None, _ignore_progress):
            subject, start = f"Self-test {name}", time.perf_counter()
            try:
                detail = child.call(_RUN_STEP, {"step": name, "folder": folder}, _ignore_progress)
            except Exception as error:  # noqa: BLE001 - any error of a library is a finding
                yield Finding(subject, "broken", _describe(error))
                return
            yield Finding(subject, "ok", f"{detail}, in {time.perf_counter() - start:.1f} s")


def check_weights() -> Iterator[Finding]:
    """Verify the SHA-256 of each weight file against the manifest."""
    from engine.weights.weight_store import WeightStore  # noqa: PLC0415 - the same

    store = WeightStore()
    if record_error := store.import_record_error():
        yield Finding("Weights", "broken", record_error)
    for status in store.verify():
        weight = status.weight
        if status.state == "ok":
            detail = f"{weight.role}, {weight.size / 1e6:.1f} MB, sha256 verified"
            yield Finding(f"Weights {weight.name}", "ok", detail)
        else:
            yield Finding(f"Weights {weight.name}", "broken", status.detail)


def _list_prepared(subject: str, store: WeightStore, weight: Weight) -> Iterator[Finding]:
    """Report the prepared graphs of a network and those that failed validation."""
    from engine.optimise.prepare import prepared_files, refusals  # noqa: PLC0415 - the same

    for reason in refusals(store, weight):
        yield Finding(subject, "note", reason)
    for file, what in prepared_files(store, weight):
        detail = f"{file.name}, {what}, {file.stat().st_size / 1e6:.1f} MB"
        yield Finding(subject, "ok", detail)


def _catch_errors(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings of a check; an error becomes a broken finding with this subject."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - any error is a finding
        yield Finding(subject, "broken", _describe(error))


def _ignore_progress(_done: int, _total: int | None) -> None:
    pass


def _describe(error: Exception) -> str:
    """Return the message of an error, with its class where it is unexpected."""
    from engine.jobs.process import TaskError  # noqa: PLC0415 - the same

    if isinstance(error, ProcessDied):
        # The rest of the message is advice on a job's files.
        return str(error).partition(", most likely")[0].removesuffix(".") + "."
    known = isinstance(error, EngineError | ImportError | OSError | TaskError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _requirement(name: str) -> str:
    return _CUDA_EXTRAS if name == "onnxruntime-gpu" else name
