"""Workers: they claim jobs, do them by a function that they are given, and say how it went.

While a job runs, a thread beside it renews the lease. The function reports each frame; there the
worker notices that the job was cancelled, that another worker took it, or that it should stop.
"""

from __future__ import annotations

import atexit
import logging
import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from engine.errors import Cancelled, EngineError, JobError, LeaseLost
from engine.jobs.job_store import CANCELLED, Job, JobStore
from engine.jobs.process import Tell, Unexpected

LEASE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.5
_BEATS = 4  # renewals in the time of a lease, so that a slow disk may fail a few
_TELL_SECONDS = 0.2  # between two records of the progress

# Python 3.12.0 to 3.12.2 start no thread once the main one has ended (python/cpython#113964).
STARTS_THREADS_AT_EXIT: Final = not (3, 12, 0) <= sys.version_info[:3] < (3, 12, 3)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What a job made: the file `made`, if any, is to be moved to `output` on the same disk."""

    output: Path
    metrics: Mapping[str, Any]
    made: Path | None = None
    overwrite: bool = False


Perform: TypeAlias = Callable[[Job, Tell], Made]


def worker_name() -> str:
    """A name for a worker that no other one has."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(3)}"


def run_worker(
    store: JobStore,
    perform: Perform,
    *,
    stop: threading.Event | None = None,
    until_idle: bool = False,
    lease_seconds: float = LEASE_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> int:
    """Does jobs until `stop` is set or, with `until_idle`, none waits; returns how many it did.

    When `stop` is set, the job in work ends at its next frame and is queued again.
    """
    stop = stop or threading.Event()
    name = worker_name()
    done = 0
    while not stop.is_set():
        store.expire()
        job = store.claim(name, lease_seconds)
        if job is not None:
            work_at(store, job, perform, stop=stop, lease_seconds=lease_seconds)
            done += 1
        elif until_idle:
            break
        else:
            stop.wait(poll_seconds)
    return done


def work_at(
    store: JobStore,
    job: Job,
    perform: Perform,
    *,
    stop: threading.Event,
    lease_seconds: float = LEASE_SECONDS,
) -> None:
    """Does one claimed job, and records how it ended."""
    try:
        with _kept(store, job, lease_seconds):
            try:
                _deliver(store, job, perform(job, _teller(store, job, stop)))
            except LeaseLost:
                raise
            except _Stopped:
                store.release(job)
            except Cancelled:
                store.fail(job, CANCELLED)
            except EngineError as error:
                store.fail(job, str(error))
            except Exception as error:
                if not _can_start_threads():
                    raise _given_back(store, job) from error
                # Whoever waits must hear of it.
                _log.exception("The job %s failed unexpectedly.", job.id)
                kind = "" if isinstance(error, Unexpected) else f"{type(error).__name__}: "
                store.fail(job, f"Unexpected {kind}{error}".rstrip(": "))
            except BaseException:
                # The process is being stopped: another worker shall begin anew.
                store.release(job)
                raise
    except (LeaseLost, _Stopped) as error:
        _log.warning("%s", error)


def _deliver(store: JobStore, job: Job, made: Made) -> None:
    """Completes the job; where that cannot be, what it made does not stay."""
    try:
        store.complete(job, made.output, made.metrics, made=made.made, overwrite=made.overwrite)
    finally:
        if made.made is not None:
            made.made.unlink(missing_ok=True)


class _Stopped(Cancelled):
    """The worker should stop; the job goes back to the queue."""


def _can_start_threads() -> bool:
    return STARTS_THREADS_AT_EXIT or threading.main_thread().is_alive()


def _given_back(store: JobStore, job: Job) -> _Stopped:
    """The error for a job that cannot be done while this process ends; it is queued again."""
    store.release(job)
    return _Stopped(
        f"This Python ({platform.python_version()}) starts no thread while it ends; the job "
        f"{job.id} is queued again. Wait for it before the program ends, or take Python 3.12.3 or "
        "newer."
    )


def _teller(store: JobStore, job: Job, stop: threading.Event) -> Tell:
    """What the function calls at each frame: it records progress, and may raise to end the job."""
    told = 0.0

    def tell(done: int, total: int | None) -> None:
        nonlocal told
        if stop.is_set():
            raise _Stopped("The worker stops; the job is queued again.")
        if store.is_cancelled(job):
            raise Cancelled(CANCELLED)
        now = time.monotonic()
        if now - told >= _TELL_SECONDS or done == total:
            told = now
            store.progress(job, done, total)

    return tell


@contextmanager
def _kept(store: JobStore, job: Job, lease_seconds: float) -> Generator[None]:
    """Renews the job's lease for as long as the context is open, or until it is lost."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(lease_seconds / _BEATS):
            try:
                store.heartbeat(job, lease_seconds)
            except LeaseLost:
                return
            except JobError as error:
                # A disk may be slow for a while, and the next beat may come through.
                _log.warning("The lease of the job %s was not renewed: %s", job.id, error)

    thread = threading.Thread(target=beat, name="engine-lease", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if _can_start_threads():
            raise
        raise _given_back(store, job) from error
    try:
        yield
    finally:
        over.set()
        thread.join()


class Helper:
    """A worker in a thread of this process, for the jobs that this process asked it to do.

    It is no daemon: a process that ends does so when its helper has done its jobs, or given them
    back where Python starts no thread by then. An interrupt then makes it stop at the next frame.
    Where the process is killed, its lease lapses and another worker does them.
    """

    def __init__(
        self, store: JobStore, perform: Perform, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._store = store
        self._perform = perform
        self._lease_seconds = lease_seconds
        self._name = worker_name()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._thread: threading.Thread | None = None

    def ask(self, request_id: str) -> None:
        """Sees to it that somebody in this process does the job, should it wait."""
        with self._lock:
            self._asked.add(request_id)
            if self._thread is None and not self._stop.is_set():
                # Run once the wait for the thread is over, which only an interrupt cuts short.
                atexit.unregister(self.close)
                atexit.register(self.close)
                self._thread = threading.Thread(target=self._work, name="engine-jobs")
                self._thread.start()

    def close(self) -> None:
        """Stops at the next frame; the job in work is queued again."""
        atexit.unregister(self.close)
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                work_at(
                    self._store,
                    job,
                    self._perform,
                    stop=self._stop,
                    lease_seconds=self._lease_seconds,
                )
                self._store.expire()
            except JobError:
                # A store that fails for a while must not leave the other jobs undone.
                _log.exception("The job %s could not be recorded; its lease will lapse.", job.id)

    def _next(self) -> Job | None:
        """The next job, or None: then the thread ends, and this is said under the lock."""
        with self._lock:
            job = None
            try:
                if not self._stop.is_set() and _can_start_threads():
                    job = self._store.claim(self._name, self._lease_seconds, self._asked)
            finally:
                if job is None:
                    # None of them waits: each is done, or another worker is at it.
                    self._asked.clear()
                    self._thread = None
            return job
