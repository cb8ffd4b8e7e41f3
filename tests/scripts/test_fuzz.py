"""The fuzzer: its damages, its findings, and a small corpus that breaks nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import fuzz
import fuzz_mutations
import fuzz_seeds
import fuzz_trial
import numpy as np
import pytest
from fuzz_trial import Case, Outcome, Trials

from engine.errors import MediaError
from tests.footage import write_png
from tests.synth import make_clip

# Damaged files of the corpus: as many as are done in a few seconds.
CORPUS = 30


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> fuzz.Bench:
    return fuzz.Bench.make(tmp_path_factory.mktemp("bench"))


def test_there_is_a_parser_for_every_seed_and_it_loses_nothing(bench: fuzz.Bench) -> None:
    for name, data in bench.seeds.items():
        parse = fuzz_mutations.PARSERS[Path(name).suffix]
        again = fuzz_mutations.joined(parse(data))
        if parse is fuzz_mutations.elements:  # writes all lengths in eight bytes
            assert fuzz_mutations.joined(parse(again)) == again
        else:
            assert again == data, name
        assert parse is fuzz_mutations.whole or len(list(parse(data))) > 0


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "mpeg4.avi", "plain.ts", "moving.gif"])
def test_a_container_is_taken_apart_down_to_its_leaves(name: str, bench: fuzz.Bench) -> None:
    parts = fuzz_mutations.PARSERS[Path(name).suffix](bench.seeds[name])
    leaves = sum(len(each) for each in fuzz_mutations._lists(parts))
    assert leaves >= 15


def test_a_number_stands_for_one_case(bench: fuzz.Bench) -> None:
    cases = [fuzz.case(number, bench.seeds) for number in range(300)]
    assert cases == [fuzz.case(number, bench.seeds) for number in range(300)]
    assert {asked.role for asked, _ in cases} == {"target", "source", "reference"}
    assert {step for asked, _ in cases for step in asked.steps} >= {
        *("drop", "double", "swap", "move", "graft", "fill", "lie"),
        *("bytes", "cut", "join"),
    }
    damaged = [data != bench.seeds[asked.seed] for asked, data in cases]
    assert sum(damaged) > 0.9 * len(damaged)


def test_rubbish_is_damaged_without_a_fault() -> None:
    rng = Random(5)
    for suffix, parse in fuzz_mutations.PARSERS.items():
        for length in (0, 1, 5, 13, 40, 300):
            data = rng.randbytes(length)
            assert fuzz_mutations.joined(parse(data)).startswith(data[:1])
            if data:
                fuzz_mutations.restructure(data, data, suffix, rng)


# --- What is noticed.


class StandInEngine:
    """Stands in for the engine: writes the given bytes, or raises the given error."""

    def __init__(self, output: bytes | None = None, error: Exception | None = None) -> None:
        self.output, self.error = output, error
        self.beside: str | None = None
        self.opens = 0
        self.opened: list[Any] = []
        self.warnings: tuple[str, ...] = ()

    def swap(self, source: Path, target: Path, output: Path, **options: object) -> object:
        if self.beside:
            output.with_name(self.beside).write_bytes(b"")
        self.opened += [target.open("rb") for _ in range(self.opens)]
        if self.output is not None:
            output.write_bytes(self.output)
        if self.error:
            raise self.error
        return SimpleNamespace(warnings=self.warnings, frames=2)


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    still = write_png(tmp_path / "still.png", np.zeros((8, 8, 3), np.uint8))
    return Trials(still, still, tmp_path / "case")


def perform(trials: Trials, engine: StandInEngine, output: str = "out.png") -> Outcome:
    trials._engine = engine  # type: ignore[assignment]
    damaged = trials._still.read_bytes()
    return trials.perform(Case(0, "plain.png", (), "target", output), damaged)


def test_a_sentence_is_right_and_a_traceback_is_not(trials: Trials) -> None:
    assert perform(trials, StandInEngine(error=MediaError("It is damaged."))).kind == "refused"
    raw = "'NoneType' object has no attribute 'codec'"
    assert perform(trials, StandInEngine(error=MediaError(raw))).kind == "unclear"
    fault = perform(trials, StandInEngine(error=AttributeError(raw)))
    assert fault.kind == "traceback"
    assert "AttributeError" in fault.detail


def test_an_output_is_opened_again(trials: Trials) -> None:
    good = trials._still.read_bytes()
    assert perform(trials, StandInEngine(good)).kind == "swapped"
    assert perform(trials, StandInEngine()).kind == "unreadable"
    assert perform(trials, StandInEngine(good[:50])).kind == "unreadable"
    assert perform(trials, StandInEngine(b"no film"), "out.mp4").kind == "unreadable"


def test_frames_are_counted(trials: Trials, tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mp4", frames=7)
    assert fuzz_trial.frames(film) == 7
    engine = StandInEngine(film.read_bytes())
    assert perform(trials, engine, "out.mp4").kind == "frames"  # the target is a still
    engine.warnings = ("6 frames were added.",)
    assert perform(trials, engine, "out.mp4").kind == "swapped"


def test_what_is_left_behind_is_noticed(trials: Trials) -> None:
    good = trials._still.read_bytes()
    engine = StandInEngine(good)
    engine.beside = ".out.partial.png"
    assert perform(trials, engine).kind == "leftover"
    refusal = StandInEngine(good, MediaError("It is damaged."))
    assert perform(trials, refusal).kind == "leftover"


def test_descriptors_that_stay_open_are_noticed(trials: Trials) -> None:
    engine = StandInEngine(trials._still.read_bytes())
    assert perform(trials, engine).kind == "swapped"
    engine.opens = 20
    assert perform(trials, engine).kind == "leak"
    for file in engine.opened:
        file.close()


FILLED_MIB = 200


def serve_badly(pipe: Connection, _: Path, __: Path, ___: Path, log: Path) -> None:
    """Crash at case 1, hang at case 2, fill the memory at case 3."""
    pipe.send(None)
    filled = []
    while True:
        try:
            asked, _damaged = pipe.recv()
        except EOFError:
            return
        if asked.number == 1:
            log.write_text("the last words", encoding="utf-8")
            os.kill(os.getpid(), signal.SIGSEGV)
        if asked.number == 2:
            time.sleep(600)
        if asked.number == 3:
            filled.append(b"x" * (FILLED_MIB << 20))
            time.sleep(600)
        pipe.send(Outcome("swapped"))


@pytest.fixture
def worker(bench: fuzz.Bench, tmp_path: Path) -> Iterator[fuzz.Worker]:
    """One with bounds that no case comes near, however slow the machine is."""
    made = fuzz.Worker(bench, tmp_path, fuzz.Limits(seconds=300, mebibytes=1 << 20), serve_badly)
    yield made
    made.close()


def bad(worker: fuzz.Worker, number: int) -> Outcome:
    return worker.perform(Case(number, "plain.png", (), "target", "out.png"), b"")


def test_a_worker_that_dies_is_replaced(worker: fuzz.Worker) -> None:
    assert bad(worker, 0).kind == "swapped"
    fault = bad(worker, 1)
    assert fault.kind == "crash"
    assert "SIGSEGV" in fault.detail
    assert "the last words" in fault.detail
    assert bad(worker, 0).kind == "swapped"


def test_a_worker_that_hangs_is_replaced(worker: fuzz.Worker) -> None:
    usual, worker._limits = worker._limits, fuzz.Limits(seconds=0.3)
    assert bad(worker, 2).kind == "hang"
    worker._limits = usual
    assert bad(worker, 0).kind == "swapped"


def test_a_worker_that_fills_the_memory_is_replaced(worker: fuzz.Worker) -> None:
    worker._limits = fuzz.Limits(seconds=300, mebibytes=worker.resident_mib() + FILLED_MIB // 2)
    assert bad(worker, 0).kind == "swapped"
    assert bad(worker, 3).kind == "memory"
    assert bad(worker, 0).kind == "swapped"


def test_a_fault_is_kept_and_can_be_repeated(tmp_path: Path) -> None:
    asked = Case(7, "plain.mp4", ("drop",), "source", "out.png")
    run = fuzz.Run(tmp_path)
    run.note(asked, b"damaged", Outcome("traceback", "KeyError"))
    (place,) = (tmp_path / "failures").iterdir()
    assert fuzz.kept(place) == (asked, b"damaged")
    assert fuzz.kept(place / "in.mp4") == (asked, b"damaged")
    assert not run.right


def test_a_run_that_nobody_reads_goes_on(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    script = (
        "import sys; from pathlib import Path; import fuzz; from fuzz_trial import Case, Outcome\n"
        "def perform_all(_, __, folder, *___, **____):\n"
        "    run = fuzz.Run(folder)\n"
        "    for number in range(2):\n"
        "        run.note(Case(number, 'plain.png', (), 'target', 'out.png'), b'', "
        "Outcome('traceback'))\n"
        "    return run\n"
        "fuzz.perform_all = perform_all\n"
        "sys.exit(fuzz.main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, "--output", str(tmp_path / "out")],
        check=False,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (1, "")
    lines = (tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1]


@pytest.mark.slow
def test_the_corpus_breaks_nothing(bench: fuzz.Bench, tmp_path: Path) -> None:
    """Every seed as it is, and some that are damaged; in a process that may crash."""
    whole = [
        (Case(-number, name, (), "target", _own_output(name)), data)
        for number, (name, data) in enumerate(sorted(bench.seeds.items()), 1)
    ]
    damaged = [fuzz.case(number, bench.seeds) for number in range(CORPUS)]
    run = fuzz.perform_all(bench, [*whole, *damaged], tmp_path, 1, fuzz.Limits())
    assert run.right, run
    assert run.kinds["swapped"] >= len(whole)
    assert run.kinds["refused"] > 0


def _own_output(seed: str) -> str:
    if seed in fuzz_seeds.stills():
        return "out.png"
    return "out.mkv" if Path(seed).suffix in (".flv", ".mpg", ".gif") else f"out{Path(seed).suffix}"
