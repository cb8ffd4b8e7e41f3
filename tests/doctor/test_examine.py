from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.doctor import examine, selftest
from engine.doctor.examine import (
    Finding,
    check_encoders,
    check_python,
    check_single_build,
    is_healthy,
)
from engine.errors import WeightsCorrupt, WeightsError
from engine.media import decode
from engine.media.trial_clip import write_clip
from engine.optimise.prepare import calibrate, prepare
from engine.runtime import processor, providers
from engine.runtime.distributions import Distribution, installed
from engine.runtime.providers import CPU_NAME, CUDA_NAME, TENSORRT_NAME, Probe, load_runtime
from engine.weights.weight_store import RECORD, WeightStore
from tests.runtime.painters import samples, save_painter, save_restorer
from tests.runtime.tiny_models import save_swapper

CPU = Distribution("onnxruntime", "1.31.1")
GPU = Distribution("onnxruntime-gpu", "1.31.0")


def test_one_build_is_well() -> None:
    finding = check_single_build("ONNX Runtime", [CPU], prefer="onnxruntime-gpu")
    assert (finding.state, finding.detail) == ("ok", "onnxruntime 1.31.1")


@pytest.mark.parametrize("builds", [[CPU, GPU], [GPU, CPU]])
def test_two_builds_are_removed_and_the_preferred_comes_back(builds: list[Distribution]) -> None:
    finding = check_single_build("ONNX Runtime", builds, prefer="onnxruntime-gpu")
    assert finding.state == "broken"
    remove, _, install = finding.remedy.partition(" && ")
    assert shlex.split(remove) == [
        *(sys.executable, "-m", "pip", "uninstall", "-y"),
        *(build.name for build in builds),
    ]
    assert shlex.split(install) == [
        *(sys.executable, "-m", "pip", "install"),
        "onnxruntime-gpu[cuda,cudnn]==1.31.0",
    ]


def test_two_builds_of_opencv_leave_the_one_without_windows() -> None:
    builds = [Distribution("opencv-python", "5.0"), Distribution("opencv-python-headless", "5.1")]
    finding = check_single_build("OpenCV", builds, prefer="opencv-python-headless")
    assert finding.remedy.endswith("install opencv-python-headless==5.1")


def test_no_build_is_broken_and_says_how_to_get_one() -> None:
    finding = check_single_build("ONNX Runtime", [], prefer="onnxruntime")
    assert finding.state == "broken"
    assert finding.remedy.endswith("-m pip install onnxruntime")


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10, 9), "broken"), ((3, 11, 0), "ok"), ((3, 14, 2), "ok")],
)
def test_the_oldest_python_is_3_11(version: tuple[int, int, int], state: str) -> None:
    assert check_python(version).state == state


def test_only_what_is_installed_is_listed() -> None:
    assert [found.name for found in installed(["numpy", "no-such-distribution"])] == ["numpy"]


def test_health_is_the_absence_of_what_is_broken() -> None:
    well, hint = Finding("a", "ok", ""), Finding("b", "note", "")
    assert is_healthy([])
    assert is_healthy([well, hint])
    assert not is_healthy([well, Finding("c", "broken", ""), hint])


def test_the_encoder_that_output_is_made_with_works_here() -> None:
    findings = {finding.subject: finding for finding in check_encoders()}
    assert findings["Encoder h264"].state == "ok"
    assert findings["PyAV"].detail.startswith("PyAV 1")


def test_a_tiny_swap_is_tried_step_by_step_with_times() -> None:
    found = list(examine.check_swap())
    steps = ["Self-test encode", "Self-test decode", "Self-test networks", "Self-test swap"]
    assert [(one.subject, one.state) for one in found] == [(step, "ok") for step in steps]
    assert all(re.search(r", in \d+\.\d s$", one.detail) for one in found)
    assert all(name in found[2].detail for name in ("yunet", "hand_landmark", "sface", "open_nsfw"))


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("crash", "The child process crashed (SIGSEGV) in native code."),
        ("fail", "TypeError: open() got an unexpected keyword argument 'metadata_errors'"),
    ],
)
def test_a_step_that_fails_or_crashes_is_the_last_finding(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str, detail: str
) -> None:
    monkeypatch.setattr(examine, "_RUN_STEP", f"tests.doctor.failing_steps:{kind}")
    first, second = examine.check_swap()
    assert (first.subject, first.state) == ("Self-test encode", "ok")
    assert second == Finding("Self-test decode", "broken", detail)
    capfd.readouterr()  # the child's last words


