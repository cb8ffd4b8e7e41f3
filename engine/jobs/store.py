"""The jobs of this machine's user: one SQLite file and a folder for each job.

A worker holds a job by a lease that it renews. A job whose lease has lapsed is queued again, and
whoever held it can no longer write anything of it: each claim has a number (a fencing token), and
every write names the claim that it is made under.

The file is in WAL mode, whose readers and writers share memory: the folder must be on a disk of
this machine, not on a network file system such as NFS or SMB.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from platformdirs import user_data_path

from engine.errors import JobError, JobNotFound, LeaseLost, OutputExists, ParameterError, QueueFull

VARIABLE: Final = "FACESWAP_ENGINE_HOME"
HOUR: Final = 3600.0
MOST_DEATHS: Final = 3
_BUSY_SECONDS = 60.0  # that another process may hold the database
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

# The oldest job that nobody works on becomes this worker's.
_CLAIM = """
UPDATE jobs SET state = 'PROCESSING', worker = :worker, claim = claim + 1, lease = :lease,
    started = :now, done = 0, total = NULL, deaths = deaths + (state = 'PROCESSING')
WHERE number = (
    SELECT number FROM jobs
    WHERE (state = 'QUEUED' OR (state = 'PROCESSING' AND lease < :now))
        AND (:only IS NULL OR id IN (SELECT value FROM json_each(:only)))
    ORDER BY number LIMIT 1
)
RETURNING *
"""
# A job that takes its worker with it each time would do so for ever.
_GIVE_UP = """
UPDATE jobs SET state = 'FAILED', finished = :now, error = :error
WHERE state = 'PROCESSING' AND lease < :now AND deaths >= :most
RETURNING *
"""
_CANCEL_LAPSED = """
UPDATE jobs SET state = 'FAILED', finished = :now, error = :error
WHERE state = 'PROCESSING' AND lease < :now AND cancelled
RETURNING *
"""
CANCELLED: Final = "The job was cancelled."


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store had it at one moment; times are seconds since the epoch (Unix time).

    `done` and `total` count frames. `output` is set once the job is COMPLETED, `error` once it is
    FAILED. `folder` is the job's own. `claim` numbers the times that a worker took it.
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
        """Whether the state is a last one: COMPLETED or FAILED."""
        return self.state in ("COMPLETED", "FAILED")

    def partials(self, output: Path, claim: int | None = None) -> Iterator[Path]:
        """What workers have begun for this job beside its output, or what one claim has."""
        return output.parent.glob(f"*.{self.id}-{'*' if claim is None else f'{claim}.*'}")

    def partial(self, output: Path) -> Path:
        """A name beside the output for what this claim of the job makes."""
        return output.with_name(f".{output.stem}.{self.id}-{self.claim}{output.suffix}")

    def sweep(self, claim: int | None = None) -> None:
        """Removes what workers have left beside the output, or what the one of a claim has."""
        output = self.request.get("output")
        for left in self.partials(Path(output) if output else self.folder / "output", claim):
            left.unlink(missing_ok=True)


def home() -> Path:
    """The folder of the jobs: what FACESWAP_ENGINE_HOME names, else the user's data folder."""
    named = os.environ.get(VARIABLE)
    return Path(named).absolute() if named else user_data_path("faceswap-engine", appauthor=False)


