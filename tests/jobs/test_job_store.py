"""The job store: records, claims, leases, retention, and damaged databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from engine.errors import JobError, JobNotFound, LeaseLost, OutputExists, ParameterError, QueueFull
from engine.jobs import job_store as store_module
from engine.jobs.job_store import MAX_DEATHS, JobStore, default_folder, folder_bytes


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[JobStore]:
    with JobStore(tmp_path / "home", clock=clock, steady=clock) as one:
        yield one


def test_a_job_goes_from_queued_to_completed(store: JobStore, clock: Clock, tmp_path: Path) -> None:
    job = store.add({"target": "a.mp4"})
    assert (job.state, job.created, job.started) == ("QUEUED", 1_000.0, None)
    assert job.folder.is_dir()

    clock.now += 5
    claimed = store.claim("one", 30)
    assert claimed
    assert claimed.id == job.id
    assert (claimed.state, claimed.started, claimed.worker) == ("PROCESSING", 1_005.0, "one")
    assert store.claim("two", 30) is None

    store.progress(claimed, 3, 12)
    assert (store.get(job.id).done, store.get(job.id).total) == (3, 12)

    made, output = job.folder / "made", job.folder / "output"
    made.write_bytes(b"result")
    clock.now += 5
    store.complete(claimed, output, {"seconds": 5}, partial=made)
    done = store.get(job.id)
    assert (done.state, done.finished, done.output) == ("COMPLETED", 1_010.0, output)
    assert (done.done, done.metrics, done.error) == (12, {"seconds": 5}, None)
    assert output.read_bytes() == b"result"
    assert not made.exists()


def test_jobs_are_taken_in_the_order_they_came(store: JobStore) -> None:
    ids = [store.add({"n": n}).id for n in range(5)]
    claimed = [store.claim("one", 30) for _ in ids]
    assert [job and job.id for job in claimed] == ids
    assert [job.id for job in store.list()] == ids


def test_another_store_on_the_folder_sees_the_same_jobs(store: JobStore) -> None:
    job = store.add({"n": 1})
    with JobStore(store.folder, steady=store._steady) as other:
        assert other.get(job.id).request == {"n": 1}
        assert other.claim("other", 30)
    assert store.get(job.id).state == "PROCESSING"


def test_a_lapsed_lease_queues_the_job_and_shuts_its_worker_out(
    store: JobStore, clock: Clock
) -> None:
    store.add({})
    first = store.claim("first", 30)
    assert first
    clock.now += 29
    assert store.heartbeat(first, 30) is False
    clock.now += 29
    assert store.claim("second", 30) is None

    clock.now += 2
    assert store.get(first.id).state == "QUEUED"
    second = store.claim("second", 30)
    assert second
    assert (second.id, second.claim) == (first.id, first.claim + 1)

    made = first.folder / "made"
    made.touch()
    for write in (
        lambda: store.heartbeat(first, 30),
        lambda: store.is_cancelled(first),
        lambda: store.progress(first, 1, 2),
        lambda: store.complete(first, first.folder / "out", {}, partial=made),
        lambda: store.fail(first, "late"),
        lambda: store.release(first),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert made.exists()
    assert store.get(first.id).worker == "second"


def test_a_lease_that_lapsed_untaken_can_be_renewed(store: JobStore, clock: Clock) -> None:
    store.add({})
    job = store.claim("sleeper", 30)
    assert job
    clock.now += 1_000
    store.heartbeat(job, 30)
    assert store.claim("other", 30) is None


def test_a_job_that_takes_its_workers_along_is_given_up(store: JobStore, clock: Clock) -> None:
    job = store.add({})
    for _ in range(MAX_DEATHS):
        assert store.claim("victim", 30)
        clock.now += 31
    assert store.claim("next", 30) is None
    assert store.get(job.id).state == "FAILED"
    assert "was killed 3 times" in str(store.get(job.id).error)
    assert "memory" not in str(store.get(job.id).error)


def test_a_job_given_back_is_begun_anew_however_often(store: JobStore) -> None:
    job = store.add({})
    for _ in range(2 * MAX_DEATHS):
        claimed = store.claim("polite", 30)
        assert claimed
        store.release(claimed)
    assert store.get(job.id).state == "QUEUED"


def test_a_waiting_job_is_cancelled_at_once(store: JobStore) -> None:
    job = store.add({})
    assert store.cancel(job.id).state == "FAILED"
    assert "cancelled" in str(store.get(job.id).error)
    assert store.claim("one", 30) is None


def test_a_running_job_is_told(store: JobStore, clock: Clock) -> None:
    store.add({})
    job = store.claim("one", 30)
    assert job
    assert not store.is_cancelled(job)
    assert store.cancel(job.id).state == "PROCESSING"
    assert store.is_cancelled(job)
    assert store.heartbeat(job, 30)
    # Its worker dies before it notices: no other worker starts the job again.
    clock.now += 31
    assert store.claim("two", 30) is None
    assert store.get(job.id).state == "FAILED"


def test_a_finished_job_stays_what_it_is(store: JobStore) -> None:
    store.add({})
    job = store.claim("one", 30)
    assert job
    store.fail(job, "because")
    assert store.cancel(job.id).error == "because"
    with pytest.raises(LeaseLost):
        store.complete(job, job.folder / "out", {})


def test_results_expire_with_their_files(store: JobStore, clock: Clock, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.mp4"
    elsewhere.touch()
    old, waiting = store.add({}), store.add({})
    job = store.claim("one", 30)
    assert job
    (old.folder / "input").touch()
    store.complete(job, elsewhere, {})

    clock.now += 3_600
    assert store.get(old.id).state == "COMPLETED"
    clock.now += 1
    assert [one.id for one in store.list()] == [waiting.id]
    assert store.expire() == 1
    with pytest.raises(JobNotFound):
        store.get(old.id)
    assert not old.folder.exists()
    assert elsewhere.exists()
    assert waiting.folder.exists()
    assert store.get(waiting.id).state == "QUEUED"


def test_each_job_is_kept_as_long_as_its_submitter_said(store: JobStore, clock: Clock) -> None:
    with JobStore(store.folder, retention=10_000, clock=clock, steady=clock) as patient:
        long = patient.add({})
        job = patient.claim("one", 30)
        assert job
        patient.fail(job, "no")
        clock.now += 9_999
        store.expire()
        assert store.get(long.id).error == "no"
        clock.now += 2
        with pytest.raises(JobNotFound):
            patient.get(long.id)


def test_a_folder_whose_submitter_died_is_removed(store: JobStore) -> None:
    orphan, fresh, job = store.new_folder(), store.new_folder(), store.add({})
    for folder in (orphan, job.folder):
        os.utime(folder, (1, 1))
    with JobStore(store.folder):
        assert not orphan.exists()
        assert fresh.exists()
        assert job.folder.exists()


@pytest.mark.parametrize(
    "request_id", ["", "nope", "../../etc", "a" * 10_000, "'; DROP TABLE jobs"]
)
def test_an_unknown_id_is_not_found(store: JobStore, request_id: str) -> None:
    for ask in (store.get, store.cancel):
        with pytest.raises(JobNotFound) as raised:
            ask(request_id)
        assert len(str(raised.value)) < 250


def test_a_full_queue_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    with JobStore(tmp_path, queue_limit=2) as store:
        store.add({})
        store.add({})
        with pytest.raises(QueueFull, match="2 jobs are waiting"):
            store.add({}, store.new_folder())
        assert len(list((tmp_path / "jobs").iterdir())) == 2
        assert store.claim("one", 30)
        store.add({})


def test_an_output_that_came_to_be_meanwhile_is_kept(store: JobStore, tmp_path: Path) -> None:
    store.add({})
    job = store.claim("one", 30)
    assert job
    output, made = tmp_path / "out", tmp_path / "made"
    output.write_text("theirs")
    made.write_text("ours")
    with pytest.raises(OutputExists):
        store.complete(job, output, {}, partial=made)
    assert output.read_text() == "theirs"
    assert store.get(job.id).state == "PROCESSING"
    store.complete(job, output, {}, partial=made, overwrite=True)
    assert output.read_text() == "ours"


def test_the_home_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACESWAP_ENGINE_HOME", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("FACESWAP_ENGINE_HOME")
    assert default_folder().name == "faceswap-engine"


def test_nobody_else_may_look_into_the_jobs(store: JobStore) -> None:
    job = store.add({})
    assert job.folder.stat().st_mode & 0o077 == 0
    assert (store.folder / "jobs").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wrong", [{"retention": -1}, {"queue_limit": 0}])
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        JobStore(tmp_path, **wrong)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="file"):
        JobStore(tmp_path / "file")
    (tmp_path / "jobs.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(JobError, match="cannot be used"):
        JobStore(tmp_path)


def test_many_may_make_a_store_at_once(tmp_path: Path) -> None:
    def add(n: int) -> None:
        with JobStore(tmp_path / "home") as store:
            store.add({"n": n})

    with ThreadPoolExecutor(16) as crowd:
        list(crowd.map(add, range(64)))
    with JobStore(tmp_path / "home") as store:
        assert sorted(job.request["n"] for job in store.list()) == list(range(64))


def test_a_store_that_is_opened_removes_what_expired(store: JobStore, clock: Clock) -> None:
    folders = []
    for _ in range(2):
        store.add({})
        job = store.claim("one", 30)
        assert job
        (job.folder / "output").touch()
        store.complete(job, job.folder / "output", {})
        folders.append(job.folder)
        clock.now += 1
    clock.now += store.retention - 1.5
    with pytest.raises(JobNotFound):
        store.get(folders[0].name)
    assert [folder.exists() for folder in folders] == [False, True]
    clock.now += 10
    with JobStore(store.folder, clock=clock, steady=clock):
        assert not folders[1].exists()


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_a_job_that_is_over_left_beside_its_output_is_removed(
    store: JobStore, clock: Clock, tmp_path: Path, cancelled: bool
) -> None:
    output = tmp_path / "film.mp4"
    job = store.add({"output": str(output)})
    own = store.add({"output": None})
    for _ in range(MAX_DEATHS):
        for _ in range(2):
            claim = store.claim("victim", 30)
            assert claim
            place = output if claim.id == job.id else claim.folder / "output.mp4"
            claim.partial_path(place).with_suffix(".abcd.partial.mp4").touch()
        clock.now += 31
    assert len(list(job.find_partials(output))) == MAX_DEATHS
    if cancelled:
        store.cancel(job.id)
        store.cancel(own.id)
    assert store.claim("next", 30) is None
    assert {one.state for one in store.list()} == {"FAILED"}
    assert not list(job.find_partials(output))
    assert not list(own.find_partials(own.folder / "output.mp4"))


def test_a_worker_may_claim_some_jobs_alone(store: JobStore) -> None:
    first, second = store.add({}), store.add({})
    claimed = store.claim("picky", 30, {second.id, "unheard of"})
    assert claimed
    assert claimed.id == second.id
    assert store.claim("picky", 30, {second.id}) is None
    assert store.claim("picky", 30, ()) is None
    assert store.get(first.id).state == "QUEUED"


def test_nobody_else_may_read_the_record(tmp_path: Path) -> None:
    for _ in range(2):
        with JobStore(tmp_path / "a" / "home") as store:
            store.add({"source_image": "private"})
            folder = store.folder
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
            assert folder.stat().st_mode & 0o777 == 0o700
        assert modes.pop("jobs") == 0o700
        assert set(modes.values()) == {0o600}
        (folder / "jobs.sqlite3").chmod(0o644)


def test_a_damaged_record_is_named(store: JobStore, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "jobs.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(JobError, match=r"damaged, cannot be used .*; repair it"):
        JobStore(tmp_path / "damaged")
    with sqlite3.connect(store.folder / "jobs.sqlite3") as database:
        database.execute("DROP TABLE jobs")
    database.close()
    for use in (
        lambda: store.add({}),
        lambda: store.get("x"),
        lambda: store.claim("one", 1),
        store.list,
    ):
        with pytest.raises(JobError, match=r"cannot be used .no such table: jobs"):
            use()


@pytest.mark.parametrize("value", ["x", -1, float("nan"), None, True])
def test_a_retention_that_is_no_time_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ParameterError, match=r"retention is .*; allowed: seconds from 0"):
        JobStore(tmp_path, retention=value)
    with pytest.raises(ParameterError, match="queue_limit is 'x'"):
        JobStore(tmp_path, queue_limit=cast("int", "x"))


@pytest.fixture
def store_and_clocks(tmp_path: Path) -> Iterator[tuple[JobStore, Clock, Clock]]:
    """Open a store with its two clocks."""
    date, steady = Clock(), Clock()
    date.now = 1_700_000_000.0
    with JobStore(tmp_path / "home", clock=date, steady=steady) as one:
        yield one, date, steady


@pytest.mark.parametrize("jump", [60, 86_400, -3_600, -1_700_000_000])
def test_a_clock_that_is_set_takes_no_job_from_its_worker(
    store_and_clocks: tuple[JobStore, Clock, Clock], jump: float
) -> None:
    store, date, steady = store_and_clocks
    store.add({})
    job = store.claim("one", 30)
    assert job
    for _ in range(MAX_DEATHS):
        date.now += jump
        steady.now += 10
        store.heartbeat(job, 30)
        assert store.claim("two", 30) is None
        assert store.get(job.id).state == "PROCESSING"
    # Its worker dies: the job can be claimed after the lease, whatever the date is.
    steady.now += 31
    assert store.get(job.id).state == "QUEUED"
    assert store.claim("two", 30)


@pytest.mark.parametrize(("jump", "passed"), [(86_400, 10), (-86_400, 3_601)])
def test_a_clock_that_is_set_neither_removes_results_nor_keeps_them(
    store_and_clocks: tuple[JobStore, Clock, Clock], jump: float, passed: float
) -> None:
    store, date, steady = store_and_clocks
    store.add({})
    job = store.claim("one", 30)
    assert job
    store.fail(job, "no")
    date.now += jump
    steady.now += passed
    is_over = passed > store.retention
    assert store.list() == () if is_over else store.get(job.id).error == "no"
    assert store.expire() == is_over


def test_a_boot_ends_leases_and_the_date_tells_ages(tmp_path: Path) -> None:
    date, steady = Clock(), Clock()
    with JobStore(tmp_path, clock=date, steady=steady) as store:
        done, worked = store.add({"n": 1}), store.add({"n": 2})
        first = store.claim("one", 30)
        assert first
        store.fail(first, "no")
        assert store.claim("one", 30)
    steady.now = 5.0
    date.now += 3_000
    with JobStore(tmp_path, clock=date, steady=steady) as store:
        assert store.get(worked.id).state == "QUEUED"
        assert store.claim("two", 30)
        assert store.get(done.id).error == "no"
        date.now += 601
        with pytest.raises(JobNotFound):
            store.get(done.id)


def test_who_looked_at_the_clock_before_a_lease_was_renewed_does_not_take_the_job(
    store: JobStore, clock: Clock
) -> None:
    store.add({})
    job = store.claim("one", 30)
    assert job
    # Another process read the clock, then waited for the database during the first claim.
    clock.now -= 5
    assert store.get(job.id).state == "PROCESSING"
    assert store.claim("two", 30) is None


class FailingDatabase:
    """A database whose commits fail `times` times, from a given one on."""

    def __init__(self, database: sqlite3.Connection, first: int, times: int = 1) -> None:
        self._database, self._left, self._times = database, first, times

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            self._left -= 1
            if self._left < 0 and self._times > 0:
                self._times -= 1
                raise sqlite3.OperationalError("disk I/O error")
        return self._database.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.mark.parametrize("times", [1, 2])
def test_a_record_that_fails_after_the_output_was_placed_is_made_good(
    store: JobStore, clock: Clock, tmp_path: Path, times: int
) -> None:
    store.add({"output": str(tmp_path / "film.mp4")})
    job = store.claim("one", 30)
    assert job
    output, made = tmp_path / "film.mp4", job.partial_path(tmp_path / "film.mp4")
    made.write_bytes(b"result")
    database = store._database
    store._database = cast("sqlite3.Connection", FailingDatabase(database, 0, times))
    with pytest.raises(JobError, match="disk I/O error"):
        store.complete(job, output, {"n": 1}, partial=made)
    if times == 1:
        # The worker records a failure, but the output is in place.
        store.fail(job, "disk I/O error")
    else:
        with pytest.raises(JobError, match="disk I/O error"):
            store.fail(job, "disk I/O error")
        assert store.get(job.id).state == "PROCESSING"
        clock.now += 31
        assert store.claim("two", 30) is None
    done = store.get(job.id)
    assert (done.state, done.output, done.metrics) == ("COMPLETED", output, {"n": 1})
    assert (done.error, output.read_bytes()) == (None, b"result")


def test_another_file_in_the_place_is_not_taken_for_the_output(
    store: JobStore, clock: Clock, tmp_path: Path
) -> None:
    store.add({})
    job = store.claim("one", 30)
    assert job
    output, made = tmp_path / "film.mp4", tmp_path / "made"
    made.write_bytes(b"result")
    output.write_bytes(b"theirs")
    with pytest.raises(OutputExists):
        store.complete(job, output, {}, partial=made)
    clock.now += 31
    again = store.claim("two", 30)
    assert again
    assert again.id == job.id
    store.fail(again, "no")
    assert store.get(job.id).state == "FAILED"


@pytest.mark.parametrize(
    "damage",
    [
        "request = '{'",
        "request = '[]'",
        "request = '{\"output\": 5}'",
        pytest.param("request = '" + '{"a":' * 100_000 + "'", id="deep"),
        "metrics = 'x'",
        "state = 'LOST'",
        "request = CAST(x'7b226e223a2022ff227d' AS TEXT)",
        "output = CAST(x'2fff' AS TEXT)",
    ],
)
def test_a_record_damaged_by_hand_stops_its_own_job_alone(store: JobStore, damage: str) -> None:
    bad, good = store.add({"n": 1}), store.add({"n": 2})
    with sqlite3.connect(store.folder / "jobs.sqlite3") as database:
        database.execute(f"UPDATE jobs SET {damage} WHERE id = ?", (bad.id,))
    database.close()
    for job in (store.list()[0], store.get(bad.id)):
        assert (job.state, job.request) == ("FAILED", {})
        assert "is damaged" in str(job.error)
    claimed = store.claim("one", 30)
    assert claimed
    assert claimed.id == good.id
    assert store.claim("one", 30) is None


@pytest.mark.parametrize("damaged", ["'{precious}'", "'../../precious'", "''", "'*'", "'**'"])
@pytest.mark.parametrize("state", ["QUEUED", "PROCESSING"])
def test_an_id_damaged_by_hand_leads_to_no_other_folder(
    tmp_path: Path, clock: Clock, damaged: str, state: str
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    with JobStore(tmp_path / "home", clock=clock, steady=clock) as store:
        bad, good = store.add({}), store.add({})
        with sqlite3.connect(store.folder / "jobs.sqlite3") as database:
            name = damaged.format(precious=precious)
            database.execute(
                f"UPDATE jobs SET id = {name}, state = ?, deaths = 9 WHERE id = ?", (state, bad.id)
            )
        database.close()
        assert "is damaged (its id is not a UUID)" in str(store.list()[0].error)
        claimed = store.claim("one", 30)
        assert claimed
        assert claimed.id == good.id
        clock.now += 10_000
        assert store.expire() == 1
        assert precious.is_dir()
        assert good.folder.is_dir()


def test_an_id_that_is_no_utf_8_keeps_nobody_from_the_other_jobs(store: JobStore) -> None:
    bad, good = store.add({}), store.add({})
    with sqlite3.connect(store.folder / "jobs.sqlite3") as database:
        database.execute("UPDATE jobs SET id = CAST(x'ff' AS TEXT) WHERE id = ?", (bad.id,))
    database.close()
    assert "its id is not valid UTF-8" in str(store.list()[0].error)
    claimed = store.claim("one", 30)
    assert claimed
    assert claimed.id == good.id


def test_a_home_has_one_name_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with JobStore(tmp_path / "link") as one, JobStore(tmp_path / "home") as other:
        assert one.add({}).folder == other.list()[0].folder


def test_a_store_of_an_older_version_is_extended(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite3") as database:
        database.executescript(store_module._SCHEMA)
        database.execute(
            "INSERT INTO jobs (id, request, state, created, kept, lease) "
            "VALUES (?, '{\"n\": 1}', 'PROCESSING', 1, 3600, 1700000000)",
            (old := str(uuid.uuid4()),),
        )
    database.close()
    with ThreadPoolExecutor(8) as crowd:
        for store in crowd.map(JobStore, [tmp_path] * 8):
            store.close()
    with JobStore(tmp_path) as one:
        claimed = one.claim("one", 30)
        assert claimed
        assert (claimed.id, claimed.request) == (old, {"n": 1})


def test_the_store_knows_what_its_jobs_hold(store: JobStore, clock: Clock) -> None:
    folder = store.new_folder()
    (folder / "input").write_bytes(bytes(300))
    job = store.add({}, folder)
    store.add({})
    assert store.stored_bytes() == 300
    claimed = store.claim("one", 30)
    assert claimed
    (folder / "made").write_bytes(bytes(50))
    store.complete(claimed, folder / "output", {}, partial=folder / "made")
    assert store.stored_bytes() == 350
    clock.now += 3_601
    store.expire()
    assert not job.folder.exists()
    assert store.stored_bytes() == 0


def test_folders_that_come_and_go_are_counted_as_far_as_they_are(tmp_path: Path) -> None:
    over = threading.Event()

    def replace_folders() -> None:
        n = 0
        while not over.is_set():
            n += 1
            folder = tmp_path / str(n % 50)
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "below").mkdir(parents=True)
            (folder / "below" / "file").write_bytes(bytes(10))

    with ThreadPoolExecutor(1) as other:
        churning = other.submit(replace_folders)
        try:
            for _ in range(300):
                assert 0 <= folder_bytes(tmp_path) <= 500
        finally:
            over.set()
        churning.result()


def test_names_that_are_no_utf_8_are_kept_and_told(store: JobStore, tmp_path: Path) -> None:
    target = str(tmp_path / "a\udcff.mp4")
    first, second = store.add({"target": target}), store.add({"target": target})
    claimed = store.claim("one", 30)
    assert claimed is not None
    assert claimed.request["target"] == target
    store.complete(claimed, Path(target), {})
    assert store.get(first.id).output == Path(target)
    claimed = store.claim("one", 30)
    assert claimed is not None
    store.fail(claimed, f"{target} cannot be read.")
    assert (store.get(second.id).error or "").endswith("a\\udcff.mp4 cannot be read.")


@pytest.mark.parametrize("request_id", ["\udcff", "a\0b", ""])
def test_an_id_that_no_job_can_have_is_not_found(store: JobStore, request_id: str) -> None:
    for act in (store.get, store.cancel):
        with pytest.raises(JobNotFound):
            act(request_id)
