"""The job store: a SQLite file and one folder per job, for one user of this machine.

A worker holds a job by a lease that it renews. A job whose lease has lapsed is queued again, and
its former worker can no longer change its record: each claim has a number (a fencing token), and
every write names the claim under which it is made.

Leases and ages are measured by the steady clock (`time.monotonic`), which is not affected by
changes of the date; on Linux and macOS it stops while a laptop sleeps. It restarts at a boot. A
stored value that is ahead of the clock was measured before the boot. One that is behind may also
have been; then a lease lapses a little late and a result is kept too long, never the reverse.

The file is in WAL mode, whose readers and writers share memory: the folder must be on a local
disk, not on a network file system such as NFS or SMB.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from platformdirs import user_data_path

from engine.closeable import Closeable
from engine.errors import JobError, JobNotFound, LeaseLost, OutputExists, ParameterError, QueueFull

HOME_VARIABLE: Final = "FACESWAP_ENGINE_HOME"
HOUR: Final = 3600.0
MAX_DEATHS: Final = 3
_BUSY_SECONDS = 60.0  # to wait for another process that holds the database
_ORPHAN_SECONDS = 24 * HOUR

State: TypeAlias = Literal["QUEUED", "PROCESSING", "COMPLETED", "FAILED"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'QUEUED',
    created REAL NOT NULL,
    kept REAL NOT NULL,
    started REAL,
    finished REAL,
    worker TEXT,
    claim INTEGER NOT NULL DEFAULT 0,
    lease REAL NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    output TEXT,
    metrics TEXT NOT NULL DEFAULT '{}',
    error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
"""
# Columns that later versions added to the table. By the steady clock: `lease` is when the lease was
# renewed, `term` its length in seconds, `ended` when the job finished. `bytes` is the size of the
# job's folder, and `placing` describes the output that is about to be moved into place (JSON).
_ADDED = {
    "term": "REAL NOT NULL DEFAULT 0",
    "ended": "REAL",
    "bytes": "INTEGER NOT NULL DEFAULT 0",
    "placing": "TEXT",
}

# A renewal may be a little ahead of a reader that took the time before it read the row; one that is
# further ahead was made before a boot.
_LAPSED = "(state = 'PROCESSING' AND NOT :steady BETWEEN lease - term AND lease + term)"
# After a boot, the date alone says how long ago a job finished.
_OLD = """(state IN ('COMPLETED', 'FAILED')
    AND CASE WHEN ended <= :steady + 60 THEN :steady - ended ELSE :now - finished END > kept)"""
_SELECT = f"SELECT *, {_LAPSED} AS lapsed, {_OLD} AS old FROM jobs"  # noqa: S608 - constants