class JobStore:
    """The jobs in a folder. Threads and processes may share it; a context manager.

    Args:
        folder: where the jobs lie; None takes `home()`. It is made where it is missing.
        retention: seconds that a job added here and its files are kept once it is finished.
        queue_limit: how many jobs may wait; None for as many as there are.
        clock: seconds since the epoch, the same for all who share the store.

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
        self.folder = (folder or home()).absolute()
        self.retention = retention
        self.queue_limit = queue_limit
        self._clock = clock
        self._lock = threading.RLock()
        self.files = self.folder / "jobs"
        try:
            # Parents that `mkdir` makes on its way would be open to all.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.files.mkdir(mode=0o700, exist_ok=True)
            self._database = _opened(self.folder / "jobs.sqlite3")
        except (OSError, sqlite3.Error) as error:
            raise _unusable(self.folder, error) from error
        self.expire()
        self._remove_orphans()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database; jobs stay as they are."""
        with self._lock:
            self._database.close()

    def now(self) -> float:
        """Seconds since the epoch, by the store's clock."""
        return self._clock()

    def new_folder(self) -> Path:
        """An empty folder for a job that is about to be added; its name will be the job's id."""
        folder = self.files / str(uuid.uuid4())
        folder.mkdir(mode=0o700)
        return folder

    def discard(self, folder: Path) -> None:
        """Removes the folder of a job that was not added after all."""
        shutil.rmtree(folder, ignore_errors=True)

    def add(self, request: Mapping[str, Any], folder: Path | None = None) -> Job:
        """Queues a job. `request` is what JSON can hold; `folder` comes from `new_folder`.

        Raises:
            QueueFull: As many jobs wait as may.
        """
        text = json.dumps(request)
        self.expire()
        folder = folder or self.new_folder()
        with self._writing() as database:
            waiting = _number(database, "SELECT count(*) FROM jobs WHERE state = 'QUEUED'")
            if self.queue_limit is not None and waiting >= self.queue_limit:
                self.discard(folder)
                raise QueueFull(
                    f"{waiting} jobs are waiting, and {self.queue_limit} may; try again later."
                )
            row = database.execute(
                "INSERT INTO jobs (id, request, created, kept) VALUES (?, ?, ?, ?) RETURNING *",
                (folder.name, text, self.now(), self.retention),
            ).fetchone()
            return self._job(row)

    def get(self, request_id: str) -> Job:
        """The job of that id.

        Raises:
            JobNotFound: There is none, or it finished longer ago than jobs are kept.
        """
        row = self._one("SELECT * FROM jobs WHERE id = ?", request_id)
        if row is not None and self._is_old(row):
            self.expire()
            row = None
        if row is None:
            raise JobNotFound(
                f"There is no job {request_id[:80]!r}: its time is over and it was removed, or "
                "there never was one."
            )
        return self._job(row)

    def list(self) -> tuple[Job, ...]:
        """All jobs, in the order they came."""
        with self._using() as database:
            rows = database.execute("SELECT * FROM jobs ORDER BY number").fetchall()
        return tuple(self._job(row) for row in rows if not self._is_old(row))

    def claim(
        self, worker: str, lease_seconds: float, only: Collection[str] | None = None
    ) -> Job | None:
        """Takes the oldest job that waits, or None; the lease holds for so many seconds.

        `only` are the ids of the jobs that the worker would do; None is for all.
        """
        now = self.now()
        died = (
            f"The job's worker died {MOST_DEATHS} times in the middle of it; "
            "the target may be too large for this machine's memory."
        )
        with self._writing() as database:
            ended = database.execute(_CANCEL_LAPSED, {"now": now, "error": CANCELLED}).fetchall()
            ended += database.execute(
                _GIVE_UP, {"now": now, "error": died, "most": MOST_DEATHS - 1}
            ).fetchall()
            row = database.execute(
                _CLAIM,
                {
                    "worker": worker,
                    "lease": now + lease_seconds,
                    "now": now,
                    "only": None if only is None else json.dumps([*only]),
                },
            ).fetchone()
        for one in ended:
            self._job(one).sweep()
        return None if row is None else self._job(row)

    def heartbeat(self, job: Job, lease_seconds: float) -> bool:
        """Renews the lease from now on; returns whether the job is to be cancelled.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        row = self._held(
            "UPDATE jobs SET lease = ? WHERE {held} RETURNING cancelled",
            job,
            self.now() + lease_seconds,
        )
        return bool(row["cancelled"])

    def is_cancelled(self, job: Job) -> bool:
        """Whether the job is to be cancelled. Quick: it may be asked at every frame.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        return bool(self._held("SELECT cancelled FROM jobs WHERE {held}", job)["cancelled"])

    def progress(self, job: Job, done: int, total: int | None) -> None:
        """Records how many frames are done.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        self._held(
            "UPDATE jobs SET done = ?, total = ? WHERE {held} RETURNING id", job, done, total
        )

    def complete(
        self,
        job: Job,
        output: Path,
        metrics: Mapping[str, Any],
        *,
        made: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        """Moves the file `made` to `output`, on the same disk, and records the job as COMPLETED.

        Both happen or neither: no worker that lost the job can replace what another one made.

        Raises:
            LeaseLost: The job is no longer this claim's.
            OutputExists: The output is there and is not to be overwritten.
        """
        text = json.dumps(metrics)
        with self._writing():
            self._held(
                "UPDATE jobs SET state = 'COMPLETED', finished = ?, output = ?, metrics = ?, "
                "done = coalesce(total, done) WHERE {held} RETURNING id",
                job,
                self.now(),
                str(output),
                text,
            )
            if made is not None:
                if output.exists() and not overwrite:
                    raise OutputExists(f"{output} exists; choose another name or ask to overwrite.")
                made.replace(output)

    def fail(self, job: Job, error: str) -> None:
        """Records the job as FAILED, and why.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        self._held(
            "UPDATE jobs SET state = 'FAILED', finished = ?, error = ? WHERE {held} RETURNING id",
            job,
            self.now(),
            error,
        )

    def release(self, job: Job) -> None:
        """Gives the job back unfinished: the next worker begins it anew.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        self._held(
            "UPDATE jobs SET state = 'QUEUED', worker = NULL, started = NULL, lease = 0, done = 0, "
            "total = NULL WHERE {held} RETURNING id",
            job,
        )

    def cancel(self, request_id: str) -> Job:
        """Cancels a job: at once where it waits, at its next frame where a worker is at it.

        A cancelled job is FAILED; a finished one stays what it is. Returns the job as it is now.

        Raises:
            JobNotFound: There is none of that id.
        """
        with self._writing() as database:
            job = self.get(request_id)
            if job.state == "QUEUED":
                database.execute(
                    "UPDATE jobs SET state = 'FAILED', finished = ?, error = ?, cancelled = 1 "
                    "WHERE id = ?",
                    (self.now(), CANCELLED, job.id),
                )
            elif job.state == "PROCESSING":
                database.execute("UPDATE jobs SET cancelled = 1 WHERE id = ?", (job.id,))
            cancelled = self.get(request_id)
        if job.state == "QUEUED":
            job.sweep()
        return cancelled

    def expire(self, now: float | None = None) -> int:
        """Removes the jobs whose time is over, and their folders; returns how many.

        A file that a caller named as the output stays.
        """
        with self._using() as database:
            rows = database.execute(
                "DELETE FROM jobs WHERE state IN ('COMPLETED', 'FAILED') AND finished + kept < ? "
                "RETURNING id",
                (self.now() if now is None else now,),
            ).fetchall()
        for row in rows:
            self.discard(self.files / row["id"])
        return len(rows)

    def _remove_orphans(self) -> None:
        """Removes the old folders of jobs whose submitter died before it could add them."""
        with self._using() as database:
            known = {row["id"] for row in database.execute("SELECT id FROM jobs")}
        for folder in self.files.iterdir():
            with suppress(FileNotFoundError):
                age = time.time() - folder.stat().st_mtime
                if folder.name not in known and age > _ORPHAN_SECONDS:
                    self.discard(folder)

    @contextmanager
    def _using(self) -> Generator[sqlite3.Connection]:
        """The database, for this thread alone; what it cannot do is a JobError."""
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise _unusable(self.folder, error) from error

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that no other process writes beside; undone by an exception."""
        with self._using() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        with self._using() as database:
            row: sqlite3.Row | None = database.execute(statement, values).fetchone()
            return row

    def _held(self, statement: str, job: Job, *values: object) -> sqlite3.Row:
        """The row that a statement returns for a job that the claim still holds."""
        held = "id = ? AND claim = ? AND state = 'PROCESSING'"
        row = self._one(statement.format(held=held), *values, job.id, job.claim)
        if row is None:
            raise LeaseLost(
                f"The job {job.id} is no longer held by {job.worker}: its lease lapsed, and "
                "another worker may have it."
            )
        return row

    def _is_old(self, row: sqlite3.Row) -> bool:
        finished: float | None = row["finished"]
        return finished is not None and finished + row["kept"] < self.now()

    def _job(self, row: sqlite3.Row) -> Job:
        lapsed = row["state"] == "PROCESSING" and row["lease"] < self.now()
        return Job(
            id=row["id"],
            request=json.loads(row["request"]),
            state="QUEUED" if lapsed else row["state"],
            folder=self.files / row["id"],
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
            worker=row["worker"],
            claim=row["claim"],
            done=row["done"],
            total=row["total"],
            output=None if row["output"] is None else Path(row["output"]),
            metrics=json.loads(row["metrics"]),
            error=row["error"],
        )


def _unusable(folder: Path, error: Exception) -> JobError:
    return JobError(
        f"The folder of the jobs, {folder}, cannot be used ({error}); mend it, or name another by "
        f"{VARIABLE}. Where its jobs.sqlite3 is damaged, move that away: its jobs are lost then."
    )


def bytes_in(folder: Path) -> int:
    """How much the files in a folder hold; one that goes away meanwhile counts as nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _opened(path: Path) -> sqlite3.Connection:
    """The database, made where it is missing; many may make it at once."""
    # SQLite gives the files beside it the same mode; they hold what was asked for.
    path.touch(mode=0o600)
    path.chmod(0o600)
    database = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        database.row_factory = sqlite3.Row
        _log_ahead(database)
        # With WAL a power cut may lose the last writes, and cannot corrupt the file.
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _log_ahead(database: sqlite3.Connection) -> None:
    """Puts the database into WAL mode."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Changing the mode takes the file for itself, and does not wait as other writes do.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(database: sqlite3.Connection, statement: str) -> int:
    number: int = database.execute(statement).fetchone()[0]
    return number
