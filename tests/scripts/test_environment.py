"""What the scripts install, told to a Python that only takes notes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "environment.sh"
# It answers that the build of ONNX Runtime in $HERE is installed, until it is told to remove it.
PYTHON = """#!/bin/bash
echo "$*" >>"$NOTES"
case "$*" in
  *" show "*) [ "${*: -1}" = "$HERE" ] && ! grep -q uninstall "$NOTES" ;;
esac
"""


def installed(folder: Path, *, here: str, wanted: str) -> list[str]:
    """The calls of pip that change something, in order."""
    python, notes = folder / "bin" / "python", folder / "notes"
    python.parent.mkdir(exist_ok=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    notes.write_text("")
    subprocess.run(
        ["bash", "-c", f". '{SCRIPT}'; environment test"],
        check=True,
        env={
            **os.environ,
            "VENV": str(folder),
            "RUNTIME": wanted,
            "HERE": here,
            "NOTES": str(notes),
        },
        capture_output=True,
    )
    calls = (line.removeprefix("-m pip ") for line in notes.read_text().splitlines())
    return [call for call in calls if call.startswith(("install", "uninstall"))]


@pytest.mark.parametrize(("here", "wanted"), [("onnxruntime", "gpu"), ("onnxruntime-gpu", "cpu")])
def test_the_other_build_of_the_runtime_goes_first(tmp_path: Path, here: str, wanted: str) -> None:
    installed(tmp_path, here="", wanted=wanted)
    first, second = installed(tmp_path, here=here, wanted=wanted)
    assert first.startswith("uninstall")
    assert here in first.split()
    assert second.endswith(f".[{wanted},test]")


def test_the_build_that_is_there_stays(tmp_path: Path) -> None:
    (only,) = installed(tmp_path, here="onnxruntime", wanted="cpu")
    assert only.endswith(".[cpu,test]")
    assert installed(tmp_path, here="onnxruntime", wanted="cpu") == []
