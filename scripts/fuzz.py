"""Swap with thousands of damaged files, and keep those that break something.

    scripts/fuzz --count 1000                 # cases 0 to 999
    scripts/fuzz --start 5000 --count 1000
    scripts/fuzz --again fuzz-out/failures/00042-traceback

A case's number decides its seed, its damage, its role (target, source or reference) and its
output's name. Faults: an exception that is no EngineError, a crash, a hang, too much memory, an
output that cannot be opened, a wrong number of frames, a message that helps nobody, and files,
descriptors or threads left behind. Each is kept in its own folder, the damaged file with it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import fuzz_seeds
from fuzz_mutations import mutate
from fuzz_trial import STILLS, Case, Outcome, Role, Trials
from own_folder import claim

from engine.cli import streams

ROOT = Path(__file__).resolve().parents[1]
_STARTING = 600.0  # seconds that a worker may take to load its networks
_TICK = 0.1
_FILMS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts")
# What a run writes into its folder.
_RESULTS, _FAILURES, _WORKER = "results.jsonl", "failures", "worker-"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one case."""

    seconds: float = 60.0
    mebibytes: int = 2048


def case(number: int, seeds: Mapping[str, bytes]) -> tuple[Case, bytes]:
    """Return the case of a number, and its damaged file."""
    rng = Random(number)
    seed = rng.choice(sorted(seeds))
    suffix = Path(seed).suffix
    roles: tuple[Role, ...] = ("target", "target", "target", "target", "source", "reference")
    role = rng.choice(roles)
    still = role != "target" or seed in fuzz_seeds.stills()
    own = suffix if suffix in (STILLS if still else _FILMS) else None
    names = [own or ".png", ".png", ".jpg"] if still else [own or ".mp4", own or ".mkv", *_FILMS]
    steps, damaged = mutate(seed, seeds, rng)
    return Case(number, seed, tuple(steps), role, f"out{rng.choice(names)}"), damaged


@dataclass(frozen=True, slots=True)
class Bench:
    """The undamaged files that all cases share."""

    seeds: dict[str, bytes]
    source: Path
    still: Path

    @classmethod
    def make(cls, folder: Path) -> Bench:
        files = fuzz_seeds.write_seeds(folder / "seeds")
        seeds = {path.name: path.read_bytes() for path in files}
        return cls(
            seeds, fuzz_seeds.write_source(folder / "source.png"), folder / "seeds/plain.png"
        )


Serve = Callable[[Connection, Path, Path, Path, Path], None]


