"""Test and measure the engine on a card: one command for a machine without a network.

    scripts/gpu-check WHEELS                  # writes gpu-check-out/gpu-check.json and .md
    scripts/gpu-check WHEELS --device cpu     # rehearses it without a card

WHEELS is a folder of wheels that the machine lacks; see docs/gpu-check.md. They are unpacked into a
folder of their own, which comes first in the path: the machine's Python stays as it is. Each step
has a bound of time; one that fails or takes too long is recorded, and the next begins.

Only the standard library is needed, and pip.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from zipfile import ZipFile

from own_folder import claim

try:
    from packaging.requirements import Requirement
    from packaging.tags import sys_tags
    from packaging.utils import canonicalize_name, parse_wheel_filename
except ImportError:  # pip carries its own
    from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]
    from pip._vendor.packaging.tags import sys_tags  # type: ignore[assignment]
    from pip._vendor.packaging.utils import (  # type: ignore[assignment]
        canonicalize_name,
        parse_wheel_filename,
    )

ROOT = Path(__file__).resolve().parents[1]
MOST_SECONDS = 350.0
PATIENCE = 5  # times a step's bound, in a rehearsal
# Where the libraries of CUDA are if neither a package nor the loader's cache has them.
CUDA_FOLDERS = ("/usr/local/cuda/lib64",)
TOOLS = ("pytest>=8.3", "openpeople")
_RESULTS = ("gpu-check.json", "gpu-check.md")
_TAIL = 3000  # characters that are kept of what a step wrote
_PART = re.compile(r"(?P<whole>.+)\.\d{3}")
_XZ, _ZIP = b"\xfd7zXZ", b"PK"


@dataclass(frozen=True, slots=True)
class Step:
    """A command with its bound of time; `result` is a JSON or JUnit file that it writes."""

    name: str
    command: tuple[str, ...]
    seconds: float
    result: str = ""


@dataclass(slots=True)
class Done:
    """Result of a step: ok, failed, timeout, skipped (its tests were), or no time."""

    name: str
    state: str
    seconds: float = 0.0
    command: str = ""
    result: Any = None
    tail: str = ""


@dataclass(slots=True)
class Dependencies:
    """Requirements by where they are met: here already, from a wheel, or nowhere."""

    here: dict[str, str] = field(default_factory=dict)
    brought: dict[str, Path] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


# --- What the engine needs, and where it is.


def needed(device: str) -> list[Requirement]:
    """Return what the engine, its tests and its benchmarks need on a device."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    runtime = extras["cpu" if device == "cpu" else "gpu"]
    texts = [*project["dependencies"], *runtime]
    found = [Requirement(text) for text in (*texts, *TOOLS)]
    for requirement in found:
        # The machine brings CUDA and cuDNN.
        requirement.extras = set()
    return found


def wheels(folder: Path) -> dict[str, list[Path]]:
    """Return the wheels that this interpreter takes, by their names, the newest first."""
    tags = set(sys_tags())
    found: dict[str, list[tuple[Any, Path]]] = {}
    for path in folder.glob("*.whl"):
        name, version, _, supported = parse_wheel_filename(path.name)
        if tags & supported:
            found.setdefault(str(name), []).append((version, path))
    return {name: [path for _, path in sorted(each, reverse=True)] for name, each in found.items()}


def resolve(
    requirements: Iterable[Requirement], offered: Mapping[str, Sequence[Path]], site: Path
) -> Dependencies:
    """Find each requirement here or among the wheels, with what those need in turn."""
    result = Dependencies()
    waiting = list(requirements)
    while waiting:
        wanted = waiting.pop(0)
        name = canonicalize_name(wanted.name)
        if name in result.brought or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        here = _version_here(name, site)
        if here is not None and wanted.specifier.contains(here, prereleases=True):
            result.here[name] = here
            continue
        wheel = next(
            (
                path
                for path in offered.get(name, ())
                if wanted.specifier.contains(parse_wheel_filename(path.name)[1], prereleases=True)
            ),
            None,
        )
        if wheel is None:
            found = f"{here} is here" if here else "there is none"
            result.missing[name] = f"{wanted} is needed, and {found}"
            continue
        result.brought[name] = wheel
        result.here.pop(name, None)
        waiting.extend(map(Requirement, _needs_of(wheel)))
    return result


