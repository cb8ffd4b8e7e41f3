"""Workers: each job is performed once, by a living worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import ContentBlocked, LeaseLost
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import ReportProgress
from engine.jobs.worker import (
    STARTS_THREADS_AT_EXIT,
    BackgroundWorker,
    JobResult,
    perform_job,
    run_worker,
)

ROOT = Path(__file__).parents[2]

# Performs jobs and logs each in a file per process; fails if two processes perform the same job.
CROWD = """
import os, sys, time
from pathlib import Path
from engine.jobs.job_store import JobStore
from engine.jobs.worker import JobResult, run_worker

home, begin = Path(sys.argv[1]), Path(sys.argv[2])

def perform(job, report):
    lock = job.folder / "at work"
    os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    report(1, 1)
    # Otherwise one process could perform all jobs before the others start.
    while job.request["n"] == 0 and not list(home.glob("*.log")):
        time.sleep(0.01)
    lock.unlink()
    with (home / f"{os.getpid()}.log").open("a") as log:
        log.write(f"{job.id}\\n")
    return JobResult(job.folder / "output", {"n": job.request["n"]})

print("ready", flush=True)
while not begin.exists():
    time.sleep(0.01)
with JobStore(home) as store:
    run_worker(store, perform, until_idle=True)
"""

# Performs a job in many steps.
SLOW = """
import sys, time
from pathlib import Path
from engine.jobs.job_store import JobStore
from engine.jobs.worker import run_worker

def perform(job, report):
    for n in range(10_000):
        report(n, 10_000)
        (job.folder / "begun").touch()
        time.sleep(0.01)

with JobStore(Path(sys.argv[1])) as store:
    run_worker(store, perform, lease_seconds=600)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    before = set(threading.enumerate())
    with JobStore(tmp_path / "home") as one:
        yield one
    assert set(threading.enumerate()) <= before


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for a condition; long, as other processes may slow this one down."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


def done(job: Job, report: ReportProgress) -> JobResult:
    report(1, 1)
    made = job.folder / "made"
    made.write_text(str(job.request))
    return JobResult(job.folder / "output", {"frames": 1}, partial=made)


