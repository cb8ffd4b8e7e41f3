from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest

from engine.errors import RuntimeUnavailable
from engine.runtime.providers import (
    CPU,
    CUDA,
    Distribution,
    Probe,
    choose,
    distributions,
    load_runtime,
    preload,
    probe,
    probe_provider,
    tiny_model,
)


def works(name: str) -> Probe:
    return Probe(name, works=True)


def fails(name: str) -> Probe:
    return Probe(name, works=False, detail=f"{name} has no card.")


def test_the_tiny_model_is_valid_and_computes_relu() -> None:
    onnx.checker.check_model(onnx.load_from_string(tiny_model()), full_check=True)
    session = onnxruntime.InferenceSession(tiny_model(), providers=[CPU.name])
    for value in (-1.5, 0.0, 2.5):
        (answer,) = session.run(None, {"x": np.array([value], np.float32)})
        assert answer == max(value, 0.0)


def test_the_cpu_is_probed_by_running() -> None:
    assert Probe(CPU.name, works=True) in probe()


def test_a_provider_that_is_not_built_in_says_so() -> None:
    probed = probe_provider("DmlExecutionProvider")
    assert not probed.works
    assert "built without DmlExecutionProvider" in probed.detail


def test_the_cpu_needs_no_probe() -> None:
    assert choose("cpu", probe=fails) == (CPU,)


def test_auto_takes_cuda_only_where_it_works() -> None:
    assert choose("auto", probe=works) == (CUDA, CPU)
    assert choose("auto", probe=fails) == (CPU,)


def test_cuda_is_had_or_refused() -> None:
    assert choose("cuda", probe=works) == (CUDA, CPU)
    with pytest.raises(RuntimeUnavailable, match="has no card"):
        choose("cuda", probe=fails)


def test_the_installed_build_is_found_once() -> None:
    (only,) = distributions()
    assert only.name.startswith("onnxruntime")
    assert only.version == onnxruntime.__version__


def test_builds_over_each_other_are_refused_with_the_line_that_mends_it() -> None:
    both = [Distribution("onnxruntime", "1.31.1"), Distribution("onnxruntime-gpu", "1.31.1")]
    with pytest.raises(RuntimeUnavailable, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        load_runtime(both)


def test_a_missing_runtime_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailable, match=r"faceswap-engine\[cpu\]"):
        load_runtime([])


def test_a_runtime_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailable, match="--force-reinstall onnxruntime-gpu"):
        load_runtime([Distribution("onnxruntime-gpu", "1.31.1")])


def test_importing_the_room_does_not_import_the_runtime() -> None:
    code = (
        "import engine.runtime.weights, engine.runtime.session, sys;"
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
