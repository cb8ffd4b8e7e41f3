"""Tasks in child processes: results, errors, crashes, cancellation, and lifetimes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.cli.serve import KEY
from engine.errors import Cancelled, NoFaceFound, ProcessDied
from engine.jobs import process as process_module
from engine.jobs.process import TaskError, TaskPool, TaskProcess
from engine.media.untrusted import TooLarge

ROOT = Path(__file__).parents[2]
TASKS = "tests.jobs.child_tasks"


@pytest.fixture
def child() -> Iterator[TaskProcess]:
    before = set(threading.enumerate())
    with TaskProcess() as one:
        yield one
    assert set(threading.enumerate()) <= before


def ignore_progress(_done: int, _total: int | None) -> None:
    pass


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Return True if a process exists and is not a zombie."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_the_child_stays_warm_and_tells_of_progress(child: TaskProcess) -> None:
    given = {"text": "Grüße\n" * 20_000, "none": None}
    first = child.call(f"{TASKS}:echo", given, ignore_progress)
    assert first["argument"] == given
    assert first["pid"] != os.getpid()
    reports: list[tuple[int, int | None]] = []
    assert child.call(f"{TASKS}:count", 3, lambda *steps: reports.append(steps)) == 3
    assert [one for one in reports if one[0]] == [(1, 3), (2, 3), (3, 3)]
    assert child.call(f"{TASKS}:echo", 1, ignore_progress)["pid"] == first["pid"]


def test_errors_come_back_as_they_were_raised(child: TaskProcess) -> None:
    for given, kind, words in (("own", NoFaceFound, "nobody"), ("below", TooLarge, "too large")):
        with pytest.raises(kind, match=f"^{words}$"):
            child.call(f"{TASKS}:fail", given, ignore_progress)
    for given, words in (("other", "KeyError: 'x'"), ("memory", "MemoryError")):
        with pytest.raises(TaskError) as raised:
            child.call(f"{TASKS}:fail", given, ignore_progress)
        assert str(raised.value) == words
        assert "child_tasks.py" in raised.value.__notes__[0]
    with pytest.raises(TaskError, match="ModuleNotFoundError"):
        child.call("tests.jobs.nowhere:echo", 1, ignore_progress)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SIGSEGV", r"crashed \(SIGSEGV\) in native code"),
        ("SIGABRT", r"crashed \(SIGABRT\) in native code"),
        (
            "SIGKILL",
            "ended by SIGKILL: somebody killed it, or this machine may have run out of memory",
        ),
        ("SIGUSR1", "was ended by SIGUSR1 before its task was done"),
    ],
)
def test_a_death_is_told_as_it_was_and_the_next_task_is_done(
    child: TaskProcess, name: str, words: str
) -> None:
    with pytest.raises(ProcessDied, match=words) as raised:
        child.call(f"{TASKS}:kill_self", name, ignore_progress)
    assert ("memory" in str(raised.value)) == (name == "SIGKILL")
    assert child.call(f"{TASKS}:echo", 1, ignore_progress)["argument"] == 1


def test_an_exit_is_a_death(child: TaskProcess) -> None:
    with pytest.raises(ProcessDied, match="exit code 3"):
        child.call(f"{TASKS}:exit_with_code", 3, ignore_progress)


def test_an_innocent_task_does_not_die_of_what_was_done_before(
    child: TaskProcess, tmp_path: Path
) -> None:
    child.call(f"{TASKS}:damage", None, ignore_progress)
    innocent, guilty = str(tmp_path / "innocent"), str(tmp_path / "guilty")
    assert child.call(f"{TASKS}:work", innocent, ignore_progress) == innocent
    assert len(set(Path(innocent).read_text().split())) == 2
    with pytest.raises(ProcessDied, match="SIGSEGV"):
        child.call(f"{TASKS}:work", guilty, ignore_progress)
    # Tried once in the used child and once in a new one.
    assert len(set(Path(guilty).read_text().split())) == 2


def test_a_child_that_died_while_it_was_idle_is_replaced(child: TaskProcess) -> None:
    first = child.call(f"{TASKS}:echo", 1, ignore_progress)["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first))
    assert child.call(f"{TASKS}:echo", 1, ignore_progress)["pid"] != first


def test_what_a_task_prints_and_signals_to_the_group_are_nothing(child: TaskProcess) -> None:
    assert child.call(f"{TASKS}:print_and_read", None, ignore_progress) == ""
    assert child.call(f"{TASKS}:echo", 1, ignore_progress)["argument"] == 1


def test_a_task_is_stopped_at_its_next_step(child: TaskProcess, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def report(done: int, _total: int | None) -> None:
        if done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        child.call(f"{TASKS}:run_steps", str(log), report)
    assert log.with_suffix(".cleaned").exists()
    assert child.call(f"{TASKS}:echo", 1, ignore_progress)["pid"] == int(log.read_text())


@pytest.mark.parametrize("grace", [0, 0.3])
def test_a_task_that_hangs_is_killed(tmp_path: Path, grace: float) -> None:
    log = tmp_path / "log"

    def report(_done: int, _total: int | None) -> None:
        if log.exists() and log.read_text():
            raise Cancelled("enough")

    with TaskProcess(grace=grace) as child:
        with pytest.raises(Cancelled, match="enough"):
            child.call(f"{TASKS}:hang", str(log), report)
        assert not is_alive(int(log.read_text()))
        assert child.call(f"{TASKS}:echo", 1, ignore_progress)["argument"] == 1


def test_what_is_closed_does_no_more(tmp_path: Path) -> None:
    child, log = TaskProcess(), tmp_path / "log"

    def report(_done: int, _total: int | None) -> None:
        if log.exists() and log.read_text():
            child.close()

    child.call(f"{TASKS}:echo", 1, ignore_progress)  # a child that is not new
    with pytest.raises(ProcessDied):
        child.call(f"{TASKS}:run_steps", str(log), report)
    assert not is_alive(int(log.read_text()))
    with pytest.raises(RuntimeError, match="closed"):
        child.call(f"{TASKS}:echo", 1, ignore_progress)


def test_a_child_is_told_no_key(child: TaskProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY, "SEGMIND_API_KEY", "FACESWAP_ENGINE_HOME"):
        monkeypatch.setenv(name, "secret")
    known = child.call(f"{TASKS}:environment", None, ignore_progress)
    assert "FACESWAP_ENGINE_HOME" in known
    assert not {KEY, "SEGMIND_API_KEY"} & {*known}


def test_an_interrupt_ends_the_child_at_once(child: TaskProcess, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def report(_done: int, _total: int | None) -> None:
        if log.exists() and log.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.call(f"{TASKS}:run_steps", str(log), report)
    assert not is_alive(int(log.read_text()))


def test_as_many_children_as_work_at_once(tmp_path: Path) -> None:
    with TaskPool(3) as pool:
        pids = [pool.call(f"{TASKS}:echo", n, ignore_progress)["pid"] for n in range(4)]
        assert len(set(pids)) == 1
        log = tmp_path / "log"

        def report(_done: int, _total: int | None) -> None:
            if (tmp_path / "enough").exists():
                raise Cancelled("enough")

        def long() -> None:
            with pytest.raises(Cancelled):
                pool.call(f"{TASKS}:run_steps", str(log), report)

        thread = threading.Thread(target=long)
        thread.start()
        wait_until(log.exists)
        assert pool.call(f"{TASKS}:echo", 1, ignore_progress)["pid"] not in pids
        (tmp_path / "enough").touch()
        thread.join()


# A user's script: no main guard, a module in its folder that shadows one of the standard library,
# and modules that only its own sys.path finds.
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from engine.jobs.process import TaskProcess
print("began", flush=True)
child = TaskProcess()
child.call("tests.jobs.child_tasks:run_steps", sys.argv[2], lambda *_: None)
"""