def test_two_hundred_jobs_and_eight_processes(tmp_path: Path) -> None:
    home, begin = tmp_path / "home", tmp_path / "begin"
    with JobStore(home) as store:
        ids = {store.add({"n": n}).id: n for n in range(200)}
        crowd = [
            subprocess.Popen(
                [sys.executable, "-c", CROWD, str(home), str(begin)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(8)
        ]
        for one in crowd:
            assert one.stdout
            one.stdout.readline()
        begin.touch()
        for one in crowd:
            _, words = one.communicate(timeout=300)
            assert (one.returncode, words) == (0, b"")
        ran = Counter(line for log in home.glob("*.log") for line in log.read_text().splitlines())
        assert ran == Counter(ids.keys())
        assert {job.id: job.metrics["n"] for job in store.list()} == ids
        assert {job.state for job in store.list()} == {"COMPLETED"}
        assert len(list(home.glob("*.log"))) > 1


def test_a_killed_workers_job_is_done_by_another(store: JobStore) -> None:
    job = store.add({})
    victim = subprocess.Popen([sys.executable, "-c", SLOW, str(store.folder)], cwd=ROOT)
    wait_until((job.folder / "begun").exists)
    assert store.get(job.id).state == "PROCESSING"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert run_worker(store, done, until_idle=True) == 0

    with JobStore(store.folder, steady=lambda: time.monotonic() + 601) as later:
        assert later.get(job.id).state == "QUEUED"
        assert run_worker(later, done, until_idle=True) == 1
        assert later.get(job.id).state == "COMPLETED"
        assert later.get(job.id).claim == 2


def test_the_lease_is_renewed_for_as_long_as_the_work_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, beats = 1000.0, 0
    with JobStore(tmp_path / "home", steady=lambda: now) as store:
        store.add({})
        heartbeat = store.heartbeat

        def counted(job: Job, lease_seconds: float) -> bool:
            nonlocal beats
            is_cancelled = heartbeat(job, lease_seconds)
            beats += 1
            return is_cancelled

        monkeypatch.setattr(store, "heartbeat", counted)

        def slow(job: Job, report: ReportProgress) -> JobResult:
            nonlocal now
            # No progress is reported meanwhile, as for a still or a slow network.
            for _ in range(5):
                now += 0.3
                assert store.claim("greedy", 30) is None
                before = beats
                # The second renewal began after the clock moved.
                wait_until(lambda before=before: beats >= before + 2)  # type: ignore[misc]
            return done(job, report)

        assert run_worker(store, slow, until_idle=True, lease_seconds=0.4) == 1
        assert store.list()[0].state == "COMPLETED"


def test_who_lost_the_lease_stops_at_the_next_frame_and_writes_nothing(store: JobStore) -> None:
    store.add({})
    first = store.claim("first", -1)
    assert first

    def lose_lease(job: Job, report: ReportProgress) -> JobResult:
        assert store.claim("second", 30)
        with pytest.raises(LeaseLost):
            report(1, 2)
        return done(job, lambda *_: None)

    perform_job(store, first, lose_lease, stop=threading.Event())
    job = store.get(first.id)
    assert (job.state, job.worker, job.output) == ("PROCESSING", "second", None)
    assert not (job.folder / "output").exists()


def test_a_job_is_cancelled_at_its_next_frame(store: JobStore) -> None:
    job = store.add({})
    frames: list[int] = []

    def endless(job: Job, report: ReportProgress) -> JobResult:
        for n in range(100):
            report(n, 100)
            frames.append(n)
            if n == 3:
                store.cancel(job.id)
        return done(job, report)

    run_worker(store, endless, until_idle=True)
    assert frames == [0, 1, 2, 3]
    assert (store.get(job.id).state, store.get(job.id).error) == (
        "FAILED",
        "The job was cancelled.",
    )


def test_a_worker_told_to_stop_gives_its_job_back(store: JobStore) -> None:
    job, stop = store.add({}), threading.Event()

    def endless(_: Job, report: ReportProgress) -> JobResult:
        stop.set()
        report(1, 2)
        raise AssertionError("it went on")

    run_worker(store, endless, stop=stop)
    assert store.get(job.id).state == "QUEUED"
    assert run_worker(store, done, until_idle=True) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ContentBlocked("The content check refuses it."), "The content check refuses it."),
        (ZeroDivisionError("division by zero"), "Unexpected ZeroDivisionError: division by zero"),
    ],
)
def test_a_failure_is_recorded_and_the_next_job_done(
    store: JobStore, error: Exception, words: str
) -> None:
    bad, good = store.add({"bad": True}), store.add({"bad": False})

    def perform(job: Job, report: ReportProgress) -> JobResult:
        if job.request["bad"]:
            raise error
        return done(job, report)

    assert run_worker(store, perform, until_idle=True) == 2
    assert (store.get(bad.id).state, store.get(bad.id).error) == ("FAILED", words)
    assert store.get(good.id).state == "COMPLETED"


def test_an_interrupt_gives_the_job_back(store: JobStore) -> None:
    job = store.add({})

    def interrupted(_: Job, _tell: ReportProgress) -> JobResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker(store, interrupted)
    assert store.get(job.id).state == "QUEUED"


def test_a_lasting_worker_waits_for_jobs(store: JobStore) -> None:
    stop = threading.Event()
    thread = threading.Thread(
        target=run_worker, args=(store, done), kwargs={"stop": stop, "poll_seconds": 0.01}
    )
    thread.start()
    job = store.add({})
    wait_until(lambda: store.get(job.id).state == "COMPLETED")
    stop.set()
    thread.join()


def test_a_background_worker_is_there_while_its_jobs_wait(store: JobStore) -> None:
    worker = BackgroundWorker(store, done)
    for _ in range(3):
        ids = [store.add({}).id for _ in range(5)]
        for one in ids:
            worker.request(one)
        wait_until(lambda ids=ids: all(store.get(one).is_finished for one in ids))  # type: ignore[misc]
        wait_until(lambda: "engine-jobs" not in {thread.name for thread in threading.enumerate()})
    worker.close()
    worker.request(store.add({}).id)
    assert store.list()[-1].state == "QUEUED"


