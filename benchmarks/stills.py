"""Time a still picture in a warm engine, and a folder of them in one run.

With --before, a checkout of an earlier version is measured in turns with this one. The folder is
swapped by one command, and, for comparison, its first pictures by a command each. Writes
benchmarks/results/stills.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import kit
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIDE = 720  # of the targets and the source, in pixels
_WARM_UP = 3  # swaps of a warm engine that do not count

# Runs in a process of its own, with the engine of a checkout.
_WORKER = """
import json, sys, time
from engine import Engine
source, target, output, warm_up, count = sys.argv[1:]
spent = []
with Engine(device="cpu", swapper="mesh") as engine:
    for number in range(int(warm_up) + int(count)):
        clock, processor = time.perf_counter(), time.process_time()
        engine.swap(source, target, output, overwrite=True)
        spent.append((time.perf_counter() - clock, time.process_time() - processor))
print(json.dumps(spent[int(warm_up):]))
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, and of processors."""

    seconds: float
    processor: float


def still_seconds(checkout: Path, source: Path, target: Path, count: int) -> list[Spent]:
    """Swap one picture again and again in a warm engine of a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-c", _WORKER, str(source), str(target)),
                *(f"{folder}/out.jpg", str(_WARM_UP), str(count)),
            ],
            env={**os.environ, "PYTHONPATH": str(checkout)},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return [Spent(*each) for each in json.loads(done.stdout)]


def command(*arguments: str) -> Spent:
    """Run the command `swap` and return what it took."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [sys.executable, "-m", "engine", "swap", *arguments, "--quiet", "--swapper", "mesh"]
    subprocess.run(line, cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - began, used)


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Write pictures of the package's people, no two alike, and return their paths."""
    import people  # noqa: PLC0415 - found through kit's path

    portraits = [people.read(person.portrait) for person in people.people()[1:]]
    chance = np.random.default_rng(1)
    paths = []
    for number in range(count):
        portrait = portraits[number % len(portraits)]
        margin = int(chance.integers(1, portrait.shape[0] // 16))
        cut = portrait[margin:-margin, margin:-margin]
        if number // len(portraits) % 2:
            cut = cut[:, ::-1]
        small = cv2.resize(np.ascontiguousarray(cut), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        paths.append(folder / f"{number:03}.jpg")
        assert cv2.imwrite(str(paths[-1]), cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    return paths


def median(spent: list[Spent]) -> Spent:
    return Spent(
        statistics.median(each.seconds for each in spent),
        statistics.median(each.processor for each in spent),
    )


def measure_stills(
    before: Path | None, source: Path, target: Path, rounds: int, count: int
) -> dict[str, Any]:
    """Measure the checkouts in turns, and return the medians and the ratio of each round."""
    checkouts = {"now": ROOT} | ({"before": before} if before else {})
    spent: dict[str, list[Spent]] = {name: [] for name in checkouts}
    ratios = []
    for _ in range(rounds):
        found = {
            name: median(still_seconds(path, source, target, count))
            for name, path in checkouts.items()
        }
        for name, each in found.items():
            spent[name].append(each)
        if before:
            ratios.append(found["now"].processor / found["before"].processor)
        print(found, flush=True)
    result: dict[str, Any] = {name: asdict(median(each)) for name, each in spent.items()}
    if ratios:
        result["processor_ratio"] = statistics.median(ratios)
    return {"rounds": rounds, "pictures": count, **result}


def measure_folder(source: Path, pictures: list[Path], commands: int) -> dict[str, Any]:
    """Measure a command a picture for the first pictures, then one command for all."""
    with tempfile.TemporaryDirectory() as folder:
        loop = [
            command(str(source), str(path), "-o", f"{folder}/{path.name}")
            for path in pictures[:commands]
        ]
        batch = command(str(source), str(pictures[0].parent), "-o", f"{folder}/all")
        assert len(list(Path(folder, "all").iterdir())) == len(pictures)
    factor = len(pictures) / commands
    whole = Spent(
        sum(each.seconds for each in loop) * factor, sum(each.processor for each in loop) * factor
    )
    return {
        "pictures": len(pictures),
        "commands": commands,
        "loop": asdict(whole),
        "batch": asdict(batch),
        "seconds_ratio": whole.seconds / batch.seconds,
        "processor_ratio": whole.processor / batch.processor,
    }


def markdown(result: dict[str, Any]) -> str:
    still, folder = result["still"], result["folder"]
    lines = [
        "# Stills",
        "",
        (
            f"Pictures and source of {SIDE}x{SIDE} with one face, JPEG to JPEG, default options, "
            f"swapper mesh. The machine was shared: load {result['load']:.1f} on "
            f"{os.cpu_count()} cores; the seconds of processors say more than those of the clock."
        ),
        "",
        kit.machine_line(),
        "",
        (
            f"## One picture in a warm engine (medians of {still['rounds']} rounds of "
            f"{still['pictures']})"
        ),
        "",
        "| version | ms | ms of processors |",
        "| --- | ---: | ---: |",
    ]
    lines += [
        f"| {result['before'] if name == 'before' else 'this'} | "
        f"{still[name]['seconds'] * 1000:.0f} | {still[name]['processor'] * 1000:.0f} |"
        for name in ("before", "now")
        if name in still
    ]
    if "processor_ratio" in still:
        lines += ["", f"This over before, of processors: {still['processor_ratio']:.2f}."]
    lines += [
        "",
        f"## A folder of {folder['pictures']} pictures",
        "",
        "| how | seconds | seconds of processors |",
        "| --- | ---: | ---: |",
        (
            f"| a command a picture, extrapolated from {folder['commands']} | "
            f"{folder['loop']['seconds']:.0f} | {folder['loop']['processor']:.0f} |"
        ),
        f"| one command | {folder['batch']['seconds']:.0f} | {folder['batch']['processor']:.0f} |",
        f"| ratio | {folder['seconds_ratio']:.1f} | {folder['processor_ratio']:.1f} |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    parser.add_argument("--before-name", default="before", help="its name in the results")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stills", type=int, default=10, help="measured pictures of a round")
    parser.add_argument("--pictures", type=int, default=200, help="of the folder")
    parser.add_argument("--commands", type=int, default=10, help="of the loop")
    parser.add_argument("--no-write", action="store_true", help="print only")
    choices = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        album = Path(folder) / "album"
        album.mkdir()
        pictures = write_pictures(album, choices.pictures)
        source = ROOT / "examples" / "people" / "source.jpg"
        before = choices.before and choices.before.resolve()
        result = {
            "machine": kit.machine(),
            "load": load,
            "before": choices.before_name,
            "still": measure_stills(before, source, pictures[0], choices.rounds, choices.stills),
            "folder": measure_folder(source, pictures, choices.commands),
        }
    text = markdown(result)
    print(text)
    if not choices.no_write:
        kit.record("stills", result, text)


if __name__ == "__main__":
    main()
