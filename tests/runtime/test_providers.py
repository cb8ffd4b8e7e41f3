from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import onnxruntime
import pytest

from engine.errors import ParameterError, RuntimeUnavailable
from engine.options import Compute, Device, Precision
from engine.runtime.distributions import RUNTIMES, Distribution, installed
from engine.runtime.providers import (
    CPU,
    Probe,
    Provider,
    choose,
    cuda,
    device_of,
    load_runtime,
    preload,
    probe_all,
    probe_provider,
    without_fp16,
    without_tf32,
)

CUDA = cuda()


def works(provider: Provider) -> Probe:
    return Probe(provider.name, works=True)


def fails(provider: Provider) -> Probe:
    return Probe(provider.name, works=False, detail=f"{provider.name} has no card.")


def test_the_runtime_is_told_to_report_nothing_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Runtime(ModuleType):
        def set_default_logger_severity(self, level: int) -> None:
            said.append(f"from severity {level} on")

        def disable_telemetry_events(self) -> None:
            said.append("no telemetry")

    monkeypatch.setitem(sys.modules, "onnxruntime", Runtime("onnxruntime"))
    for _ in range(2):
        load_runtime()
    assert said == ["from severity 4 on", "no telemetry"] * 2


def test_the_cpu_is_probed_by_running() -> None:
    assert Probe(CPU.name, works=True) in probe_all()


def test_a_provider_that_is_not_built_in_says_so() -> None:
    probed = probe_provider(Provider("DmlExecutionProvider"))
    assert not probed.works
    assert "built without DmlExecutionProvider" in probed.detail


def test_the_cpu_needs_no_probe() -> None:
    assert choose(Compute("cpu"), probe=fails) == (CPU,)


def test_auto_takes_cuda_only_where_it_works() -> None:
    assert choose(Compute("auto"), probe=works) == (CUDA, CPU)
    assert choose(Compute("auto"), probe=fails) == (CPU,)


def test_cuda_is_had_or_refused() -> None:
    assert choose(Compute("cuda"), probe=works) == (CUDA, CPU)
    with pytest.raises(RuntimeUnavailable, match="has no card"):
        choose(Compute("cuda"), probe=fails)


def test_a_card_is_taken_by_its_number_and_within_its_memory() -> None:
    first, second = choose(Compute("cuda:1", vram=1.5), probe=works)
    assert (device_of(first), second) == ("cuda:1", CPU)
    options = dict(first.options)
    assert (options["device_id"], options["gpu_mem_limit"]) == ("1", str(3 * 2**29))
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert "gpu_mem_limit" not in dict(CUDA.options)
    with pytest.raises(RuntimeUnavailable, match="device cuda:7 cannot be used"):
        choose(Compute("cuda:7"), probe=fails)


@pytest.mark.parametrize(("precision", "flag"), [("fp32", "0"), ("fp16", "1")])
def test_tensorrt_is_asked_for_by_name_and_falls_back_on_cuda_alone(
    precision: Precision, flag: str
) -> None:
    first, second, third = choose(Compute("tensorrt", precision), probe=works)
    assert (device_of(first), second, third) == ("tensorrt", CUDA, CPU)
    assert dict(first.options)["trt_fp16_enable"] == flag

    def only_cuda(provider: Provider) -> Probe:
        return works(provider) if provider.name == CUDA.name else fails(provider)

    with pytest.raises(RuntimeUnavailable, match="device tensorrt cannot be used: Tensorrt"):
        choose(Compute("tensorrt"), probe=only_cuda)
    assert choose(Compute("auto"), probe=only_cuda) == (CUDA, CPU)


@pytest.mark.parametrize("device", ["tensorrt", "cuda:1", "cpu"])
def test_what_is_not_to_be_halved_has_the_same_providers(device: Device) -> None:
    half, whole = (choose(Compute(device, one), probe=works) for one in ("fp16", "fp32"))
    assert without_fp16(half) == whole
    for asked, exact in zip(whole, without_tf32(half), strict=True):
        before, after = dict(asked.options), dict(exact.options)
        assert (exact.name, before.keys()) == (asked.name, after.keys())
        assert "1" not in (after.get("use_tf32"), after.get("trt_fp16_enable"))
        assert {name for name in before if before[name] != after[name]} <= {"use_tf32"}


def test_int8_is_for_the_cpu() -> None:
    for device in ("auto", "cpu"):
        assert choose(Compute(device, "int8"), probe=works) == (CPU,)
    for device in ("cuda", "cuda:1", "tensorrt"):
        with pytest.raises(ParameterError, match=rf"int8.*device is '{device}'; allowed.*cpu"):
            choose(Compute(device, "int8"), probe=works)


def test_a_provider_has_the_name_that_asks_for_it() -> None:
    assert [device_of(one) for one in (CPU, CUDA, cuda(3))] == ["cpu", "cuda", "cuda:3"]


def test_the_installed_build_is_found_once() -> None:
    (only,) = installed(RUNTIMES)
    assert only.name.startswith("onnxruntime")
    assert only.version == onnxruntime.__version__


def test_builds_over_each_other_are_refused_with_the_line_that_mends_it() -> None:
    both = [Distribution("onnxruntime", "1.31.1"), Distribution("onnxruntime-gpu", "1.31.1")]
    with pytest.raises(RuntimeUnavailable, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        load_runtime(both)


def test_a_missing_runtime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'onnxruntime<2,>=1.31'"):
        load_runtime([])


def test_a_runtime_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailable, match="--force-reinstall onnxruntime-gpu"):
        load_runtime([Distribution("onnxruntime-gpu", "1.31.1")])


def test_importing_the_room_does_not_import_the_runtime() -> None:
    code = (
        "import engine.weights.weight_store, engine.runtime.session, sys;"
        "sys.exit('onnxruntime' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_libraries_that_do_not_load_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    def complain() -> None:
        print("Failed to load libcublasLt.so.13: no such file")  # noqa: T201 - as it does
        print("Failed to load libcudart.so.13: no such file")  # noqa: T201

    runtime = ModuleType("onnxruntime")
    runtime.preload_dlls = complain  # type: ignore[attr-defined]
    assert preload(runtime).startswith("libcublasLt.so.13, libcudart.so.13 cannot be loaded")
    runtime.preload_dlls = lambda: None  # type: ignore[attr-defined]
    assert preload(runtime) == ""
    assert capsys.readouterr().out == ""