def test_a_background_worker_leaves_the_jobs_of_others_alone(store: JobStore) -> None:
    others = [store.add({}).id for _ in range(3)]
    mine = store.add({}).id
    worker = BackgroundWorker(store, done)
    worker.request(mine)
    wait_until(lambda: store.get(mine).is_finished)
    wait_until(lambda: "engine-jobs" not in {thread.name for thread in threading.enumerate()})
    worker.close()
    assert {store.get(one).state for one in others} == {"QUEUED"}


def test_each_job_that_is_done_makes_room(tmp_path: Path) -> None:
    with JobStore(tmp_path / "home", retention=0) as store:
        first = store.add({})
        run_worker(store, done, until_idle=True)
        wait_until(lambda: time.time() > first.created + 0.01)
        worker = BackgroundWorker(store, done)
        worker.request(store.add({}).id)
        wait_until(lambda: not list(store.files.iterdir()))
        worker.close()


def test_a_background_worker_that_is_closed_gives_its_job_back(store: JobStore) -> None:
    begun = threading.Event()

    def endless(_: Job, report: ReportProgress) -> JobResult:
        while True:
            report(1, 2)
            begun.set()
            time.sleep(0.005)

    job = store.add({})
    worker = BackgroundWorker(store, endless)
    worker.request(job.id)
    assert begun.wait(300)
    worker.close()
    assert store.get(job.id).state == "QUEUED"


def test_a_process_that_ends_does_its_jobs_first(store: JobStore) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from engine.jobs.job_store import JobStore\n"
        "from engine.jobs.worker import BackgroundWorker, JobResult\n"
        "from engine.pipeline.threads import ordered_map\n"
        "def perform(job, report):\n"
        "    time.sleep(0.3)\n"  # the main thread is over by then
        "    n = sum(ordered_map(lambda n: n, range(20), workers=2, depth=4))\n"
        "    return JobResult(job.folder / 'output', {'sum': n})\n"
        "store = JobStore(Path(sys.argv[1]))\n"
        "worker = BackgroundWorker(store, perform)\n"
        "worker.request(store.add({}).id), worker.request(store.add({}).id)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(store.folder)],
        cwd=ROOT,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        stderr=subprocess.PIPE,
        text=True,
    )
    states = [(job.state, job.metrics) for job in store.list()]
    if STARTS_THREADS_AT_EXIT:
        assert states == [("COMPLETED", {"sum": 190})] * 2
    else:
        assert states == [("QUEUED", {})] * 2
        assert "Traceback" not in ran.stderr


def interrupted(process: subprocess.Popen[str]) -> bool:
    """Send one more interrupt, and return whether the process has ended five seconds later."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_second_interrupt_gives_the_job_back(store: JobStore) -> None:
    script = (
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "from engine.jobs.job_store import JobStore\n"
        "from engine.jobs.worker import BackgroundWorker\n"
        # A process started in the background inherits an interrupt that is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def perform(job, report):\n"
        "    for n in range(100_000):\n"
        "        report(n, 100_000)\n"
        "        time.sleep(0.01)\n"
        "store = JobStore(Path(sys.argv[1]))\n"
        "worker = BackgroundWorker(store, perform)\n"
        "worker.request(store.add({}).id)\n"
        "print('submitted', flush=True)\n"
        "time.sleep(600)\n"
    )
    submitter = subprocess.Popen(
        [sys.executable, "-c", script, str(store.folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with submitter:
        assert submitter.stdout
        try:
            submitter.stdout.readline()
            wait_until(lambda: store.list()[0].state == "PROCESSING")
            submitter.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert submitter.poll() is None
            assert store.list()[0].state == "PROCESSING"
            wait_until(lambda: interrupted(submitter))
        finally:
            submitter.kill()
    assert store.list()[0].state == "QUEUED"