def serve(pipe: Connection, source: Path, still: Path, folder: Path, log: Path) -> None:
    """Perform the cases that come through the pipe, until it is closed."""
    with log.open("ab", buffering=0) as words:
        os.dup2(words.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    trials = Trials(source, still, folder)
    pipe.send(None)
    while True:
        try:
            asked, damaged = pipe.recv()
        except EOFError:
            break
        pipe.send(trials.perform(asked, damaged))
    trials.close()


class Worker:
    """A process that performs cases, replaced when one ends it."""

    def __init__(self, bench: Bench, folder: Path, limits: Limits, serve: Serve = serve) -> None:
        self._bench, self._folder, self._limits, self._serve = bench, folder, limits, serve
        self._log = folder / "stderr.log"
        folder.mkdir(parents=True, exist_ok=True)
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        bench = self._bench
        given = (theirs, bench.source, bench.still, self._folder / "case", self._log)
        self._process = spawn.Process(target=self._serve, args=given)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_STARTING):
            raise TimeoutError(f"A worker did not start in {_STARTING:g} s; see {self._log}.")
        self._pipe.recv()

    def resident_mib(self) -> int:
        """Return the memory that the process holds, in MiB."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * resource.getpagesize() >> 20

    def perform(self, asked: Case, damaged: bytes) -> Outcome:
        began = time.perf_counter()
        self._pipe.send((asked, damaged))
        while not self._pipe.poll(_TICK):
            spent, held = time.perf_counter() - began, self.resident_mib()
            if spent > self._limits.seconds:
                return self._replace("hang", f"still at work after {spent:.0f} s", spent)
            if held > self._limits.mebibytes:
                return self._replace("memory", f"{held} MiB", spent)
        try:
            outcome: Outcome = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            words = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            return self._replace("crash", f"{name}\n{words}", time.perf_counter() - began)
        if outcome.peak_mib > self._limits.mebibytes:
            return Outcome("memory", f"{outcome.peak_mib} MiB", outcome.seconds, outcome.peak_mib)
        return outcome

    def _replace(self, kind: str, detail: str, seconds: float) -> Outcome:
        self._process.kill()
        self.close()
        self._start()
        return Outcome(kind, detail, round(seconds, 1))

    def close(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def keep(folder: Path, asked: Case, damaged: bytes, outcome: Outcome) -> Path:
    """Write a fault's case and its file into a folder of their own."""
    place = folder / _FAILURES / f"{asked.number:05}-{outcome.kind}"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"in{Path(asked.seed).suffix}").write_bytes(damaged)
    told = {"case": asked.to_json(), "outcome": asdict(outcome)}
    (place / "case.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return place


def kept(path: Path) -> tuple[Case, bytes]:
    """Return a case that was kept, by its folder or a file in it."""
    place = path if path.is_dir() else path.parent
    asked = Case.from_json(json.loads((place / "case.json").read_text(encoding="utf-8"))["case"])
    return asked, (place / f"in{Path(asked.seed).suffix}").read_bytes()


class Run:
    """Counts of the results of several workers."""

    def __init__(self, folder: Path, *, keeping: bool = True) -> None:
        self._keeping = keeping
        self.kinds: Counter[str] = Counter()
        self.slowest = 0.0
        self.peak_mib = 0
        self._folder = folder
        self._lock = threading.Lock()

    def note(self, asked: Case, damaged: bytes, outcome: Outcome) -> None:
        with self._lock:
            self.kinds[outcome.kind] += 1
            self.slowest = max(self.slowest, outcome.seconds)
            self.peak_mib = max(self.peak_mib, outcome.peak_mib)
            with (self._folder / _RESULTS).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({**asked.to_json(), **asdict(outcome)}) + "\n")
            if not outcome.right:
                last = outcome.detail.strip().splitlines()[-1:] or [""]
                print(
                    f"{outcome.kind}: {asked.seed} as {asked.role}, case {asked.number}: "
                    f"{last[0][:200]}",
                    flush=True,
                )
                if self._keeping:
                    print(f"  {keep(self._folder, asked, damaged, outcome)}", flush=True)
            done = sum(self.kinds.values())
            if done % 500 == 0:
                print(self, flush=True)

    def __str__(self) -> str:
        parts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{sum(self.kinds.values())} cases: {parts}; the slowest {self.slowest:.1f} s, "
            f"the most memory {self.peak_mib} MiB"
        )

    @property
    def right(self) -> bool:
        return all(Outcome(kind).right for kind in self.kinds)


def perform_all(
    bench: Bench,
    cases: Iterable[tuple[Case, bytes]],
    folder: Path,
    processes: int,
    limits: Limits,
    *,
    keeping: bool = True,
) -> Run:
    """Perform all cases, and print how much memory the workers held from first to last."""
    run, lock, waiting = Run(folder, keeping=keeping), threading.Lock(), iter(cases)

    def work(worker: Worker) -> None:
        while True:
            with lock:
                asked = next(waiting, None)
            if asked is None:
                return
            run.note(*asked, worker.perform(*asked))
            held[worker].append(worker.resident_mib())

    workers = [Worker(bench, folder / f"{_WORKER}{number}", limits) for number in range(processes)]
    held: dict[Worker, list[int]] = {worker: [] for worker in workers}
    try:
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(work, workers))
        for now in filter(None, held.values()):
            told = (f"{now[at]}" for at in range(0, len(now), max(1, len(now) // 10)))
            print(f"memory held by a worker, from first to last: {' '.join(told)} MiB")
    finally:
        for worker in workers:
            worker.close()
    return run


def main() -> int:
    # All that is printed is in the folder, too: who stops reading it does not end the run.
    streams.guard()
    usual = Limits()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="for one case")
    parser.add_argument("--memory", type=int, default=usual.mebibytes, help="MiB for one case")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "fuzz-out",
        help="an empty folder, or one of an earlier run",
    )
    parser.add_argument("--again", type=Path, nargs="+", help="kept cases to repeat")
    choices = parser.parse_args()
    limits = Limits(choices.seconds, choices.memory)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench.make(Path(scratch) / "bench")
        cases: Iterator[tuple[Case, bytes]]
        if choices.again:
            folder, cases = Path(scratch) / "again", map(kept, choices.again)
            folder.mkdir()
            processes = 1
        else:
            folder, processes = choices.output, choices.processes
            numbers = range(choices.start, choices.start + choices.count)
            cases = (case(number, bench.seeds) for number in numbers)
            try:
                claim(folder, "fuzz", _RESULTS, _FAILURES, f"{_WORKER}*")
            except OSError as error:
                parser.error(f"--output: {error}")
        keeping = not choices.again
        run = perform_all(bench, cases, folder, processes, limits, keeping=keeping)
    print(run)
    return 0 if run.right else 1


if __name__ == "__main__":
    sys.exit(main())