# Assign the oldest job that no worker holds to this worker.
_CLAIM = f"""
UPDATE jobs SET state = 'PROCESSING', worker = :worker, claim = claim + 1, lease = :steady,
    term = :term, started = :now, done = 0, total = NULL, placing = NULL,
    deaths = deaths + (state = 'PROCESSING')
WHERE number = (
    SELECT number FROM jobs
    WHERE (state = 'QUEUED' OR {_LAPSED})
        AND (:only IS NULL OR id IN (SELECT value FROM json_each(:only)))
    ORDER BY number LIMIT 1
)
RETURNING *
"""  # noqa: S608 - constants
_FAIL = "UPDATE jobs SET state = 'FAILED', finished = :now, ended = :steady, error = :error"
# Give up a job that ended its worker several times; it would end every other worker, too.
_GIVE_UP = f"{_FAIL} WHERE {_LAPSED} AND deaths >= :most RETURNING *"
_CANCEL_LAPSED = f"{_FAIL} WHERE {_LAPSED} AND cancelled RETURNING *"
_COMPLETE = """
UPDATE jobs SET state = 'COMPLETED', finished = :now, ended = :steady, output = :output,
    metrics = :metrics, bytes = :bytes, error = NULL, done = coalesce(total, done)
WHERE number = :number
"""
_DIED = (
    f"The worker was killed {MAX_DEATHS} times while it performed this job, or the machine went "
    "down; submit the job again when the cause is removed."
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAMAGED = "The record of this job in jobs.sqlite3 is damaged ({}); submit the job again."
CANCELLED: Final = "The job was cancelled."


@dataclass(frozen=True, slots=True)
class Job:
    """A queued request: a snapshot of its record in the store.

    Attributes:
        id: a UUID, the request id of the hosted API.
        request: the parameters, as JSON can hold them.
        state: QUEUED, PROCESSING, COMPLETED or FAILED.
        folder: the job's own folder.
        created: when it was submitted, in seconds since the epoch (Unix time).
        started: when the current or last claim began, likewise.
        finished: when it was COMPLETED or FAILED, likewise.
        worker: name of the worker of the current or last claim.
        claim: number of the current or last claim, from 1.
        done: frames done.
        total: frames in all, where known.
        output: the output of a COMPLETED job.
        metrics: the report of a COMPLETED job and its duration.
        error: why the job is FAILED.
    """

    id: str
    request: Mapping[str, Any]
    state: State
    folder: Path
    created: float
    started: float | None = None
    finished: float | None = None
    worker: str | None = None
    claim: int = 0
    done: int = 0
    total: int | None = None
    output: Path | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_finished(self) -> bool:
        """True if the state is COMPLETED or FAILED."""
        return self.state in ("COMPLETED", "FAILED")

    def find_partials(self, output: Path, claim: int | None = None) -> Iterator[Path]:
        """Yield the partial outputs of this job beside its output, or those of one claim."""
        pattern = f"*.{glob.escape(self.id)}-{'*' if claim is None else f'{claim}.*'}"
        return output.parent.glob(pattern)

    def partial_path(self, output: Path) -> Path:
        """Return the path of this claim's partial output, in the folder of the output."""
        return output.with_name(f".{output.stem}.{self.id}-{self.claim}{output.suffix}")

    def remove_partials(self, claim: int | None = None) -> None:
        """Remove the partial outputs of this job, or those of one claim."""
        output = self.request.get("output")
        for path in self.find_partials(Path(output) if output else self.folder / "output", claim):
            path.unlink(missing_ok=True)

    @property
    def work_folder(self) -> Path:
        """Folder of the work files, from which another worker goes on."""
        return self.folder / "work"

    def remove_work(self) -> None:
        """Remove partial outputs and work files, once nobody will go on with them."""
        self.remove_partials()
        shutil.rmtree(self.work_folder, ignore_errors=True)


def default_folder() -> Path:
    """Return the folder of the jobs: FACESWAP_ENGINE_HOME or the user's data folder."""
    folder = os.environ.get(HOME_VARIABLE)
    return Path(folder).absolute() if folder else user_data_path("faceswap-engine", appauthor=False)


class JobStore(Closeable):
    """The jobs in a folder; a context manager. Threads and processes may share it.

    Args:
        folder: the folder of the jobs, created if missing; None takes `default_folder()`.
        retention: seconds for which a job added here and its files are kept after it finished.
        queue_limit: maximum number of waiting jobs; None for no limit.
        clock: returns seconds since the epoch (Unix time), for display.
        steady: returns seconds since a moment that is the same for all processes that share the
            store, such as the boot; they never decrease until the next boot.

    Raises:
        JobError: The folder cannot be used.
        ParameterError: A setting is out of range.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        retention: float = HOUR,
        queue_limit: int | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        # A NaN is not above anything.
        if not _is_number(retention) or not retention >= 0:
            raise ParameterError(
                f"retention is {retention!r}; allowed: seconds from 0, as a number."
            )
        if queue_limit is not None and not (isinstance(queue_limit, int) and queue_limit >= 1):
            raise ParameterError(
                f"queue_limit is {queue_limit!r}; allowed: a whole number from 1, or None."
            )
        self.retention = retention
        self.queue_limit = queue_limit
        self._clock = clock
        self._steady = steady
        self._lock = threading.RLock()
        self.folder = (folder or default_folder()).absolute()
        try:
            # Resolved, so that paths in the records compare equal in every process.
            self.folder = self.folder.resolve()
            self.files = self.folder / "jobs"
            # One call each: `mkdir(parents=True)` applies the mode to the last folder only.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.files.mkdir(mode=0o700, exist_ok=True)
            self._database = _open_database(self.folder / "jobs.sqlite3")
        except (OSError, RuntimeError, sqlite3.Error) as error:
            raise _unusable(self.folder, error) from error
        self.expire()
        self._remove_orphans()

    def close(self) -> None:
        """Close the database; jobs stay as they are."""
        with self._lock:
            self._database.close()

    def now(self) -> float:
        """Return seconds since the epoch, by the store's clock."""
        return self._clock()

    def stored_bytes(self) -> int:
        """Return the size of all jobs' files; those of running jobs count as when submitted."""
        with self._using() as database:
            return _number(database, "SELECT coalesce(sum(bytes), 0) FROM jobs")

    def new_folder(self) -> Path:
        """Create an empty folder for a job to be added; its name becomes the job's id."""
        folder = self.files / str(uuid.uuid4())
        folder.mkdir(mode=0o700)
        return folder

    def discard(self, folder: Path) -> None:
        """Remove the folder of a job that was not added or has expired."""
        shutil.rmtree(folder, ignore_errors=True)

    def add(self, request: Mapping[str, Any], folder: Path | None = None) -> Job:
        """Queue a job.

        Args:
            request: the parameters, as JSON can hold them.
            folder: the job's folder from `new_folder`; None creates one.

        Raises:
            QueueFull: `queue_limit` jobs are waiting.
        """
        text = json.dumps(request)
        self.expire()
        folder = folder or self.new_folder()
        with self._transaction() as database:
            waiting = _number(database, "SELECT count(*) FROM jobs WHERE state = 'QUEUED'")
            if self.queue_limit is not None and waiting >= self.queue_limit:
                self.discard(folder)
                raise QueueFull(
                    f"{waiting} jobs are waiting; allowed: {self.queue_limit}. Try again later."
                )
            row = database.execute(
                "INSERT INTO jobs (id, request, created, kept, bytes) VALUES (?, ?, ?, ?, ?) "
                "RETURNING *",
                (folder.name, text, self.now(), self.retention, folder_bytes(folder)),
            ).fetchone()
            return self._job(row)

    def get(self, request_id: str) -> Job:
        """Return the job with an id.

        Raises:
            JobNotFound: There is no such job, or its retention is over.
        """
        row = self._one(
            f"{_SELECT} WHERE id = :id", {**self._times(), "id": _escape_surrogates(request_id)}
        )
        if row is not None and row["old"]:
            self.expire()
            row = None
        if row is None:
            raise JobNotFound(
                f"There is no job {request_id[:80]!r}: the id is wrong, or the job has expired."
            )
        return self._job(row, lapsed=row["lapsed"])

    def list(self) -> tuple[Job, ...]:
        """Return all jobs, in the order of their submission."""
        with self._using() as database:
            rows = database.execute(f"{_SELECT} ORDER BY number", self._times()).fetchall()
        return tuple(self._job(row, lapsed=row["lapsed"]) for row in rows if not row["old"])

    def claim(
        self, worker: str, lease_seconds: float, only: Collection[str] | None = None
    ) -> Job | None:
        """Claim the oldest waiting job for a worker; return None where none waits.

        Args:
            worker: the worker's name.
            lease_seconds: length of the lease.
            only: ids of the jobs that the worker may claim; None for all.
        """
        with self._transaction() as database:
            # Read after the wait for other writers.
            times = self._times()
            self._complete_placed_jobs(database)
            failed = database.execute(_CANCEL_LAPSED, {**times, "error": CANCELLED}).fetchall()
            failed += database.execute(
                _GIVE_UP, {**times, "error": _DIED, "most": MAX_DEATHS - 1}
            ).fetchall()
            ids = None if only is None else json.dumps([*only])
            claim = {**times, "worker": worker, "term": lease_seconds, "only": ids}
            while (row := database.execute(_CLAIM, claim).fetchone()) is not None:
                job = self._job(row)
                if not job.is_finished:
                    break
                # A damaged record must not keep the worker from the other jobs.
                damaged = {**times, "error": job.error, "number": row["number"]}
                database.execute(f"{_FAIL} WHERE number = :number", damaged)
        for failed_row in failed:
            self._job(failed_row).remove_work()
        return None if row is None else job

    def heartbeat(self, job: Job, lease_seconds: float) -> bool:
        """Renew the lease; return True if the job is to be cancelled.

        Raises:
            LeaseLost: The claim no longer holds the job.
        """
        row = self._execute_held(
            "UPDATE jobs SET lease = ?, term = ? WHERE {held} RETURNING cancelled",
            job,
            self._steady(),
            lease_seconds,
        )
        return bool(row["cancelled"])

    def is_cancelled(self, job: Job) -> bool:
        """Return True if the job is to be cancelled; fast enough for a call at every frame.

        Raises:
            LeaseLost: The claim no longer holds the job.
        """
        row = self._execute_held("SELECT cancelled FROM jobs WHERE {held}", job)
        return bool(row["cancelled"])

    def progress(self, job: Job, done: int, total: int | None) -> None:
        """Record the number of frames done.

        Raises:
            LeaseLost: The claim no longer holds the job.
        """
        self._execute_held(
            "UPDATE jobs SET done = ?, total = ? WHERE {held} RETURNING id", job, done, total
        )

    def complete(
        self,
        job: Job,
        output: Path,
        metrics: Mapping[str, Any],
        *,
        partial: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        """Move the partial output to `output`, on the same disk, and record the job as COMPLETED.

        A worker that lost its lease cannot replace the output of another. The move is recorded
        before it is made: where the record of the completion fails, or the process is killed
        before it, the job is later recorded as COMPLETED by the identity of the file at `output`.

        Raises:
            LeaseLost: The claim no longer holds the job.
            OutputExists: The output exists and `overwrite` is False.
        """
        placing = {
            "output": str(output),
            "metrics": json.dumps(metrics),
            "file": None if partial is None else _file_identity(partial),
        }
        self._execute_held(
            "UPDATE jobs SET placing = ? WHERE {held} RETURNING id", job, json.dumps(placing)
        )
        with self._transaction() as database:
            row = self._execute_held("SELECT * FROM jobs WHERE {held}", job)
            if partial is not None:
                if output.exists() and not overwrite:
                    raise OutputExists(
                        f"{output} exists; choose another name or overwrite it (overwrite=True)."
                    )
                partial.replace(output)
            self._record_completion(database, row, placing)

    def fail(self, job: Job, error: str) -> None:
        """Record the job as FAILED, or as COMPLETED where its output is already in place.

        Raises:
            LeaseLost: The claim no longer holds the job.
        """
        with self._transaction() as database:
            row = self._execute_held("SELECT * FROM jobs WHERE {held}", job)
            if not self._complete_if_placed(database, row):
                failed = {**self._times(), "error": _escape_surrogates(error), "id": job.id}
                database.execute(f"{_FAIL} WHERE id = :id", failed)
        job.remove_work()

    def release(self, job: Job) -> None:
        """Queue the job again; the next worker starts it from the beginning.

        Raises:
            LeaseLost: The claim no longer holds the job.
        """
        self._execute_held(
            "UPDATE jobs SET state = 'QUEUED', worker = NULL, started = NULL, lease = 0, done = 0, "
            "total = NULL WHERE {held} RETURNING id",
            job,
        )

    def cancel(self, request_id: str) -> Job:
        """Cancel a waiting job at once, a running one at its next frame.

        A cancelled job is FAILED; a finished one is not changed.

        Returns:
            The job after the change.

        Raises:
            JobNotFound: There is no job with this id.
        """
        with self._transaction() as database:
            self._complete_placed_jobs(database)
            job = self.get(request_id)
            if job.state == "QUEUED":
                cancel = {**self._times(), "error": CANCELLED, "id": job.id}
                database.execute(f"{_FAIL}, cancelled = 1 WHERE id = :id", cancel)
            elif job.state == "PROCESSING":
                database.execute("UPDATE jobs SET cancelled = 1 WHERE id = ?", (job.id,))
            cancelled = self.get(request_id)
        if job.state == "QUEUED":
            job.remove_work()
        return cancelled

    def expire(self) -> int:
        """Remove the jobs whose retention is over, with their folders; return their number.

        An output outside the job's folder is not removed.
        """
        with self._using() as database:
            rows = database.execute(
                f"DELETE FROM jobs WHERE {_OLD} RETURNING number, id",  # noqa: S608 - constants
                self._times(),
            ).fetchall()
        for row in rows:
            self.discard(self._folder(row))
        return len(rows)

    def _times(self) -> dict[str, float]:
        return {"now": self._clock(), "steady": self._steady()}

    def _complete_placed_jobs(self, database: sqlite3.Connection) -> None:
        """Complete the jobs whose output is in place, but whose completion was not recorded."""
        condition = f"placing IS NOT NULL AND (state = 'QUEUED' OR {_LAPSED})"
        query = f"SELECT * FROM jobs WHERE {condition}"  # noqa: S608 - constants
        for row in database.execute(query, self._times()).fetchall():
            self._complete_if_placed(database, row)

    def _complete_if_placed(self, database: sqlite3.Connection, row: sqlite3.Row) -> bool:
        """Complete a job if the recorded output of its claim is in place; return whether it is."""
        try:
            _check_text("placing", row["placing"])
            placing = json.loads(row["placing"] or "{}")
            is_placed: bool = placing["file"] == _file_identity(Path(placing["output"]))
        except (OSError, ValueError, TypeError, KeyError):
            return False
        if is_placed:
            self._record_completion(database, row, placing)
        return is_placed

    def _record_completion(
        self, database: sqlite3.Connection, row: sqlite3.Row, placing: Mapping[str, Any]
    ) -> None:
        values = {
            "number": row["number"],
            "output": _escape_surrogates(placing["output"]),
            "metrics": placing["metrics"],
            "bytes": folder_bytes(self._folder(row)),
        }
        database.execute(_COMPLETE, {**self._times(), **values})

    def _remove_orphans(self) -> None:
        """Remove old folders of jobs whose submitter died before it added them."""
        with self._using() as database:
            known = {row["id"] for row in database.execute("SELECT id FROM jobs")}
        for folder in self.files.iterdir():
            with suppress(FileNotFoundError):
                age = time.time() - folder.stat().st_mtime
                if folder.name not in known and age > _ORPHAN_SECONDS:
                    self.discard(folder)

    @contextmanager
    def _using(self) -> Generator[sqlite3.Connection]:
        """Lock the database for this thread; turn its errors into JobError."""
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise _unusable(self.folder, error) from error

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the write lock for a transaction; roll it back on an exception."""
        with self._using() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def _one(
        self, statement: str, values: Sequence[object] | Mapping[str, object]
    ) -> sqlite3.Row | None:
        with self._using() as database:
            row: sqlite3.Row | None = database.execute(statement, values).fetchone()
            return row

    def _execute_held(self, statement: str, job: Job, *values: object) -> sqlite3.Row:
        """Run a statement on the job's row and return the row.

        `{held}` in the statement becomes the condition that the claim still holds the job.

        Raises:
            LeaseLost: The claim no longer holds the job.
        """
        held = "id = ? AND claim = ? AND state = 'PROCESSING'"
        row = self._one(statement.format(held=held), (*values, job.id, job.claim))
        if row is None:
            raise LeaseLost(
                f"The worker {job.worker} no longer holds the job {job.id}: its lease lapsed, and "
                "another worker may have claimed the job."
            )
        return row

    def _job(self, row: sqlite3.Row, *, lapsed: bool = False) -> Job:
        """Convert a row to a job; a damaged row becomes a FAILED job with an error."""
        state, error = row["state"], row["error"]
        try:
            for name in row.keys():  # noqa: SIM118 - of a row, not a dictionary
                _check_text(name, row[name])
            _check_id(row["id"])
            request, metrics = _object(row["request"]), _object(row["metrics"])
            # `placing` holds the original path; `output` may hold escapes.
            output = _object(row["placing"] or "{}").get("output", row["output"])
            _check_state(state)
            _check_output(output, request.get("output"))
        except (ValueError, RecursionError) as damage:
            request, metrics, lapsed = {}, {}, False
            output = row["output"] and _escape_surrogates(row["output"])
            state, error = "FAILED", _DAMAGED.format(damage)
        return Job(
            id=_escape_surrogates(row["id"]),
            request=request,
            state="QUEUED" if lapsed else state,
            folder=self._folder(row),
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
            worker=None if row["worker"] is None else _escape_surrogates(row["worker"]),
            claim=row["claim"],
            done=row["done"],
            total=row["total"],
            output=None if output is None or row["output"] is None else Path(output),
            metrics=metrics,
            error=error,
        )

    def _folder(self, row: sqlite3.Row) -> Path:
        """Return a job's folder; for a damaged id, a path that is never created."""
        name = row["id"]
        return self.files / (name if _ID.fullmatch(name) else f"none-{row['number']}")


def _check_text(name: str, value: object) -> None:
    if isinstance(value, str) and _escape_surrogates(value) != value:
        raise ValueError(f"its {name} is not valid UTF-8")


def _check_id(value: str) -> None:
    if not _ID.fullmatch(value):
        raise ValueError("its id is not a UUID")


def _check_state(state: str) -> None:
    if state not in get_args(State):
        raise ValueError(f"its state is {state[:40]!r}")


def _check_output(*outputs: object) -> None:
    for output in outputs:
        if output is not None and not isinstance(output, str):
            raise ValueError(f"its output is {str(output)[:40]!r}")


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is not a JSON object")  # noqa: TRY004 - as bad JSON is
    return value


def _file_identity(path: Path) -> list[int]:
    """Return device, inode, size and time of change, which stay equal when a file is moved."""
    status = path.stat()
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def _unusable(folder: Path, error: Exception) -> JobError:
    return JobError(
        f"The folder of the jobs, {folder}, cannot be used ({error}); repair it, or name another "
        f"one by {HOME_VARIABLE}. If its jobs.sqlite3 is damaged, move that file away: its jobs "
        "are lost then."
    )


def folder_bytes(folder: Path) -> int:
    """Return the size of the files in a folder; a file removed meanwhile counts as 0 bytes."""
    total = 0
    # Unlike Path.rglob, os.walk skips folders that are removed meanwhile.
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total


def _open_database(path: Path) -> sqlite3.Connection:
    """Open the database, creating it if missing; several processes may do so at once."""
    # SQLite gives the WAL files the same mode; they hold users' requests.
    path.touch(mode=0o600)
    path.chmod(0o600)
    database = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        database.row_factory = sqlite3.Row
        # A damaged text must not make other rows unreadable.
        database.text_factory = _decode_text
        _enable_wal(database)
        # With WAL a power cut may lose the last writes, and cannot corrupt the file.
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
        _add_columns(database)
    except BaseException:
        database.close()
        raise
    return database


def _add_columns(database: sqlite3.Connection) -> None:
    """Add the columns that are missing in the table of an older version."""
    database.execute("BEGIN IMMEDIATE")
    known = {row["name"] for row in database.execute("PRAGMA table_info(jobs)")}
    for name, kind in _ADDED.items():
        if name not in known:
            database.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")
    database.execute("COMMIT")


def _enable_wal(database: sqlite3.Connection) -> None:
    """Put the database into WAL mode."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # The change needs an exclusive lock and, unlike other writes, does not wait for it.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _decode_text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(database: sqlite3.Connection, statement: str) -> int:
    number: int = database.execute(statement).fetchone()[0]
    return number


def _escape_surrogates(text: str) -> str:
    """Return a text with lone surrogates of file names escaped, as SQLite takes UTF-8 only."""
    return text.encode(errors="backslashreplace").decode()
