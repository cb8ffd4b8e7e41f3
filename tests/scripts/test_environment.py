"""The Python that scripts choose and the packages they install, tested with recording stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


def installed(folder: Path, *, here: str, wanted: str, **variables: str) -> list[str]:
    """Return the calls of pip that change something, in order."""
    python, notes = folder / "bin" / "python", folder / "notes"
    python.parent.mkdir(exist_ok=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    notes.write_text("")
    subprocess.run(
        ["bash", "-c", f". '{SCRIPT}'; environment test"],
        check=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "CONSTRAINTS"},
            "VENV": str(folder),
            "RUNTIME": wanted,
            "HERE": here,
            "NOTES": str(notes),
            **variables,
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
    assert second.endswith(f".[{wanted}] --group test")


def test_the_build_that_is_there_stays(tmp_path: Path) -> None:
    (only,) = installed(tmp_path, here="onnxruntime", wanted="cpu")
    assert only.endswith(".[cpu] --group test")
    assert installed(tmp_path, here="onnxruntime", wanted="cpu") == []


TOOLS = (
    *("bash", "cat", "chmod", "dirname", "env", "grep", "head"),
    *("ls", "mkdir", "mktemp", "paste", "rm", "sort"),
)


def executable(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/bash", *lines, ""]))
    path.chmod(0o755)
    return path


def tools(home: Path) -> Path:
    """Return a folder of the programs that the scripts call, with no Python."""
    folder = home / "tools"
    folder.mkdir(exist_ok=True)
    for name in TOOLS:
        if not (folder / name).exists():
            (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def shell(command: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a function of the script where no Python is in PATH but those in `home / "bin"`."""
    return subprocess.run(
        ["/bin/bash", "-c", f". '{SCRIPT}'; {command}"],
        check=False,
        env={"HOME": str(home), "PATH": f"{home / 'bin'}:{tools(home)}", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def supported(home: Path, **variables: str) -> list[str]:
    return shell("supported_pythons", home, **variables).stdout.splitlines()


def test_the_newest_supported_python_is_taken_wherever_it_is(tmp_path: Path) -> None:
    """Of PATH, pyenv and uv; each of these answers for the one version that it is."""
    places = {
        14: ".local/share/uv/python/cpython-3.14.2-linux/bin/python3",
        13: ".pyenv/versions/3.13.0/bin/python",
        12: "bin/python3.12",
        11: "bin/python3.11",
    }
    made = [
        executable(tmp_path / place, f'[ "$2" = {minor} ] && echo "$0"')
        for minor, place in places.items()
    ]
    assert supported(tmp_path) == [str(path) for path in made]
    assert shell("find_python", tmp_path).stdout.splitlines() == [str(made[0])]


THIS = f"3.{sys.version_info.minor}"


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path / f"bin/python{THIS}", "echo 'pyenv: command not found' >&2", "exit 127")
    executable(tmp_path / f".pyenv/versions/{THIS}.0/bin/python", f'exec {sys.executable} "$@"')
    (found,) = supported(tmp_path)
    assert Path(found).resolve() == Path(sys.executable).resolve()


def test_the_python_that_is_named_comes_first_among_those_of_its_version(tmp_path: Path) -> None:
    other = executable(tmp_path / "bin/python3.11", '[ "$2" = 11 ] && echo "$0"')
    named = executable(tmp_path / "elsewhere/python", '[ "$2" = 12 ] && echo "$0"')
    same = executable(tmp_path / "elsewhere/oldest", '[ "$2" = 11 ] && echo "$0"')
    assert supported(tmp_path, PYTHON=str(named)) == [str(named), str(other)]
    assert supported(tmp_path, PYTHON=str(same)) == [str(same)]


# It makes an environment of programs that only name a version.
NOTED = (
    'echo "${0##*/} with $PYTHON"',
    'mkdir -p "$VENV/bin"',
    "for tool in python mypy; do",
    """printf '#!/bin/sh\\necho av==1\\n' >"$VENV/bin/$tool" """,
    'chmod +x "$VENV/bin/$tool"',
    "done",
)


def ci(folder: Path, minor: int) -> subprocess.CompletedProcess[str]:
    """Run .ci/run, of scripts that only take notes, with PYTHON as the one Python there is."""
    for name in (".ci/run", "scripts/environment.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SCRIPT.parents[1] / name, folder / name)
    executable(folder / "scripts/constraints")
    for name in ("test", "check"):
        executable(folder / "scripts" / name, *NOTED)
    python = executable(
        folder / "elsewhere/python", f'case "$2" in "" | {minor}) echo "$0" ;; *) false ;; esac'
    )
    return subprocess.run(
        [folder / ".ci/run"],
        check=False,
        env={"HOME": str(folder), "PATH": str(tools(folder)), "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_continuous_integration_runs_on_the_python_that_is_named(tmp_path: Path) -> None:
    ran = ci(tmp_path, 12)
    assert ran.returncode == 0, ran.stderr
    python = tmp_path / "elsewhere/python"
    noted = [line for line in ran.stdout.splitlines() if " with /" in line]
    assert noted == [f"{name} with {python}" for name in ("test", "check", "test")]


def test_continuous_integration_refuses_a_python_that_is_not_supported_yet(tmp_path: Path) -> None:
    ran = ci(tmp_path, 15)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        f"PYTHON is {tmp_path / 'elsewhere/python'}, which is none of Python 3.11 to 3.14."
    ]


def test_a_python_that_cannot_make_environments_is_refused(tmp_path: Path) -> None:
    """As Debian's without the package python3-venv."""
    (tmp_path / "ensurepip.py").write_text("raise ImportError")
    poor = executable(tmp_path / "poor", f'PYTHONPATH={tmp_path} exec {sys.executable} "$@"')
    refused = shell("find_python", tmp_path, PYTHON=str(poor))
    assert refused.returncode == 1
    assert f"PYTHON is {poor}" in refused.stderr
    assert "ensurepip" in refused.stderr
    assert shell("find_python", tmp_path, PYTHON=sys.executable).returncode == 0


def test_constraints_are_kept_to_and_a_change_of_them_installs_anew(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"

    def calls() -> list[str]:
        return installed(tmp_path, here="onnxruntime", wanted="cpu", CONSTRAINTS=str(kept))

    kept.write_text("av==18.1.0\n")
    (first,) = calls()
    assert first.endswith(f"--constraint {kept}")
    assert calls() == []
    kept.write_text("av==19.0.2\n")
    assert calls() == [first]
