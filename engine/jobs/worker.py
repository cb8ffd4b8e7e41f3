"""Workers: claim jobs from the store, run a given function on each, and record the outcome.

While a job runs, a second thread renews its lease. The function reports each frame; at these calls
the worker notices that the job was cancelled, that another worker claimed it, or that it must stop.
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
from engine.jobs.process import ReportProgress, TaskError

LEASE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.5
_RENEWALS = 4  # per lease, so that a few may fail on a slow disk
_RECORD_SECONDS = 0.2  # between two records of the progress

# Python 3.12.0 to 3.12.2 start no thread once the main one has ended (python/cpython#113964).
STARTS_THREADS_AT_EXIT: Final = not (3, 12, 0) <= sys.version_info[:3] < (3, 12, 3)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobResult:
    """Result of a job.

    Attributes:
        output: final path of the output.
        metrics: values for the job's record, as JSON can hold them.
        partial: the partial output on the same disk, to be moved to `output`; None where there is
            nothing to move.
        overwrite: replace a file that exists at `output`.
    """

    output: Path
    metrics: Mapping[str, Any]
    partial: Path | None = None
    overwrite: bool = False


Perform: TypeAlias = Callable[[Job, ReportProgress], JobResult]


def worker_name() -> str:
    """Return a name for a worker that no other worker has."""
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
    """Perform jobs until `stop` is set or, with `until_idle`, until no job waits.

    When `stop` is set, the running job ends at its next frame and is queued again.

    Returns:
        The number of jobs performed.
    """
    stop = stop or threading.Event()
    name = worker_name()
    count = 0
    while not stop.is_set():
        store.expire()
        job = store.claim(name, lease_seconds)
        if job is not None:
            perform_job(store, job, perform, stop=stop, lease_seconds=lease_seconds)
            count += 1
        elif until_idle:
            break
        else:
            stop.wait(poll_seconds)
    return count


def perform_job(
    store: JobStore,
    job: Job,
    perform: Perform,
    *,
    stop: threading.Event,
    lease_seconds: float = LEASE_SECONDS,
) -> None:
    """Perform one claimed job and record its outcome."""
    try:
        with _renew_lease(store, job, lease_seconds):
            try:
                _complete(store, job, perform(job, _progress_callback(store, job, stop)))
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
                    raise _release_at_exit(store, job) from error
                # Whoever waits for the job must learn of the error.
                _log.exception("The job %s failed unexpectedly.", job.id)
                kind = "" if isinstance(error, TaskError) else f"{type(error).__name__}: "
                store.fail(job, f"Unexpected {kind}{error}".rstrip(": "))
            except BaseException:
                # The process is being stopped: another worker starts the job again.
                store.release(job)
                raise
    except (LeaseLost, _Stopped) as error:
        _log.warning("%s", error)


def _complete(store: JobStore, job: Job, result: JobResult) -> None:
    """Complete the job; remove its partial output where that fails."""
    try:
        store.complete(
            job,
            result.output,
            result.metrics,
            partial=result.partial,
            overwrite=result.overwrite,
        )
    finally:
        if result.partial is not None:
            result.partial.unlink(missing_ok=True)


class _Stopped(Cancelled):
    """The worker must stop; the job goes back to the queue."""


def _can_start_threads() -> bool:
    return STARTS_THREADS_AT_EXIT or threading.main_thread().is_alive()


def _release_at_exit(store: JobStore, job: Job) -> _Stopped:
    """Queue a job again that cannot be performed while this process exits; return the error."""
    store.release(job)
    return _Stopped(
        f"Python {platform.python_version()} cannot start threads while it exits; the job {job.id} "
        "is queued again. Wait for it before the program ends, or use Python 3.12.3 or newer."
    )


def _progress_callback(store: JobStore, job: Job, stop: threading.Event) -> ReportProgress:
    """Return a callback that records progress and raises where the job must end."""
    recorded = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal recorded
        if stop.is_set():
            raise _Stopped("The worker stops; the job is queued again.")
        if store.is_cancelled(job):
            raise Cancelled(CANCELLED)
        now = time.monotonic()
        if now - recorded >= _RECORD_SECONDS or done == total:
            recorded = now
            store.progress(job, done, total)

    return report


@contextmanager
def _renew_lease(store: JobStore, job: Job, lease_seconds: float) -> Generator[None]:
    """Renew the job's lease from a thread until the context ends or the lease is lost."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(lease_seconds / _RENEWALS):
            try:
                store.heartbeat(job, lease_seconds)
            except LeaseLost:
                return
            except JobError as error:
                # A disk may be slow for a while, and the next renewal may succeed.
                _log.warning("The lease of the job %s was not renewed: %s", job.id, error)

    thread = threading.Thread(target=renew, name="engine-lease", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if _can_start_threads():
            raise
        raise _release_at_exit(store, job) from error
    try:
        yield
    finally:
        ended.set()
        thread.join()


class BackgroundWorker:
    """A worker in a thread of this process, for the jobs that this process requests.

    The thread is not a daemon: a process that exits waits until the requested jobs are done, or
    queues them again where Python cannot start threads at exit. An interrupt then stops the worker
    at the next frame. When the process is killed, its leases lapse and another worker takes over.
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
        self._requested: set[str] = set()
        self._thread: threading.Thread | None = None

    def request(self, request_id: str) -> None:
        """Perform the job in this process if no other worker claims it first."""
        with self._lock:
            self._requested.add(request_id)
            if self._thread is None and not self._stop.is_set():
                # At exit, Python first waits for the thread, then calls this; only an interrupt
                # cuts the wait short.
                atexit.unregister(self.close)
                atexit.register(self.close)
                self._thread = threading.Thread(target=self._work, name="engine-jobs")
                self._thread.start()

    def close(self) -> None:
        """Stop at the next frame; the running job is queued again."""
        atexit.unregister(self.close)
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while (job := self._claim()) is not None:
            try:
                perform_job(
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

    def _claim(self) -> Job | None:
        """Claim the next requested job; return None to end the thread, decided under the lock."""
        with self._lock:
            job = None
            try:
                if not self._stop.is_set() and _can_start_threads():
                    job = self._store.claim(self._name, self._lease_seconds, self._requested)
            finally:
                if job is None:
                    # None of them waits: each is done, or another worker holds it.
                    self._requested.clear()
                    self._thread = None
            return job