def test_a_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SCRIPT)
    (tmp_path / "json.py").write_text("raise RuntimeError('not the library')")
    parent = subprocess.Popen(
        [sys.executable, "-P", script, ROOT, log], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout
        assert parent.stdout.readline() == "began\n"
        wait_until(lambda: log.exists() and bool(log.read_text()))
        orphan = int(log.read_text())
        assert is_alive(orphan)
        parent.kill()
        wait_until(lambda: not is_alive(orphan), 5)
        # The child did not run the script.
        assert parent.stdout.read() == ""


def test_a_parent_that_ends_takes_an_idle_child_along(tmp_path: Path) -> None:
    script = (
        "import sys, os\n"
        "from engine.jobs.process import TaskProcess\n"
        "child = TaskProcess()\n"
        "pid = child.call('tests.jobs.child_tasks:echo', 1, lambda *_: None)['pid']\n"
        "if os.fork() == 0:\n"
        "    sys.exit(0)\n"  # a fork that ends leaves the child of its parent alone
        "os.wait()\n"
        "assert child.call('tests.jobs.child_tasks:echo', 1, lambda *_: None)['pid'] == pid\n"
        "print(pid)\n"
    )
    ran = subprocess.run(
        # Python 3.12 and later warn of a fork in a process with threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stderr == ""
    assert not is_alive(int(ran.stdout))


def test_a_stop_that_comes_before_the_child_has_begun_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parent asks to stop at once, and the child takes longer to start.
    monkeypatch.setattr(process_module, "TICK_SECONDS", 0.001)

    def refuse(_done: int, _total: int | None) -> None:
        raise Cancelled("enough")

    # A child that did not receive it would be killed and not clean up.
    with TaskProcess(grace=60) as child, pytest.raises(Cancelled):
        child.call(f"{TASKS}:run_steps", str(tmp_path / "log"), refuse)
    assert (tmp_path / "log.cleaned").exists()


def test_a_task_that_talks_on_after_a_stop_is_ended() -> None:
    def refuse(done: int, _total: int | None) -> None:
        if done:
            raise Cancelled("enough")

    began = time.monotonic()
    with TaskProcess(grace=0.5) as child, pytest.raises(Cancelled):
        child.call(f"{TASKS}:ignore_stop", None, refuse)
    assert time.monotonic() - began < 30


def test_an_interrupt_while_a_message_is_awaited_leaves_no_answer_for_the_next_task(
    child: TaskProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = child.call(f"{TASKS}:echo", "first", ignore_progress)

    def interrupted(_self: object, _seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(process_module._Child, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            child.call(f"{TASKS}:echo", "second", ignore_progress)
    third = child.call(f"{TASKS}:echo", "third", ignore_progress)
    assert third["argument"] == "third"
    assert third["pid"] != first["pid"]
