"""The check of a card, rehearsed without one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import gpu_check
import pytest
from gpu_check import Step
from packaging.requirements import Requirement


def wheel(folder: Path, name: str, version: str = "1.0", *needs: str, tag: str = "any") -> Path:
    """A wheel of one module that holds its version."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    members = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", *metadata, ""]),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-{tag}\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-{version}-py3-none-{tag}.whl"
    with ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


def cut(folder: Path, name: str, data: bytes, count: int = 3) -> None:
    folder.mkdir(exist_ok=True)
    step = len(data) // count + 1
    for number in range(count):
        part = data[number * step : (number + 1) * step]
        (folder / f"{name}.{number:03}").write_bytes(part)


def resolved(folder: Path, *needed: str) -> gpu_check.Dependencies:
    return gpu_check.resolve(map(Requirement, needed), gpu_check.wheels(folder), folder / "site")


def test_what_is_here_stays_and_what_is_missing_is_named(tmp_path: Path) -> None:
    old, new = wheel(tmp_path, "soft"), wheel(tmp_path, "soft", "1.5", "hard>=2", "numpy>=2")
    wheel(tmp_path, "soft", "1.9", tag="win_amd64")
    wheel(tmp_path, "numpy", "99.0")
    found = resolved(tmp_path, "soft>=1,<2", "numpy>=2", "pytest>=9999")
    assert found.brought == {"soft": new}
    assert found.here.keys() == {"numpy"}
    assert found.missing.keys() == {"hard", "pytest"}
    assert "hard>=2 is needed, and there is none" in found.missing["hard"]
    assert "is here" in found.missing["pytest"]
    assert resolved(tmp_path, "soft<1.2").brought == {"soft": old}


def test_everything_that_the_engine_needs_is_asked_for() -> None:
    names = {each.name for each in gpu_check.needed("cuda")}
    assert names >= {"av", "numpy", "opencv-python-headless", "pydantic", "typer", "rich"}
    assert names >= {"onnxruntime-gpu", "onnx", "pytest", "openpeople"}
    assert "onnxruntime" in {each.name for each in gpu_check.needed("cpu")}
    # CUDA and cuDNN are the machine's.
    assert not any(each.extras for each in gpu_check.needed("cuda"))


def test_wheels_and_parts_come_into_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, site, scratch = tmp_path / "given", tmp_path / "site", tmp_path / "scratch"
    site.mkdir()
    scratch.mkdir()
    wheel(given, "whole", "1.0", "hacked")
    hacked = wheel(tmp_path / "elsewhere", "hacked")
    cut(given, hacked.name, hacked.read_bytes())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for member, text in {
            "thin.py": "version = '3'\n",
            "thin-3.dist-info/METADATA": "Metadata-Version: 2.1\nName: thin\nVersion: 3\n",
        }.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    cut(given, "ort", packed.getvalue())
    asked = [Requirement(text) for text in ("whole", "thin>=3", "lost")]
    monkeypatch.setattr(gpu_check, "needed", lambda _: asked)
    found, done = gpu_check.install(given, "cuda", site, scratch)
    assert found.brought.keys() == {"whole", "hacked"}
    assert found.here == {"thin": "3"}
    assert (done.state, done.tail.splitlines()[-1]) == (
        "failed",
        "missing: lost is needed, and there is none",
    )
    for name in ("whole", "hacked", "thin"):
        assert (site / f"{name}.py").is_file(), done.tail


def test_one_bad_wheel_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, scratch = tmp_path / "site", tmp_path / "scratch"
    site.mkdir()
    scratch.mkdir()
    good, bad = wheel(tmp_path / "given", "good"), wheel(tmp_path / "given", "bad")
    with ZipFile(bad) as archive:
        described = archive.read("bad-1.0.dist-info/METADATA")
    with ZipFile(bad, "w") as archive:
        archive.writestr("bad-1.0.dist-info/METADATA", described)  # and no WHEEL
    monkeypatch.setattr(
        gpu_check, "needed", lambda _: [Requirement(name) for name in ("bad", "good")]
    )
    _, done = gpu_check.install(good.parent, "cuda", site, scratch)
    assert done.state == "failed"
    assert "bad-1.0" in done.tail
    assert (site / "good.py").is_file()


