"""Requests become jobs that any process of this machine can perform within their bounds."""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.api import Engine
from engine.bounds import JobBounds
from engine.errors import MediaError, ParameterError
from engine.hosted.service import (
    JobSubmitter,
    child_checks,
    child_performer,
    enforce_bounds,
    engine_performer,
)
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import ReportProgress, TaskProcess, TaskRunner
from engine.jobs.safe_open import open_beneath
from engine.jobs.worker import run_worker
from engine.media.probe import probe
from engine.media.untrusted import TooLarge
from engine.pipeline.video import Progress
from tests.footage import write_png
from tests.media.test_untrusted import with_false_duration
from tests.synth import draw, make_clip

LISTS = pytest.mark.parametrize("name", ["reference_image", "extra_source_image"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "home") as one:
        yield one


@pytest.fixture
def call(tmp_path: Path) -> dict[str, object]:
    still = str(write_png(tmp_path / "still.png", draw(0, (64, 48))))
    return {"source_image": still, "target": still}


def test_the_record_holds_paths_and_what_was_asked_and_no_more(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    job = JobSubmitter(store=store).submit({**call, "output": output, "crf": 18, "base64": True})
    assert job.request == {
        **call,
        "output": str(output),
        "base64": True,
        "parameters": {"crf": 18},
    }
    json.dumps(dict(job.request))
    assert list(job.folder.iterdir()) == []


def test_a_caller_elsewhere_may_neither_write_nor_turn_the_check_off(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    submitter = JobSubmitter(store=store, may_write=False, may_uncheck=False)
    with pytest.raises(ParameterError, match=r"output names a file.*content_check is False"):
        submitter.submit({**call, "output": tmp_path / "out.png", "content_check": False})
    assert submitter.submit({**call, "output": None, "content_check": True}).state == "QUEUED"


@LISTS
def test_pictures_of_a_list_become_paths_that_any_process_can_read(
    store: JobStore, call: dict[str, object], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    still = Path(str(call["target"]))
    monkeypatch.chdir(still.parent)
    inline = f"data:image/png;base64,{b64encode(still.read_bytes()).decode()}"
    job = JobSubmitter(store=store).submit({**call, name: [still.name, inline, still.as_uri()]})
    given = job.folder / f"{name}-1.png"
    assert job.request["parameters"] == {name: [str(still), str(given), str(still)]}
    assert given.read_bytes() == still.read_bytes()
    one = JobSubmitter(store=store).submit({**call, name: str(still)})
    assert one.request["parameters"] == {name: [str(still)]}


@LISTS
def test_a_picture_of_a_list_that_cannot_be_had_is_named(
    store: JobStore, call: dict[str, object], name: str
) -> None:
    for value, words in (
        ("https://example.org/a.png", "example.org"),
        ("nope.png", "nope.png"),
        ("data:image/png;base64,!", "base64"),
    ):
        with pytest.raises(ParameterError, match=f"{name}-1 .*{words}"):
            JobSubmitter(store=store).submit({**call, name: [call["target"], value]})
    assert list((store.folder / "jobs").iterdir()) == []


@LISTS
def test_checks_look_at_every_file(store: JobStore, call: dict[str, object], name: str) -> None:
    seen: list[str] = []

    def refuse(field: str, _path: Path, _folder: Path) -> None:
        seen.append(field)
        raise ParameterError(f"{field} is too large.")

    with pytest.raises(ParameterError) as raised:
        JobSubmitter(store=store, checks=(lambda: refuse,)).submit({**call, name: call["target"]})
    assert seen == ["source_image", "target", f"{name}-0"]
    assert str(raised.value).count("too large") == 3
    assert list((store.folder / "jobs").iterdir()) == []


def test_an_output_over_an_input_is_refused(store: JobStore, call: dict[str, object]) -> None:
    with pytest.raises(MediaError, match="is also an input"):
        JobSubmitter(store=store).submit({**call, "output": call["target"], "overwrite": True})
    assert store.list() == ()


BOUNDS = JobBounds(
    pixels=10_000,
    seconds=5,
    crf=10,
    output_bytes=1000,
    store_bytes=1 << 30,
    job_seconds=60,
    folders=("/",),
)


class Writer:
    """An engine that writes frames of a hundred bytes."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.written = 0

    def swap(
        self, _source: str, _target: Path, output: Path, *, observe: Callable[..., None], **_: Any
    ) -> Any:
        aside = output.with_name(f".{output.stem}.abcd.partial.mp4")
        try:
            while self.written < self.frames:
                self.written += 1
                aside.write_bytes(bytes(100 * self.written))
                observe(Progress(self.written, self.frames))
        finally:
            aside.unlink()
        raise ParameterError("it was written")


def error_of_job(store: JobStore, job: Job, writer: Writer) -> str:
    """Perform a job with the writer and return its error."""
    run_worker(
        store, enforce_bounds(engine_performer(cast("Engine", writer)), store), until_idle=True
    )
    files = {path.name for path in job.folder.iterdir()}
    assert not [name for name in files if job.id in name]
    return str(store.get(job.id).error)


def test_an_output_that_grows_too_large_ends_the_job(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    target = make_clip(tmp_path / "clip.mp4")
    for bounds, frames in ((BOUNDS, 11), (None, 50)):
        writer = Writer(frames=50)
        job = JobSubmitter(store=store, bounds=bounds).submit({**call, "target": target})
        error = error_of_job(store, job, writer)
        assert writer.written == frames
        assert error.startswith("The output grew over 1,000 bytes" if bounds else "it was")


def test_whoever_does_a_job_keeps_to_its_bounds(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    clip = with_false_duration(make_clip(tmp_path / "clip.mp4", frames=150))
    writer = Writer(frames=1)
    job = JobSubmitter(store=store, bounds=BOUNDS).submit({**call, "target": clip})
    assert error_of_job(store, job, writer).startswith("target lasts too long")
    small = replace(BOUNDS, pixels=100)
    job = JobSubmitter(store=store, bounds=small).submit(call)
    assert error_of_job(store, job, writer).startswith(
        "source_image contains no picture of at most 100"
    )
    assert writer.written == 0


@LISTS
def test_whoever_does_a_job_keeps_the_pictures_of_its_lists_to_its_bounds(
    store: JobStore, call: dict[str, object], tmp_path: Path, name: str
) -> None:
    large = str(write_png(tmp_path / "large.png", draw(0, (160, 120))))
    writer = Writer(frames=1)
    job = JobSubmitter(store=store, bounds=BOUNDS).submit({**call, name: [call["target"], large]})
    assert error_of_job(store, job, writer).startswith(
        f"{name}-1 contains no picture of at most 10,000"
    )
    assert writer.written == 0


def test_a_job_waits_in_vain_for_a_disk_that_is_full(
    store: JobStore, call: dict[str, object]
) -> None:
    full = replace(BOUNDS, store_bytes=1000)
    job = JobSubmitter(store=store, bounds=full).submit(call)
    other = store.new_folder()
    (other / "input").write_bytes(bytes(2000))
    store.add({"source_image": "x", "target": "x", "output": None, "parameters": {}}, other)
    assert error_of_job(store, job, Writer(1)).startswith("The jobs in the store hold 2,000 bytes")


class Redirected:
    """A task runner that calls a function of the test tasks in place of the named one."""

    def __init__(self, tasks: TaskRunner, function: str) -> None:
        self._tasks, self._function = tasks, function

    def call(self, _task: str, given: Any, report: ReportProgress) -> Any:
        return self._tasks.call(f"tests.jobs.child_tasks:{self._function}", given, report)


@pytest.fixture(scope="module")
def child() -> Iterator[TaskProcess]:
    with TaskProcess() as one:
        yield one


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_fails_its_own_job_alone(store: JobStore, child: TaskProcess, name: str) -> None:
    ids = [store.add({"n": n, **({"signal": name} if n % 3 == 1 else {})}).id for n in range(5)]
    assert (
        run_worker(store, child_performer(Redirected(child, "perform_job")), until_idle=True) == 5
    )
    for n, job in enumerate(map(store.get, ids)):
        if n % 3 == 1:
            assert (job.state, job.claim) == ("FAILED", 1)
            assert name in str(job.error)
            assert list(job.folder.iterdir()) == []
        else:
            assert (job.state, job.error) == ("COMPLETED", None)
            assert job.output is not None
            assert json.loads(job.output.read_text()) == {"n": n}
            assert list(job.folder.iterdir()) == [job.output]


def test_a_header_is_read_in_another_process(child: TaskProcess, tmp_path: Path) -> None:
    still = write_png(tmp_path / "still.png", draw(0, (64, 48)))
    (folder := tmp_path / "job").mkdir()
    child_checks(child, replace(BOUNDS, pixels=64 * 48))()("target", still, folder)
    with pytest.raises(TooLarge, match="target has 64 x 48 pixels"):
        child_checks(child, replace(BOUNDS, pixels=100))()("target", still, folder)
    (tmp_path / "text.mp4").write_text("no picture")
    with pytest.raises(MediaError, match="target is not a video or an image"):
        child_checks(child, BOUNDS)()("target", tmp_path / "text.mp4", folder)


def test_a_file_that_crashes_its_reader_is_refused(child: TaskProcess, tmp_path: Path) -> None:
    class Crashing:
        def call(self, _task: str, _given: Any, report: ReportProgress) -> Any:
            return child.call("tests.jobs.child_tasks:kill_self", "SIGSEGV", report)

    with pytest.raises(MediaError, match=r"target cannot be read\. The child process .*SIGSEGV"):
        child_checks(Crashing(), BOUNDS)()("target", tmp_path / "a.png", tmp_path)


def test_a_file_that_takes_for_ever_to_look_through_is_refused(
    child: TaskProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.hosted.service._CHECK_SECONDS", 0.1)

    class Slow:
        def call(self, _task: str, given: Any, report: ReportProgress) -> Any:
            return child.call("tests.jobs.child_tasks:run_steps", f"{given['path']}.log", report)

    with pytest.raises(MediaError, match=r"target could not be checked in time.* 0\.1 s"):
        child_checks(Slow(), BOUNDS)()("target", tmp_path / "a.png", tmp_path)


def test_a_file_is_not_refused_as_its_reader_is_busy_or_starts(
    child: TaskProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.hosted.service._CHECK_SECONDS", 0.4)
    still = write_png(tmp_path / "still.png", draw(0, (64, 48)))
    reports: list[tuple[int, int | None]] = []

    class Starting:
        def call(self, task: str, given: Any, report: ReportProgress) -> Any:
            child.call("tests.jobs.child_tasks:start_slowly", 1.0, report)
            return child.call(task, given, lambda *steps: reports.append(steps))

    child_checks(Starting(), BOUNDS)()("target", still, tmp_path)
    assert reports[-1] == (0, 1), "a real check says when it has begun"


def test_the_files_of_a_call_have_their_time_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("engine.hosted.service.time", SimpleNamespace(monotonic=lambda: now))

    class Slow:
        def call(self, _task: str, _given: Any, report: ReportProgress) -> Any:
            nonlocal now
            report(0, 1)
            now += 20
            report(0, 1)

    begin = child_checks(Slow(), BOUNDS)
    check = begin()
    check("source_image", tmp_path / "a.png", tmp_path)
    with pytest.raises(MediaError, match="target could not be checked in time"):
        check("target", tmp_path / "a.png", tmp_path)
    begin()("target", tmp_path / "a.png", tmp_path)


class Copier:
    """An engine that reports the size of the file at the target's path."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.before = before

    def swap(self, _source: str, target: Path, output: Path, **_: Any) -> Any:
        self.before()
        output.write_bytes(target.read_bytes())
        raise ParameterError(f"copied {output.stat().st_size} bytes")


@pytest.fixture
def media_and_secret(tmp_path: Path) -> Path:
    """Return a folder of media with a secret file beside it."""
    media = tmp_path / "media"
    (media / "folder").mkdir(parents=True)
    write_png(media / "still.png", draw(0, (64, 48)))
    write_png(media / "folder" / "still.png", draw(0, (64, 48)))
    (tmp_path / "secrets").mkdir()
    write_png(tmp_path / "secrets" / "still.png", draw(1, (32, 32)))
    return media


def replace_by_link(path: Path, to: Path) -> None:
    """Replace a file or folder by a link."""
    path.rename(path.with_name("moved"))
    path.symlink_to(to)


def replace_by_pipe(path: Path, _to: Path) -> None:
    """Replace a file by a named pipe."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("field", ["source_image", "target", "extra_source_image"])
@pytest.mark.parametrize(
    ("given", "what", "exchange", "to"),
    [
        ("still.png", "still.png", replace_by_link, "secrets/still.png"),
        ("still.png", "still.png", replace_by_link, "media/folder/still.png"),
        ("folder/still.png", "folder", replace_by_link, "secrets"),
        ("still.png", "still.png", replace_by_pipe, ""),
    ],
)
def test_a_file_that_is_exchanged_for_a_link_while_it_waits_is_not_read(
    store: JobStore,
    media_and_secret: Path,
    field: str,
    given: str,
    what: str,
    exchange: Callable[[Path, Path], None],
    to: str,
) -> None:
    bounds = replace(BOUNDS, output_bytes=1 << 20, folders=(str(media_and_secret),))
    (other,) = {"still.png", "folder/still.png"} - {given}
    fine = str(media_and_secret / other)
    call = {"source_image": fine, "target": fine, field: str(media_and_secret / given)}
    job = JobSubmitter(store=store, bounds=bounds).submit(call)
    exchange(media_and_secret / what, media_and_secret.parent / to)
    run_worker(
        store, enforce_bounds(engine_performer(cast("Engine", Copier())), store), until_idle=True
    )
    error = str(store.get(job.id).error)
    assert error.startswith(field)
    assert f"is {media_and_secret / given}, which is no longer a file in the folders" in error
    assert list(job.folder.iterdir()) == []


def test_a_job_is_done_by_whoever_spells_the_home_in_another_way(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    still = write_png(tmp_path / "still.png", draw(0, (64, 48)))
    inline = f"data:image/png;base64,{b64encode(still.read_bytes()).decode()}"
    bounds = replace(BOUNDS, output_bytes=1 << 20, folders=())
    with JobStore(tmp_path / "link") as linked_store, JobStore(tmp_path / "home") as store:
        call = {"source_image": inline, "target": inline}
        job = JobSubmitter(store=linked_store, bounds=bounds).submit(call)
        run_worker(
            store,
            enforce_bounds(engine_performer(cast("Engine", Copier())), store),
            until_idle=True,
        )
        assert store.get(job.id).error == f"copied {still.stat().st_size} bytes"


def test_a_file_that_is_exchanged_in_the_middle_of_the_work_is_the_one_that_was_checked(
    store: JobStore, media_and_secret: Path
) -> None:
    target = media_and_secret / "still.png"
    size, secret = target.stat().st_size, media_and_secret.parent / "secrets" / "still.png"
    assert size != secret.stat().st_size
    bounds = replace(BOUNDS, output_bytes=1 << 20, folders=(str(media_and_secret),))
    job = JobSubmitter(store=store, bounds=bounds).submit(
        {"source_image": str(media_and_secret / "folder" / "still.png"), "target": str(target)}
    )
    engine = Copier(lambda: replace_by_link(target, secret))
    run_worker(
        store, enforce_bounds(engine_performer(cast("Engine", engine)), store), until_idle=True
    )
    assert store.get(job.id).error == f"copied {size} bytes"
    assert list(job.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "playlist"),
    [
        ("film.mp4", "ffconcat version 1.0\nfile film.ts\n"),
        ("film.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_file_that_is_rewritten_as_a_playlist_after_its_check_is_not_followed(
    store: JobStore, media_and_secret: Path, name: str, playlist: str
) -> None:
    clip = make_clip(media_and_secret / "clip.mp4")
    target = clip.rename(media_and_secret / name)
    secret = make_clip(media_and_secret.parent / "secrets" / "film.ts", frames=30)

    class Reader:
        def swap(self, _source: str, target: Path, *_: Any, **__: Any) -> Any:
            (media_and_secret / name).write_text(playlist.format(secret))
            target.with_name(secret.name).symlink_to(secret)
            raise ParameterError(f"It shows {probe(target).size}.")

    bounds = replace(BOUNDS, output_bytes=1 << 20, folders=(str(media_and_secret),))
    job = JobSubmitter(store=store, bounds=bounds).submit(
        {"source_image": str(media_and_secret / "still.png"), "target": str(target)}
    )
    run_worker(
        store, enforce_bounds(engine_performer(cast("Engine", Reader())), store), until_idle=True
    )
    assert "is not a video or an image that is supported" in str(store.get(job.id).error)


def test_where_files_have_no_names_by_number_a_copy_is_read(
    media_and_secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: "/proc/" not in str(path) and exists(path))
    still, place = media_and_secret / "still.png", tmp_path / "target.png"
    content = still.read_bytes()
    with open_beneath("target", still, [media_and_secret], place, len(content)) as file:
        still.unlink()
        assert not file.is_symlink()
        assert file.read_bytes() == content
    assert not place.exists()
    still.write_bytes(content + b"0")
    with (
        pytest.raises(ParameterError, match=f"target holds more than {len(content):,} bytes"),
        open_beneath("target", still, [media_and_secret], place, len(content)),
    ):
        pass
    assert not place.exists()


@pytest.mark.parametrize("way", ["folder/../still.png", "../secrets/still.png", "folder/.."])
def test_no_file_is_held_by_a_path_that_goes_up(
    media_and_secret: Path, tmp_path: Path, way: str
) -> None:
    place = tmp_path / "target.png"
    with (
        pytest.raises(ParameterError, match="no longer a file in the folders"),
        open_beneath("target", media_and_secret / way, [media_and_secret], place, 1 << 20),
    ):
        pass


def test_a_job_has_so_much_time(store: JobStore, call: dict[str, object]) -> None:
    class Endless:
        def swap(self, *_: Any, observe: Callable[..., None], **__: Any) -> Any:
            while True:
                observe(Progress(1, 2))
                time.sleep(0.01)

    bounds = replace(BOUNDS, job_seconds=0.2)
    job = JobSubmitter(store=store, bounds=bounds).submit(call)
    run_worker(
        store, enforce_bounds(engine_performer(cast("Engine", Endless())), store), until_idle=True
    )
    assert "took longer than 0.2 seconds" in str(store.get(job.id).error)


def error_after_writing(store: JobStore, job: Job, writes: Callable[[Path], object]) -> str:
    """Perform a job whose engine writes its output and reports no frames; return its error."""

    class Quick:
        def swap(self, _source: str, _target: Path, output: Path, **_: Any) -> Any:
            writes(output)
            return SimpleNamespace(frames=1)

    run_worker(
        store, enforce_bounds(engine_performer(cast("Engine", Quick())), store), until_idle=True
    )
    return str(store.get(job.id).error)


def test_a_picture_that_is_too_large_is_not_kept(store: JobStore, call: dict[str, object]) -> None:
    job = JobSubmitter(store=store, bounds=BOUNDS).submit(call)
    error = error_after_writing(store, job, lambda output: output.write_bytes(bytes(1001)))
    assert error.startswith("The output grew over 1,000 bytes")
    assert list(job.folder.iterdir()) == []


@pytest.mark.parametrize("bounds", [None, BOUNDS])
def test_what_was_made_goes_with_a_job_that_is_cancelled_at_its_end(
    store: JobStore, call: dict[str, object], bounds: JobBounds | None
) -> None:
    job = JobSubmitter(store=store, bounds=bounds).submit(call)

    def write(output: Path) -> None:
        output.write_bytes(b"made")
        store.cancel(job.id)

    assert error_after_writing(store, job, write) == "The job was cancelled."
    assert list(job.folder.iterdir()) == []