def _version_here(name: str, site: Path) -> str | None:
    found = metadata.distributions(name=name, path=[str(site), *sys.path])
    return next((each.version for each in found), None)


def _needs_of(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        (member,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(member).decode("utf-8")
    return HeaderParser().parsestr(text).get_all("Requires-Dist") or []


def join_parts(folder: Path, site: Path, scratch: Path) -> list[str]:
    """Join files NAME.000, NAME.001, ...; a tar.xz goes into `site`, a wheel into `scratch`."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        part = _PART.fullmatch(path.name)
        if part:
            groups.setdefault(part["whole"], []).append(path)
    for whole, parts in groups.items():
        joined = scratch / whole
        with joined.open("wb") as out:
            for part_path in parts:
                with part_path.open("rb") as one:
                    shutil.copyfileobj(one, out)
        with joined.open("rb") as file:
            head = file.read(len(_XZ))
        if head.startswith(_XZ):
            with tarfile.open(joined, "r:xz") as archive:
                archive.extractall(site, filter="data")
            joined.unlink()
        elif head.startswith(_ZIP):
            joined.rename(scratch / (whole if whole.endswith(".whl") else f"{whole}.whl"))
        else:
            raise ValueError(f"The parts {whole}.* are joined neither a tar.xz nor a wheel.")
    return list(groups)


def install(given: Path, device: str, site: Path, scratch: Path) -> tuple[Dependencies, Done]:
    """Unpack what is missing here into `site`."""
    began = time.perf_counter()
    words = []
    try:
        words += [f"joined {name}" for name in join_parts(given, site, scratch)]
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
        words.append(f"parts: {type(error).__name__}: {error}")
    offered = wheels(given)
    for name, paths in wheels(scratch).items():
        offered[name] = [*paths, *offered.get(name, [])]
    found = resolve(needed(device), offered, site)
    command = (
        *(sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile"),
        *("--quiet", "--disable-pip-version-check", "--upgrade", "--target", str(site)),
    )
    chosen = [str(path) for path in found.brought.values()]
    # All at once; where that fails, one by one, so that one bad wheel spoils no other.
    groups = [chosen] if chosen else []
    failed: list[str] = []
    while groups:
        group = groups.pop(0)
        state, tail = _run((*command, *group), 120, dict(os.environ), ROOT)
        if state == "ok":
            continue
        if len(group) > 1:
            groups = [[path] for path in group]
        else:
            failed.append(group[0])
            words.append(f"{group[0]}: {state}: {tail}")
    words += [f"missing: {sentence}" for sentence in found.missing.values()]
    right = not failed and not any(word.startswith("parts:") for word in words)
    state = "ok" if right and not found.missing else "failed"
    seconds = round(time.perf_counter() - began, 1)
    return found, Done("install", state, seconds, " ".join(command), tail="\n".join(words)[-_TAIL:])


# --- Steps.


def steps(device: str, batches: Sequence[int], quick: bool, scratch: Path) -> Iterator[Step]:
    """Yield what is run, the most wanted first."""
    python = sys.executable
    yield Step("doctor", (python, "-m", "engine", "doctor"), 60)
    marked = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "mark.gpu" in path.read_text(encoding="utf-8")
    ]
    report = scratch / "gpu.xml"
    tests = ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}")
    yield Step("pytest -m gpu", (python, *tests, *marked), 90, str(report))
    small: tuple[str, ...] = ("--narrow", "16", "--repeat", "1") if quick else ()
    for precision in ("fp32", "fp16"):
        result = scratch / f"swapper-{precision}.json"
        yield Step(
            f"swapper {precision}",
            (
                *(python, "benchmarks/swapper.py", "--device", device, "--precision", precision),
                *("--batches", *map(str, batches), *small),
                *(() if precision == "fp32" and not quick else ("--no-around",)),
                *("--no-write", "--json", str(result)),
            ),
            100,
            str(result),
        )
    short = ("--frames", "3", "--pairs", "1") if quick else ("--frames", "75", "--pairs", "2")
    small = ("--narrow", "16") if quick else ()
    kinds = [("mesh", "fp32", "384x384")]
    # Of one face, inswapper_128 takes (boost / 128)^2 samples in one batch.
    boosts = ("128x128",) if quick else ("512x512", "128x128")
    kinds += [("replica", each, boost) for boost in boosts for each in ("fp32", "fp16")]
    for swapper, precision, boost in kinds:
        name = f"throughput {swapper} {precision} {boost}"
        result = scratch / f"{name.replace(' ', '-')}.json"
        yield Step(
            name,
            (
                *(python, "benchmarks/throughput.py", "--device", device, "--swapper", swapper),
                *("--precision", precision, "--pixel-boost", boost, *short, *small),
                *("--no-write", "--json", str(result)),
            ),
            70,
            str(result),
        )


def perform(step: Step, seconds: float, environment: Mapping[str, str]) -> Done:
    """Run a step in so many seconds at most, and read what it wrote."""
    command = " ".join(step.command)
    if seconds <= 0:
        return Done(step.name, "no time", command=command)
    began = time.perf_counter()
    state, tail = _run(step.command, min(seconds, step.seconds), environment, ROOT)
    done = Done(step.name, state, round(time.perf_counter() - began, 1), command, tail=tail)
    if step.result and Path(step.result).is_file():
        try:
            done.result = _read(Path(step.result))
        except (ValueError, ET.ParseError) as error:
            done.state, done.tail = "failed", f"{error}\n{tail}"
    tests = done.result if step.result.endswith(".xml") else None
    if state == "ok" and step.result and done.result is None:
        done.state = "failed"
    if done.state == "ok" and tests and not tests["passed"]:
        done.state = "skipped"
    return done


def _run(
    command: Sequence[str], seconds: float, environment: Mapping[str, str], folder: Path
) -> tuple[str, str]:
    """Return the state of a command and the end of what it wrote; all its processes end with it."""
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return "failed", str(error)
        try:
            code = process.wait(seconds)
            state = "ok" if code == 0 else "failed"
        except subprocess.TimeoutExpired:
            state, code = "timeout", -9
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        words.seek(0)
        text = words.read().decode("utf-8", "replace").strip()[-_TAIL:]
    return state, text if state == "ok" else f"{text}\n(exit code {code})"


def _read(result: Path) -> Any:
    if result.suffix == ".json":
        return json.loads(result.read_text(encoding="utf-8"))
    (suite,) = ET.parse(result).getroot().iter("testsuite")
    count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    reasons = {each.get("message", "") for each in suite.iter("skipped")}
    passed = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    return {**count, "passed": passed, "why skipped": sorted(reasons)}


# --- What is told.


def machine() -> dict[str, str]:
    """Return the card, the driver and the versions that matter."""
    asked = "name,driver_version,memory.total,compute_cap"
    query = ("nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader")
    state, card = _run(query, 20, os.environ, ROOT)
    probe = (
        "import torch; print(torch.__version__, 'CUDA', torch.version.cuda, 'cuDNN',"
        " torch.backends.cudnn.version(), torch.cuda.is_available())"
    )
    torch_state, torch = _run((sys.executable, "-c", probe), 60, os.environ, ROOT)
    _, commit = _run(("git", "rev-parse", "HEAD"), 10, os.environ, ROOT)
    return {
        "card (name, driver, memory, compute capability)": card if state == "ok" else "none found",
        "torch": torch if torch_state == "ok" else "none",
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "cores": str(os.cpu_count()),
        "commit": commit,
    }


def markdown(document: Mapping[str, Any]) -> str:
    """Return everything as tables: the machine, the steps, their numbers, and what failed."""
    lines = ["# GPU check", "", "| machine | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in document["machine"].items()]
    used = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines += [f"| versions | {used} |", "", "| step | state | seconds |", "| --- | --- | ---: |"]
    lines += [
        f"| {each['name']} | {each['state']} | {each['seconds']} |" for each in document["steps"]
    ]
    rates = [
        f"| {row['provider'].removesuffix('ExecutionProvider')} | {row['precision']} "
        f"| {row['batch']} | {row['faces_per_second']:.2f} | {row['gflops']:.0f} "
        f"| {row['matrix_gflops']:.0f} |"
        for each in document["steps"]
        if each["name"].startswith("swapper") and each["result"]
        for row in each["result"]["network"]
    ]
    if rates:
        lines += ["", "inswapper_128's architecture, random weights:", ""]
        lines += ["| provider | precision | batch | faces/s | GFLOP/s | matrix products' |"]
        lines += ["| --- | --- | ---: | ---: | ---: | ---: |", *rates]
    films = [
        (each["name"].removeprefix("throughput "), each["result"])
        for each in document["steps"]
        if each["name"].startswith("throughput") and each["result"]
    ]
    if films:
        lines += ["", "Whole swaps of the demo's film, 1280x720, one face:", ""]
        lines += ["| swap | frames/s | over a transcode | analyse s | swap s |"]
        lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for name, result in films:
        found = result["summary"]
        stages = found["stage_seconds"]
        rate = result["clip"]["frames"] / found["swap_seconds"]
        lines.append(
            f"| {name} | {rate:.1f} | {found['ratio_median']:.2f} | {stages['analyse']:.2f} "
            f"| {stages['swap']:.2f} |"
        )
    for each in document["steps"]:
        if each["state"] != "ok":
            lines += ["", f"## {each['name']}: {each['state']}", "", f"    {each['command']}", ""]
            lines += [f"    {line}" for line in each["tail"].splitlines()[-30:]]
    return "\n".join(lines) + "\n"


def versions(site: Path) -> dict[str, str]:
    names = (
        *("onnxruntime-gpu", "onnxruntime", "av", "numpy", "onnx", "opencv-python-headless"),
        *("opencv-python", "opencv-contrib-python", "pydantic", "torch"),
    )
    found = {name: _version_here(name, site) for name in names}
    return {name: version for name, version in found.items() if version}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("wheels", type=Path, help="folder of wheels, or of parts of wheels")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--quick", action="store_true", help="tiny networks and films: a rehearsal")
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS, help="for all together")
    parser.add_argument("--output", type=Path, default=ROOT / "gpu-check-out", help="folder")
    choices = parser.parse_args()
    began = time.perf_counter()
    output: Path = choices.output.resolve()
    site = output / "site"
    try:
        claim(output, "gpu-check", site.name, *_RESULTS)
    except OSError as error:
        parser.error(f"--output: {error}")
    site.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found, installed = install(choices.wheels, choices.device, site, scratch)
        print(f"install: {installed.state}, {installed.seconds} s\n{installed.tail}", flush=True)
        document: dict[str, Any] = {
            "machine": machine(),
            "versions": versions(site),
            "dependencies": {
                "here": found.here,
                "brought": {name: path.name for name, path in found.brought.items()},
                "missing": found.missing,
            },
            "steps": [asdict(installed)],
        }
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(site), str(ROOT))),
            "LD_LIBRARY_PATH": os.pathsep.join(
                filter(None, (os.environ.get("LD_LIBRARY_PATH"), *CUDA_FOLDERS))
            ),
            "FACESWAP_ENGINE_HOME": str(scratch / "home"),
            "PYTHONUNBUFFERED": "1",
        }
        # What is rehearsed is not the speed.
        patience = PATIENCE if choices.quick else 1
        for planned in steps(choices.device, choices.batches, choices.quick, scratch):
            step = replace(planned, seconds=patience * planned.seconds)
            left = patience * choices.seconds - (time.perf_counter() - began)
            done = perform(step, left, environment)
            print(f"{done.name}: {done.state}, {done.seconds} s", flush=True)
            document["steps"].append(asdict(done))
            # After each step, so that an interrupted check keeps what was measured.
            _write(output, document)
        document["seconds"] = round(time.perf_counter() - began, 1)
        _write(output, document)
    print(f"{output / 'gpu-check.md'}")
    return 0 if all(step["state"] == "ok" for step in document["steps"]) else 1


def _write(output: Path, document: Mapping[str, Any]) -> None:
    numbers, words = (output / name for name in _RESULTS)
    numbers.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    words.write_text(markdown(document), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