def test_an_encoder_that_crashes_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(examine, "_LIST_ENCODERS", "tests.doctor.failing_steps:die")
    monkeypatch.setattr(examine, "check_swap", lambda: iter([Finding("Self-test", "ok", "done")]))
    found = list(examine.examine())
    (broken,) = [one for one in found if one.subject == "Encoders"]
    assert broken.state == "broken"
    assert broken.detail == "The child process crashed (SIGSEGV) in native code."
    assert Finding("Self-test", "ok", "done") in found
    capfd.readouterr()


def run_steps(folder: Path) -> Iterator[str]:
    """Run all steps and yield their names."""
    for step in selftest.list_steps(None, lambda *_: None):
        selftest.run_step({"step": step, "folder": str(folder)}, lambda *_: None)
        yield step


def test_a_step_finds_what_is_called_in_an_unknown_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(path: Path) -> None:
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")

    # Called by the swap step only.
    monkeypatch.setattr(decode, "open_media", another)
    done: list[str] = []
    with pytest.raises(TypeError, match="metadata_errors"):
        done += run_steps(tmp_path)
    assert done == ["encode", "decode", "networks"]


def test_an_output_that_is_not_whole_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "write_clip", lambda path, frames: write_clip(path, frames[1:]))
    done: list[str] = []
    with pytest.raises(selftest.SelfTestFailed, match="has 2 of 3 frames"):
        done += run_steps(tmp_path)
    assert done == ["encode"]


def test_the_trial_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = [len(list(tmp_path.rglob("*.*"))) for _ in examine.check_swap()]
    assert max(seen) == 3  # the face, the clip and the output
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def weights() -> Iterator[Finding]:
        yield Finding("Weights a", "ok", "verified")
        raise WeightsCorrupt("b is not what the manifest says.")

    monkeypatch.setattr(examine, "check_weights", weights)
    findings = list(examine.examine())
    assert findings[-2] == Finding("Weights a", "ok", "verified")
    assert findings[-1] == Finding("Weights", "broken", "b is not what the manifest says.")
    assert {"Python", "ONNX Runtime", "OpenCV", "PyAV"} <= {one.subject for one in findings}


@pytest.mark.parametrize(("speed", "state"), [(3.5, "ok"), (1.1, "note")])
@pytest.mark.parametrize(("cut", "words"), [(True, "7 bits"), (False, "are exact")])
def test_it_says_what_int8_is_worth(
    monkeypatch: pytest.MonkeyPatch, speed: float, state: str, cut: bool, words: str
) -> None:
    monkeypatch.setattr(processor, "int8_speed", lambda: speed)
    monkeypatch.setattr(processor, "saturates", lambda: cut)
    (finding,) = examine.check_int8()
    assert (finding.state, finding.remedy) == (state, "")
    assert f"{speed} times as fast" in finding.detail
    assert words in finding.detail


def test_it_says_why_a_card_cannot_be_used_and_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = load_runtime()
    monkeypatch.setattr(runtime, "get_available_providers", lambda: [CPU_NAME])
    cpu, cuda, tensorrt = examine.check_providers()
    assert cpu == Finding(f"Provider {CPU_NAME}", "ok", "a session ran on it")
    for finding, name in ((cuda, "cuda"), (tensorrt, "tensorrt")):
        assert finding.state == "note"
        assert "is built without" in finding.detail
        assert finding.detail.endswith(f"device {name} needs an NVIDIA GPU and the extra gpu.")
        remove, _, install = finding.remedy.partition(" && ")
        assert " uninstall -y onnxruntime" in remove
        assert shlex.split(install)[-2:] == ["install", "onnxruntime-gpu[cuda,cudnn]<2,>=1.31"]


