"""Signals at every time of the command: while it imports, works, cleans up and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")

ROOT = Path(__file__).parents[2]
# A shell's background job ignores the signals, and so would its children.
HEEDING = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
)
SIGNALS = [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "ended")]
SIGNALS += [(signal.SIGHUP, 129, "ended")]
ALL = pytest.mark.parametrize(("sent", "code", "word"), SIGNALS)
# Prints "ready", waits, and says when it has cleaned up.
WORK = """
import time
from engine.cli import signals
signals.take()
try:
    with signals.raising_ended():
        try:
            print("ready", flush=True)
            time.sleep(600)
        finally:
            {cleaning}
            print("cleaned", flush=True)
except signals.Ended as ended:
    sys.exit(ended.code)
"""


@contextmanager
def running(script: str, path: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A script that has printed "ready"."""
    with subprocess.Popen(
        [sys.executable, "-c", HEEDING + script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(path or "")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@ALL
def test_while_it_imports_a_signal_is_a_sentence_and_its_code(
    tmp_path: Path, sent: signal.Signals, code: int, word: str
) -> None:
    (tmp_path / "typer.py").write_text("import time; print('ready', flush=True); time.sleep(60)")
    with running("from engine.cli import main; sys.exit(main())", tmp_path) as process:
        process.send_signal(sent)
        _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (
        code,
        f"error: {word}; nothing was left half-written.\n",
    )


@pytest.mark.parametrize("first", ["import engine.cli", "import engine.__main__"])
def test_nothing_of_weight_is_imported_before_signals_are_heeded(first: str) -> None:
    script = f"import sys; before = {{*sys.modules}}; {first}; print({{*sys.modules}} - before)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    ours = {"engine", "engine.cli", "engine.cli.signals", "engine.__main__"}
    assert eval(done.stdout) <= ours | {"__future__"}


@ALL
def test_more_signals_do_not_keep_it_from_cleaning_up(
    sent: signal.Signals, code: int, word: str
) -> None:
    cleaning = "signals._PATIENCE = 600; print('cleaning', flush=True); sys.stdin.readline()"
    with running(WORK.format(cleaning=f"{cleaning}; signals.let_finish()")) as process:
        assert process.stdout is not None
        process.send_signal(sent)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning\n"
        for _ in range(5):
            process.send_signal(sent)
            process.send_signal(signal.SIGINT)
        out, said = process.communicate("\n", timeout=3000)
    assert out == "cleaned\n"
    assert "Traceback" not in said
    assert process.returncode in (code, 130)


def test_who_has_waited_long_for_the_cleaning_can_end_it() -> None:
    cleaning = "signals._PATIENCE = 0; print('cleaning', flush=True); time.sleep(600)"
    with running(WORK.format(cleaning=cleaning)) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=3000)
    assert (process.returncode, out) == (130, "")
    assert said == "error: stopped before all was cleaned up; partial files may be left.\n"


def test_a_signal_whose_exception_is_lost_comes_again() -> None:
    script = """
import time
from engine.cli import signals
class Closing:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(60)
signals.take()
try:
    with signals.raising_ended():
        one = Closing()
        del one
        time.sleep(60)
except signals.Ended as ended:
    sys.exit(ended.code)
"""
    with running(script) as process:
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=300)
    assert (process.returncode, out, said) == (143, "", "")


@ALL
def test_once_the_outcome_is_settled_a_signal_changes_nothing(
    sent: signal.Signals, code: int, word: str
) -> None:
    script = (
        "from engine.cli import signals; signals.take(); signals.let_finish()\n"
        "print('ready', flush=True); sys.stdin.read(1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", HEEDING + script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(sent)
        _, said = process.communicate("x", timeout=300)
    assert (process.returncode, said) == (0, "")


def test_a_signal_that_is_ignored_stays_so() -> None:
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from engine.cli import signals; signals.take()\n"
        "assert signal.SIGHUP not in signals.heeded()\n"
        "signal.raise_signal(signal.SIGHUP); signals.let_finish()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@contextmanager
def lasting(home: Path, *command: str, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """A server or a worker that has begun to wait."""
    script = f"{HEEDING}{before}from engine.cli import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", script, *command, "--home", home],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            if command[0] == "serve":
                url = said.removeprefix("listening on ").removesuffix("/v1\n")
                healthy(url)
            yield process
        finally:
            process.kill()


def healthy(url: str) -> None:
    """Waits for the answer of a server that has just begun to listen."""
    assert httpx2.get(f"{url}/healthz", timeout=300).status_code == 200


@ALL
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)])
def test_what_lasts_ends_in_order(
    tmp_path: Path, command: tuple[str, ...], sent: signal.Signals, code: int, word: str
) -> None:
    with lasting(tmp_path, *command) as process:
        process.send_signal(sent)
        _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "" if command[0] == "serve" else "0 done\n")


def test_a_server_goes_on_where_its_terminal_may_go(tmp_path: Path) -> None:
    ignoring = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    with lasting(tmp_path, "serve", "--port", "0", before=ignoring) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