def performed(
    code: str, *, seconds: float = 30, result: str = "", left: float = 60
) -> gpu_check.Done:
    step = Step("a step", (sys.executable, "-c", code), seconds, result)
    return gpu_check.perform(step, left, os.environ)


def test_a_step_that_fails_leaves_its_last_words() -> None:
    done = performed("import sys; print('so far'); sys.exit('no card')")
    assert done.state == "failed"
    assert "no card" in done.tail
    assert "exit code 1" in done.tail


def test_a_step_that_takes_too_long_ends_with_all_its_processes(tmp_path: Path) -> None:
    child = f"import time; time.sleep(6); open({str(tmp_path / 'late')!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    began = time.perf_counter()
    assert performed(code, seconds=1).state == "timeout"
    assert time.perf_counter() - began < 5
    time.sleep(7 - (time.perf_counter() - began))
    assert not (tmp_path / "late").exists()
    assert performed("", left=0).state == "no time"


def test_numbers_are_read_and_their_lack_is_a_failure(tmp_path: Path) -> None:
    result = tmp_path / "numbers.json"
    assert performed("", result=str(result)).state == "failed"
    done = performed(f"open({str(result)!r}, 'w').write('[1, 2]')", result=str(result))
    assert (done.state, done.result) == ("ok", [1, 2])


def junit(passed: int, skipped: int) -> str:
    cases = "<testcase><skipped message='no card'/></testcase>" * skipped
    counts = f"tests='{passed + skipped}' failures='0' errors='0' skipped='{skipped}'"
    return f"<testsuites><testsuite {counts}>{cases}</testsuite></testsuites>"


@pytest.mark.parametrize(("passed", "skipped", "state"), [(2, 0, "ok"), (0, 2, "skipped")])
def test_tests_that_were_skipped_have_not_passed(
    passed: int, skipped: int, state: str, tmp_path: Path
) -> None:
    result = tmp_path / "gpu.xml"
    result.write_text(junit(passed, skipped))
    done = performed("", result=str(result))
    assert done.state == state
    assert done.result["passed"] == passed
    assert done.result["why skipped"] == (["no card"] if skipped else [])


@pytest.mark.slow
def test_the_whole_check_rehearsed_on_the_cpu(tmp_path: Path) -> None:
    """All that the day of the card needs, but for its numbers."""
    (tmp_path / "wheels").mkdir()
    command = (
        *(str(gpu_check.ROOT / "scripts" / "gpu-check"), str(tmp_path / "wheels")),
        *("--device", "cpu", "--quick", "--batches", "1", "2", "--output", str(tmp_path / "out")),
    )
    environment = {**os.environ, "PYTHON": sys.executable}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    document = json.loads((tmp_path / "out" / "gpu-check.json").read_text())
    states = {step["name"]: step["state"] for step in document["steps"]}
    assert states.pop("pytest -m gpu") == "skipped"
    assert set(states.values()) == {"ok"}, ended.stdout
    assert ended.returncode == 1
    rows = {(row["precision"], row["batch"]) for row in network_rows(document)}
    assert rows == {(precision, batch) for precision in ("fp32", "fp16") for batch in (1, 2)}
    text = (tmp_path / "out" / "gpu-check.md").read_text()
    for line in ("| CPU | fp16 | 2 |", "| mesh fp32 384x384 |", "| replica fp16 128x128 |"):
        assert line in text
    assert "## pytest -m gpu: skipped" in text


def network_rows(document: Mapping[str, list[Mapping[str, object]]]) -> list[Mapping[str, object]]:
    found = []
    for step in document["steps"]:
        result = step["result"]
        if str(step["name"]).startswith("swapper") and isinstance(result, dict):
            found += result["network"]
    return found