def test_what_a_build_has_is_not_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = tuple(Probe(name, works=True) for name in (CUDA_NAME, TENSORRT_NAME, CPU_NAME))
    monkeypatch.setattr(providers, "probe_all", lambda: tried)
    assert [finding.state for finding in examine.check_providers()] == ["ok"] * 3


def test_it_shows_how_near_int8_graphs_are_and_finds_spoiled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = WeightStore()
    store.import_path(save_painter(tmp_path / "inswapper_128.onnx"))
    done = calibrate(store, "inswapper_128", samples(8), samples(2, seed=1))
    _, detail = [finding.detail for finding in examine.check_prepared_networks()]
    assert detail.startswith(
        f"int8-{done.sha256[:16]}.onnx, int8, {done.psnr:.1f} dB from fp32 on 2 faces, "
    )
    path = prepare(store, "inswapper_128", precision="int8").path
    path.write_bytes(path.read_bytes()[:-1])
    finding = next(one for one in examine.examine() if path.name in one.detail)
    assert (finding.state, "weights calibrate" in finding.detail) == ("broken", True)


def test_one_spoiled_graph_hides_no_other_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = WeightStore()
    store.import_path(save_painter(tmp_path / "inswapper_128.onnx"))
    store.import_path(save_restorer(tmp_path / "gfpgan_1.4.onnx"))
    calibrate(store, "inswapper_128", samples(8), samples(2, seed=1))
    for name in ("inswapper_128", "gfpgan_1.4"):
        prepare(store, name)
    path = prepare(store, "inswapper_128", precision="int8").path
    path.write_bytes(path.read_bytes()[:-1])
    found = [(finding.subject, finding.state) for finding in examine.check_prepared_networks()]
    assert sorted(found) == [
        ("Imports", "ok"),
        ("Prepared gfpgan_1.4", "ok"),
        ("Prepared inswapper_128", "broken"),
        ("Prepared inswapper_128", "ok"),
    ]


def test_it_says_what_could_not_be_prepared_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = WeightStore()
    store.import_path(save_swapper(tmp_path / "inswapper_128.onnx", weight=1e5))
    with pytest.raises(WeightsError, match="fp16"):
        prepare(store, "inswapper_128", precision="fp16")
    _, refused, made = examine.check_prepared_networks()
    assert (refused.subject, refused.state) == ("Prepared inswapper_128", "note")
    assert refused.detail.startswith("no dynamic batch axis at fp16 (CPUExecutionProvider-")
    assert made.detail.startswith("batch.onnx, ")


def test_it_says_what_int8_was_refused_for_and_that_the_record_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = WeightStore()
    store.import_path(save_painter(tmp_path / "inswapper_128.onnx", outlier=1e4))
    with pytest.raises(WeightsError, match="int8"):
        calibrate(store, "inswapper_128", samples(8), samples(2, seed=1))
    _, refused = examine.check_prepared_networks()
    assert refused.state == "note"
    assert refused.detail.startswith("no int8: output is ")
    (store.user_folder / RECORD).write_text("")
    assert [finding.subject for finding in examine.check_prepared_networks()] == ["Imports"]
    first, *others = examine.check_weights()
    assert (first.subject, first.state, first.detail) == (
        "Weights",
        "broken",
        store.import_record_error(),
    )
    assert {finding.state for finding in others} == {"ok"}


def test_it_says_what_the_device_auto_means() -> None:
    (finding,) = examine.check_auto_device()
    assert finding.state == "ok"
    assert finding.detail.split()[0] in ("cpu", "cuda")


def test_it_shows_what_was_prepared_and_how_to_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = WeightStore()
    store.import_path(save_swapper(tmp_path / "inswapper_128.onnx"))
    assert [finding.subject for finding in examine.check_prepared_networks()] == ["Imports"]
    prepare(store, "inswapper_128")
    (_, finding) = examine.check_prepared_networks()
    assert finding.subject == "Prepared inswapper_128"
    assert finding.detail.startswith("batch.onnx, dynamic batch axis, ")
    monkeypatch.setattr(examine, "installed", lambda names: ())
    (missing, _) = examine.check_prepared_networks()
    assert missing.state == "broken"
    assert "'onnx>=1.20'" in missing.remedy
