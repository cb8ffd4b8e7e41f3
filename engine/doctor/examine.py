"""Examine what this machine offers the engine; each finding that is broken has a remedy."""

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

if TYPE_CHECKING:  # the same modules are imported where they may fail to load
    from engine.jobs.process import Tell
    from engine.weights.manifest import Weight
    from engine.weights.weight_store import WeightStore

State: TypeAlias = Literal["ok", "note", "broken"]

_OPENCVS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
_FAST = 1.5  # times as fast as fp32, from which another precision is worth its calibration
# Called in another process, which may crash.
_ATTEMPT, _TRY_ENCODERS = "engine.doctor.selftest:attempt", "engine.doctor.examine:try_encoders"
_CUDA_EXTRAS = "onnxruntime-gpu[cuda,cudnn]"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` is what to do, as a command where there is one."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, one after the other; a check that fails is a finding, too."""
    yield python(sys.version_info[:3])
    yield one_build("ONNX Runtime", installed(RUNTIMES), prefer="onnxruntime-gpu")
    yield one_build("OpenCV", installed(_OPENCVS), prefer=_OPENCVS[0])
    for check in (providers, device, int8, encoders, trial, surgery, weights):
        yield from _guarded(check.__name__.capitalize(), check())


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing is broken."""
    return all(finding.state != "broken" for finding in findings)


def python(version: tuple[int, int, int]) -> Finding:
    """The interpreter; 3.11 is the oldest that will do."""
    words = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version < (3, 11):
        return Finding("Python", "broken", words, "Install Python 3.11 or newer.")
    return Finding("Python", "ok", f"{words}, {sys.executable}")


def one_build(subject: str, builds: Sequence[Distribution], *, prefer: str) -> Finding:
    """Exactly one of several distributions that own the same folder must be installed.

    Where there are more, the files of the one written last are in force, and removing either
    leaves holes in the other; so all go, and the preferred one (or the first) comes back.
    """
    if not builds:
        return Finding(subject, "broken", "not installed", pip("install", _requirement(prefer)))
    words = ", ".join(f"{build.name} {build.version}" for build in builds)
    if len(builds) == 1:
        return Finding(subject, "ok", words)
    kept = next((build for build in builds if build.name == prefer), builds[0])
    remove = pip("uninstall", "-y", *(build.name for build in builds))
    again = pip("install", f"{_requirement(kept.name)}=={kept.version}")
    return Finding(
        subject,
        "broken",
        f"builds that overwrite each other: {words}",
        f"{remove} && {again}",
    )


def providers() -> Iterator[Finding]:
    """Each execution provider of the installed ONNX Runtime, tried with a session.

    Then those of NVIDIA cards that this build is without, and what brings them.
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
            # A graphics card may well be absent; the CPU is what everything falls back on.
            state: State = "broken" if result.provider == CPU_NAME else "note"
            yield Finding(f"Provider {result.provider}", state, result.detail)
    # Any build must go first, as the one for cards unpacks into the same folder.
    remove = pip("uninstall", "-y", *(build.name for build in installed(RUNTIMES)))
    remedy = f"{remove} && {install('gpu')}"
    had = {result.provider for result in tried}
    for name in (one for one in (CUDA_NAME, TENSORRT_NAME) if one not in had):
        without = probe_provider(Provider(name)).detail
        needs = f"The device {device_of(Provider(name))} takes an NVIDIA card and the extra gpu."
        yield Finding(f"Provider {name}", "note", f"{without} {needs}", remedy)


def device() -> Iterator[Finding]:
    """What the device auto means here, and the options that a card is used with."""
    from engine.options import Compute  # noqa: PLC0415 - the same
    from engine.runtime.providers import choose, device_of  # noqa: PLC0415 - the same

    chosen = choose(Compute())[0]
    options = ", ".join(f"{name}={value}" for name, value in chosen.options)
    yield Finding("Device auto", "ok", f"{device_of(chosen)} ({options})" if options else "cpu")


def int8() -> Iterator[Finding]:
    """Whether this processor has what makes whole numbers of 8 bits fast, and adds them exactly."""
    from engine.runtime.processor import int8_speed, saturates  # noqa: PLC0415 - the same

    speed = int8_speed()
    sums = (
        "cut where they are large (weights get 7 bits for it)" if saturates() else "added exactly"
    )
    state: State = "ok" if speed >= _FAST else "note"
    detail = f"products of 8 bits are {speed:.1f} times as fast as fp32 on this CPU, and {sums}"
    yield Finding("Precision int8", state, detail)


def surgery() -> Iterator[Finding]:
    """Whether imported networks can be prepared here, and what was prepared."""
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
        yield from _guarded(subject, _prepared(subject, store, weight))


def encoders() -> Iterator[Finding]:
    """PyAV and, for each codec, the encoders that truly encode, tried in a process of their own."""
    from engine.jobs.process import TaskProcess  # noqa: PLC0415 - the same
    from engine.media.pyav import library_versions  # noqa: PLC0415 - the same

    yield Finding(
        "PyAV", "ok", ", ".join(f"{name} {text}" for name, text in library_versions().items())
    )
    with TaskProcess() as child:
        trials: dict[str, list[str]] = child.call(_TRY_ENCODERS, None, _unheard)
    for codec, working in trials.items():
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


def try_encoders(_given: None, _tell: Tell) -> dict[str, list[str]]:
    """Return the encoders that work, by codec, as a `TaskProcess` calls it."""
    from engine.media import encoder_trials  # noqa: PLC0415 - the same

    found: dict[str, list[str]] = {}
    for trial in encoder_trials.try_encoders():
        found.setdefault(trial.codec, []).extend([trial.encoder] if trial.works else [])
    return found


def trial() -> Iterator[Finding]:
    """A tiny swap in a process of its own, each step with its time; it ends where one fails."""
    from engine.jobs.process import TaskProcess  # noqa: PLC0415 - the same

    with TaskProcess() as child, tempfile.TemporaryDirectory(prefix="faceswap-engine-") as folder:
        for name in child.call("engine.doctor.selftest:steps", None, _unheard):
            subject, began = f"Trial {name}", time.perf_counter()
            try:
                done = child.call(_ATTEMPT, {"step": name, "folder": folder}, _unheard)
            except Exception as error:  # noqa: BLE001 - whatever a library may raise is the finding
                yield Finding(subject, "broken", _said(error))
                return
            yield Finding(subject, "ok", f"{done}, in {time.perf_counter() - began:.1f} s")


def weights() -> Iterator[Finding]:
    """The weight files, each against the checksum in the manifest."""
    from engine.weights.weight_store import WeightStore  # noqa: PLC0415 - the same

    store = WeightStore()
    if trouble := store.trouble():
        yield Finding("Weights", "broken", trouble)
    for status in store.verify():
        weight = status.weight
        if status.state == "ok":
            detail = f"{weight.role}, {weight.size / 1e6:.1f} MB, sha256 verified"
            yield Finding(f"Weights {weight.name}", "ok", detail)
        else:
            yield Finding(f"Weights {weight.name}", "broken", status.detail)


def _prepared(subject: str, store: WeightStore, weight: Weight) -> Iterator[Finding]:
    """What was prepared of a weight, and what could not be."""
    from engine.optimise.prepare import prepared_files, refusals  # noqa: PLC0415 - the same

    for reason in refusals(store, weight):
        yield Finding(subject, "note", reason)
    for file, what in prepared_files(store, weight):
        detail = f"{file.name}, {what}, {file.stat().st_size / 1e6:.1f} MB"
        yield Finding(subject, "ok", detail)


def _guarded(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings of a check; what it raises becomes the last of them, on `subject`."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - what it is, the finding says
        yield Finding(subject, "broken", _said(error))


def _unheard(_done: int, _total: int | None) -> None:
    """Ignore progress."""


def _said(error: Exception) -> str:
    """What an error says, with its kind where it is none of this engine's."""
    from engine.jobs.process import Unexpected  # noqa: PLC0415 - the same

    if isinstance(error, ProcessDied):
        # What follows is advice on a job's files.
        return str(error).partition(", most likely")[0].removesuffix(".") + "."
    known = isinstance(error, EngineError | ImportError | OSError | Unexpected)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _requirement(name: str) -> str:
    return _CUDA_EXTRAS if name == "onnxruntime-gpu" else name
