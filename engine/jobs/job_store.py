"""The jobs of this machine's user: one SQLite file and a folder for each job.

A worker holds a job by a lease that it renews. A job whose lease has lapsed is queued again, and
whoever held it can no longer write anything of it: each claim has a number (a fencing token), and
every write names the claim that it is made under.

Leases and ages are measured by the machine's steady clock (`time.monotonic`), which no change of
the date moves; on Linux and macOS it stands still while a laptop sleeps. It begins anew at a boot.
A value that lies ahead of it was measured before the boot; one that lies behind may have been,
too, and then a lease lapses a little later and a result is kept longer than it should be, never
the other way.

The file is in WAL mode, whose readers and writers share memory: the folder must be on a disk of
this machine, not on a network file system such as NFS or SMB.
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
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, get_args

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
# What later versions added to the table. `lease` is when the lease was renewed and `term` for how
# long it holds, `ended` is when the job finished, all by the steady clock. `bytes` is what the
# job's folder holds, and `placing` what is about to be put in place as its output.
_ADDED = {
    "term": "REAL NOT NULL DEFAULT 0",
    "ended": "REAL",
    "bytes": "INTEGER NOT NULL DEFAULT 0",
    "placing": "TEXT",
}

# A renewal may be a little ahead of a reader, who looked at the clock before it came to read; one
# that is further ahead was made before a boot.
_LAPSED = "(state = 'PROCESSING' AND NOT :steady BETWEEN lease - term AND lease + term)"
# After a boot, the date alone says how long ago a job finished.
_OLD = """(state IN ('COMPLETED', 'FAILED')
    AND CASE WHEN ended <= :steady + 60 THEN :steady - ended ELSE :now - finished END > kept)"""
_SELECT = f"SELECT *, {_LAPSED} AS lapsed, {_OLD} AS old FROM jobs"  # noqa: S608 - constants

# The oldest job that nobody works on becomes this worker's.
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
# A job that takes its worker with it each time would do so for ever.
_GIVE_UP = f"{_FAIL} WHERE {_LAPSED} AND deaths >= :most RETURNING *"
_CANCEL_LAPSED = f"{_FAIL} WHERE {_LAPSED} AND cancelled RETURNING *"
_COMPLETE = """
UPDATE jobs SET state = 'COMPLETED', finished = :now, ended = :steady, output = :output,
    metrics = :metrics, bytes = :bytes, error = NULL, done = coalesce(total, done)
WHERE number = :number
"""
_DIED = (
    f"The job's worker was killed {MOST_DEATHS} times in the middle of it, or the machine went "
    "down; submit it again when that is over."
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAMAGED = "The record of this job in jobs.sqlite3 is damaged ({}); submit the job again."
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
        own = f"*.{glob.escape(self.id)}-{'*' if claim is None else f'{claim}.*'}"
        return output.parent.glob(own)

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
        clock: seconds since the epoch (Unix time), for people to read.
        steady: seconds since some moment, such as the boot, which is the same for all processes
            that share the store; until the next boot they never run backwards.

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
        self.folder = (folder or home()).absolute()
        try:
            # Paths in the records are compared with it, whichever way a process spells it.
            self.folder = self.folder.resolve()
            self.files = self.folder / "jobs"
            # Parents that `mkdir` makes on its way would be open to all.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.files.mkdir(mode=0o700, exist_ok=True)
            self._database = _opened(self.folder / "jobs.sqlite3")
        except (OSError, RuntimeError, sqlite3.Error) as error:
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

    def held_bytes(self) -> int:
        """How much the files of all jobs hold, without what those in work have written."""
        with self._using() as database:
            return _number(database, "SELECT coalesce(sum(bytes), 0) FROM jobs")

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
                "INSERT INTO jobs (id, request, created, kept, bytes) VALUES (?, ?, ?, ?, ?) "
                "RETURNING *",
                (folder.name, text, self.now(), self.retention, bytes_in(folder)),
            ).fetchone()
            return self._job(row)

    def get(self, request_id: str) -> Job:
        """The job of that id.

        Raises:
            JobNotFound: There is none, or it finished longer ago than jobs are kept.
        """
        row = self._one(f"{_SELECT} WHERE id = :id", {**self._times(), "id": _storable(request_id)})
        if row is not None and row["old"]:
            self.expire()
            row = None
        if row is None:
            raise JobNotFound(
                f"There is no job {request_id[:80]!r}: its time is over and it was removed, or "
                "there never was one."
            )
        return self._job(row, lapsed=row["lapsed"])

    def list(self) -> tuple[Job, ...]:
        """All jobs, in the order they came."""
        with self._using() as database:
            rows = database.execute(f"{_SELECT} ORDER BY number", self._times()).fetchall()
        return tuple(self._job(row, lapsed=row["lapsed"]) for row in rows if not row["old"])

    def claim(
        self, worker: str, lease_seconds: float, only: Collection[str] | None = None
    ) -> Job | None:
        """Takes the oldest job that waits, or None; the lease holds for so many seconds.

        `only` are the ids of the jobs that the worker would do; None is for all.
        """
        with self._writing() as database:
            # Now, and not before the wait for the others.
            times = self._times()
            self._settle(database)
            ended = database.execute(_CANCEL_LAPSED, {**times, "error": CANCELLED}).fetchall()
            ended += database.execute(
                _GIVE_UP, {**times, "error": _DIED, "most": MOST_DEATHS - 1}
            ).fetchall()
            wanted = None if only is None else json.dumps([*only])
            claim = {**times, "worker": worker, "term": lease_seconds, "only": wanted}
            while (row := database.execute(_CLAIM, claim).fetchone()) is not None:
                job = self._job(row)
                if not job.is_finished:
                    break
                # Its record is damaged, which must not keep the worker from the other jobs.
                failed = {**times, "error": job.error, "number": row["number"]}
                database.execute(f"{_FAIL} WHERE number = :number", failed)
        for one in ended:
            self._job(one).sweep()
        return None if row is None else job

    def heartbeat(self, job: Job, lease_seconds: float) -> bool:
        """Renews the lease from now on; returns whether the job is to be cancelled.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        row = self._held(
            "UPDATE jobs SET lease = ?, term = ? WHERE {held} RETURNING cancelled",
            job,
            self._steady(),
            lease_seconds,
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

        No worker that lost the job can replace what another one made. What is about to be placed
        is recorded first: where the second record fails, or the process is killed before it, the
        job is found to be COMPLETED by the file itself.

        Raises:
            LeaseLost: The job is no longer this claim's.
            OutputExists: The output is there and is not to be overwritten.
        """
        placing = {
            "output": str(output),
            "metrics": json.dumps(metrics),
            "file": None if made is None else _identity(made),
        }
        self._held(
            "UPDATE jobs SET placing = ? WHERE {held} RETURNING id", job, json.dumps(placing)
        )
        with self._writing() as database:
            row = self._held("SELECT * FROM jobs WHERE {held}", job)
            if made is not None:
                if output.exists() and not overwrite:
                    raise OutputExists(f"{output} exists; choose another name or ask to overwrite.")
                made.replace(output)
            self._completed(database, row, placing)

    def fail(self, job: Job, error: str) -> None:
        """Records the job as FAILED, and why; as COMPLETED, where its output is in place.

        Raises:
            LeaseLost: The job is no longer this claim's.
        """
        with self._writing() as database:
            row = self._held("SELECT * FROM jobs WHERE {held}", job)
            if not self._settled(database, row):
                failed = {**self._times(), "error": _storable(error), "id": job.id}
                database.execute(f"{_FAIL} WHERE id = :id", failed)

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
            self._settle(database)
            job = self.get(request_id)
            if job.state == "QUEUED":
                cancel = {**self._times(), "error": CANCELLED, "id": job.id}
                database.execute(f"{_FAIL}, cancelled = 1 WHERE id = :id", cancel)
            elif job.state == "PROCESSING":
                database.execute("UPDATE jobs SET cancelled = 1 WHERE id = ?", (job.id,))
            cancelled = self.get(request_id)
        if job.state == "QUEUED":
            job.sweep()
        return cancelled

    def expire(self) -> int:
        """Removes the jobs whose time is over, and their folders; returns how many.

        A file that a caller named as the output stays.
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

    def _settle(self, database: sqlite3.Connection) -> None:
        """Completes the jobs whose output is in place, but whose record was not written."""
        waiting = f"placing IS NOT NULL AND (state = 'QUEUED' OR {_LAPSED})"
        query = f"SELECT * FROM jobs WHERE {waiting}"  # noqa: S608 - constants
        for row in database.execute(query, self._times()).fetchall():
            self._settled(database, row)

    def _settled(self, database: sqlite3.Connection, row: sqlite3.Row) -> bool:
        """Whether the output that a claim was about to place is there; then completes the job."""
        try:
            _check_text("placing", row["placing"])
            placing = json.loads(row["placing"] or "{}")
            there: bool = placing["file"] == _identity(Path(placing["output"]))
        except (OSError, ValueError, TypeError, KeyError):
            return False
        if there:
            self._completed(database, row, placing)
        return there

    def _completed(
        self, database: sqlite3.Connection, row: sqlite3.Row, placing: Mapping[str, Any]
    ) -> None:
        output, metrics = _storable(placing["output"]), placing["metrics"]
        held = bytes_in(self._folder(row))
        values = {"number": row["number"], "output": output, "metrics": metrics, "bytes": held}
        database.execute(_COMPLETE, {**self._times(), **values})

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

    def _held(self, statement: str, job: Job, *values: object) -> sqlite3.Row:
        """The row that a statement returns for a job that the claim still holds."""
        held = "id = ? AND claim = ? AND state = 'PROCESSING'"
        row = self._one(statement.format(held=held), (*values, job.id, job.claim))
        if row is None:
            raise LeaseLost(
                f"The job {job.id} is no longer held by {job.worker}: its lease lapsed, and "
                "another worker may have it."
            )
        return row

    def _job(self, row: sqlite3.Row, *, lapsed: bool = False) -> Job:
        """A row as a job; one whose record cannot be read is FAILED and says so."""
        state, error = row["state"], row["error"]
        try:
            for name in row.keys():  # noqa: SIM118 - of a row, not a dictionary
                _check_text(name, row[name])
            _check_id(row["id"])
            request, metrics = _object(row["request"]), _object(row["metrics"])
            # The name as it is; in `output` it may have escapes.
            output = _object(row["placing"] or "{}").get("output", row["output"])
            _check_state(state)
            _check_output(output, request.get("output"))
        except (ValueError, RecursionError) as damage:
            request, metrics, lapsed = {}, {}, False
            output = row["output"] and _storable(row["output"])
            state, error = "FAILED", _DAMAGED.format(damage)
        return Job(
            id=_storable(row["id"]),
            request=request,
            state="QUEUED" if lapsed else state,
            folder=self._folder(row),
            created=row["created"],
            started=row["started"],
            finished=row["finished"],
            worker=None if row["worker"] is None else _storable(row["worker"]),
            claim=row["claim"],
            done=row["done"],
            total=row["total"],
            output=None if output is None or row["output"] is None else Path(output),
            metrics=metrics,
            error=error,
        )

    def _folder(self, row: sqlite3.Row) -> Path:
        """The folder of a job; for an id that is none, one that is never made."""
        name = row["id"]
        return self.files / (name if _ID.fullmatch(name) else f"none-{row['number']}")


def _check_text(name: str, value: object) -> None:
    if isinstance(value, str) and _storable(value) != value:
        raise ValueError(f"its {name} holds bytes that are no UTF-8")


def _check_id(value: str) -> None:
    if not _ID.fullmatch(value):
        raise ValueError("its id is none of a job")


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
        raise ValueError(f"{text[:40]!r} is no JSON object")  # noqa: TRY004 - as bad JSON is
    return value


def _identity(path: Path) -> list[int]:
    """What tells a file from others, also when it was moved on its disk."""
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def _unusable(folder: Path, error: Exception) -> JobError:
    return JobError(
        f"The folder of the jobs, {folder}, cannot be used ({error}); mend it, or name another by "
        f"{VARIABLE}. Where its jobs.sqlite3 is damaged, move that away: its jobs are lost then."
    )


def bytes_in(folder: Path) -> int:
    """How much the files in a folder hold; one that goes away meanwhile counts as nothing."""
    total = 0
    # Unlike Path.rglob, this passes over folders that go away meanwhile.
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
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
        # A damaged text must not keep the others from being read.
        database.text_factory = _text
        _log_ahead(database)
        # With WAL a power cut may lose the last writes, and cannot corrupt the file.
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
        _extend(database)
    except BaseException:
        database.close()
        raise
    return database


def _extend(database: sqlite3.Connection) -> None:
    """Adds the columns that an older version's table has not."""
    database.execute("BEGIN IMMEDIATE")
    known = {row["name"] for row in database.execute("PRAGMA table_info(jobs)")}
    for name, kind in _ADDED.items():
        if name not in known:
            database.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")
    database.execute("COMMIT")


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


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(database: sqlite3.Connection, statement: str) -> int:
    number: int = database.execute(statement).fetchone()[0]
    return number


def _storable(text: str) -> str:
    """The text with escapes for what is no UTF-8, as a name may have it: SQLite takes no other."""
    return text.encode(errors="backslashreplace").decode()
