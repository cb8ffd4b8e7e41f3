"""The in-process client: jobs that outlive it, files, the content check, and no network."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import segmind

import engine
from engine import InferenceFailed, SegmindClient, SegmindError
from engine.api import Engine
from engine.errors import EngineError
from engine.hosted.client import AsyncJob
from engine.jobs.results import encode_base64
from engine.jobs.worker import STARTS_THREADS_AT_EXIT
from engine.media.decode import read_frames
from tests.footage import STRANGER, TWO, asset, picture, write_clip, write_png
from tests.media.looks import provenance

ROOT = Path(__file__).parents[1]
SLUG = "ai-face-swap"
FRAMES = 12
LONG = 40
QUICK: dict[str, Any] = {"pixel_boost": "128x128", "video_codec": "ffv1"}

SUBMIT = """
import os, signal, sys, time
from engine.hosted.client import SegmindClient, BackgroundWorker
BackgroundWorker.__init__.__kwdefaults__["lease_seconds"] = 1.0
client = SegmindClient(home=sys.argv[1])
job = client.submit_async(
    "ai-face-swap", source_image=sys.argv[2], target=sys.argv[3],
    pixel_boost="128x128", video_codec="ffv1",
)
print(job.request_id, flush=True)
while not job.status()["progress"]["done"]:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)  # here, as whoever waits to do it may come too late
"""

# An audit hook sees every use of a socket and cannot be removed. As the module sitecustomize it
# also runs in the child process.
FORBID = """
import sys

def refuse(event, args):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        raise PermissionError(f"reached for the network: {event} {args}")

sys.addaudithook(refuse)
"""
OFFLINE = """
import sitecustomize, sys
assert sitecustomize.refuse
import engine as segmind

client = segmind.SegmindClient(home=sys.argv[1])
job = client.submit_async(
    "ai-face-swap", source_image=sys.argv[2], target=sys.argv[3],
    pixel_boost="128x128", video_codec="ffv1", face_selector_gender="female",
)
print(job.wait(timeout=300, interval=0.1)["status"])
client.close()
"""


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def client(home: Path, warm: Engine) -> Iterator[SegmindClient]:
    with SegmindClient(home=home, engine=warm) as one:
        yield one


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "two.mkv", range(0, 40 * FRAMES, 40))


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A request that takes some seconds."""
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mkv", range(0, 40 * LONG, 40))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO))


def submit(client: SegmindClient, target: Path, **parameters: Any) -> AsyncJob:
    given = {"source_image": asset(STRANGER), **QUICK, **parameters}
    return client.submit_async(SLUG, target=target, **given)


def done(job: AsyncJob) -> dict[str, Any]:
    return job.wait(timeout=300, interval=0.1)


def until(happened: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_a_whole_job_with_sockets_forbidden(home: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FORBID)
    ran = subprocess.run(
        [sys.executable, "-c", OFFLINE, home, asset(STRANGER), clip],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["COMPLETED"]


def test_whoever_waits_finishes_the_job_of_a_killed_submitter(
    home: Path, warm: Engine, long_clip: Path
) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", SUBMIT, home, asset(STRANGER), long_clip],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    request_id = victim.communicate(timeout=300)[0].strip()
    assert victim.returncode == -signal.SIGKILL

    with SegmindClient(home=home, engine=warm) as other:
        job = other.job(request_id)
        assert job.status()["status"] in ("PROCESSING", "QUEUED")
        output = Path(done(job)["output"].removeprefix("file://"))
    assert len(list(read_frames(output))) == LONG
    # The partial output of the killed worker is removed.
    assert [path.name for path in output.parent.iterdir()] == ["output.mkv"]


def test_a_submitter_that_ends_finishes_its_job_first(home: Path, clip: Path) -> None:
    script = SUBMIT.partition("while")[0]
    ran = subprocess.run(
        [sys.executable, "-c", script, home, asset(STRANGER), clip],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    with SegmindClient(home=home, worker=False) as other:
        job = other.job(ran.stdout.strip())
        if not STARTS_THREADS_AT_EXIT:
            assert job.status()["status"] == "QUEUED"
            return
        assert job.status()["status"] == "COMPLETED"
        assert Path(job.result()["output"].removeprefix("file://")).is_file()


def test_a_client_may_leave_its_jobs_to_a_worker(home: Path, still: Path) -> None:
    with SegmindClient(home=home, worker=False) as client:
        job = submit(client, still)
        time.sleep(0.05)
        assert job.status()["status"] == "QUEUED"


def test_the_calls_of_the_module(home: Path, still: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESWAP_ENGINE_HOME", str(home))
    monkeypatch.setattr("engine.hosted.client._client", client_of(home))
    given = {"source_image": str(asset(STRANGER)), "target": str(still), "pixel_boost": "128x128"}
    assert engine.run(SLUG, **given)["status"] == "COMPLETED"
    assert engine.run_sync(SLUG, **given).content.startswith(b"\x89PNG")
    assert done(engine.submit_async(SLUG, **given))["status"] == "COMPLETED"


def client_of(home: Path) -> Callable[[], SegmindClient]:
    client = SegmindClient()
    assert client._store.folder == home
    return lambda: client


def test_an_output_goes_where_it_was_named(
    client: SegmindClient, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    output = folder / "swapped film.mkv"
    body = done(submit(client, clip, output=str(output)))
    assert body["output"] == output.as_uri()
    assert body["metrics"]["report"]["output"] == str(output)
    assert list(folder.iterdir()) == [output]
    assert len(list(read_frames(output))) == FRAMES

    with pytest.raises(SegmindError, match="exists") as raised:
        submit(client, clip, output=output.as_uri())
    assert raised.value.status == 400
    before = output.stat().st_ino
    done(submit(client, clip, output=output.as_uri(), overwrite=True))
    assert output.stat().st_ino != before
    assert list(folder.iterdir()) == [output]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"output": "https://example.org/x.mp4"}, "^output is"),
        ({"output": "/no such folder/x.mp4"}, "does not exist"),
        ({"output": "x.txt"}, "must end in"),
        ({"source_image": "nope.jpg", "target": "nope.mp4"}, "source_image is.*target is"),
        ({"reference_image": ["nope.png"]}, "reference_image-0 is 'nope.png'"),
        ({"extra_source_image": ["nope.png"]}, "extra_source_image-0 is 'nope.png'"),
    ],
)
def test_files_that_cannot_be_used_are_refused_at_once(
    client: SegmindClient, home: Path, still: Path, parameters: dict[str, Any], words: str
) -> None:
    given = {"source_image": asset(STRANGER), "target": still, **parameters}
    with pytest.raises(SegmindError) as raised:
        client.submit_async(SLUG, **given)
    assert raised.value.status == 400
    with pytest.raises(ValueError, match=words):
        raise ValueError(raised.value.detail)
    assert list((home / "jobs").iterdir()) == []


def test_a_relative_path_is_that_of_the_submitter(
    client: SegmindClient, still: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(still.parent)
    job = submit(client, Path(still.name), output="relative.png")
    monkeypatch.chdir(tmp_path)
    assert done(job)["output"] == (still.parent / "relative.png").as_uri()


def test_a_reference_image_may_be_inline(
    client: SegmindClient, still: Path, tmp_path: Path
) -> None:
    inline = f"data:image/png;base64,{encode_base64(still.read_bytes())}"
    body = done(submit(client, still, reference_image=[inline, str(still)]))
    references = body["metrics"]["report"]["selection"]["references"]
    assert [Path(one["where"]).name for one in references] == ["reference_image-0.png", "two.png"]


def test_an_extra_source_image_may_be_inline(client: SegmindClient, still: Path) -> None:
    inline = f"data:image/png;base64,{encode_base64(still.read_bytes())}"
    report = done(submit(client, still, extra_source_image=[inline]))["metrics"]["report"]
    given, target = Path(report["parameters"]["extra_source_image"][0]), still
    assert given.name == "extra_source_image-0.png"
    assert given.parent != target.parent


def test_the_source_may_be_an_inline_clip(client: SegmindClient, still: Path, clip: Path) -> None:
    inline = f"data:video/x-matroska;base64,{encode_base64(clip.read_bytes())}"
    report = done(submit(client, still, source_image=inline))["metrics"]["report"]
    (source,) = report["sources"]
    assert Path(source["path"]).name == "source_image.mkv"
    assert 0 <= source["seconds"] < 0.04 * FRAMES


def test_a_job_is_cancelled_in_the_middle(client: SegmindClient, long_clip: Path) -> None:
    job = submit(client, long_clip)
    until(lambda: job.status()["progress"]["done"] > 0)
    cancelled = client._store.cancel(job.request_id)
    with pytest.raises(InferenceFailed, match="cancelled"):
        job.wait(timeout=300, interval=0.05)
    assert client._store.get(job.request_id).done < LONG
    assert list(cancelled.folder.iterdir()) == []


def test_a_content_block_is_a_failure_and_leaves_nothing(
    client: SegmindClient, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.trust.content.explicit_score", lambda *_: 0.97)
    job = submit(client, clip)
    with pytest.raises(InferenceFailed) as raised:
        done(job)
    assert raised.value.detail is not None
    assert raised.value.detail.startswith("The content check refuses")
    assert "0.97" in raised.value.detail
    assert job.result()["status"] == "FAILED"
    assert list(client._store.get(job.request_id).folder.iterdir()) == []


def test_turning_the_content_check_off_is_recorded(
    client: SegmindClient, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.trust.content.explicit_score", lambda *_: 0.97)
    body = done(submit(client, clip, content_check=False))
    report = body["metrics"]["report"]
    assert report["content"]["checked"] is False
    assert report["parameters"]["content_check"] is False
    mark = provenance(Path(body["output"].removeprefix("file://")))
    assert mark is not None
    assert "content check turned off" in mark


def test_results_are_gone_after_their_time(
    home: Path, warm: Engine, still: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SegmindClient(home=home, engine=warm, retention=600) as client:
        job = submit(client, still)
        output = Path(done(job)["output"].removeprefix("file://"))
        assert output.is_file()
        monkeypatch.setattr(client._store, "_steady", lambda: time.monotonic() + 601)
        for ask in (job.status, job.result, lambda: client.job(job.request_id)):
            with pytest.raises(SegmindError) as raised:
                ask()
            assert raised.value.status == 404
        submit(client, still)
        assert not output.parent.exists()


def test_an_output_that_was_taken_away_is_a_404(
    client: SegmindClient, still: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    job = submit(client, still, output=output, base64=True)
    assert done(job)["output"] == encode_base64(output.read_bytes())
    output.unlink()
    with pytest.raises(SegmindError, match="is gone") as raised:
        job.result()
    assert raised.value.status == 404


def test_a_full_queue_is_a_429(home: Path, still: Path) -> None:
    with SegmindClient(home=home, worker=False, queue_limit=1) as client:
        submit(client, still)
        with pytest.raises(SegmindError) as raised:
            submit(client, still)
        assert raised.value.status == 429


def test_progress_is_told(client: SegmindClient, clip: Path) -> None:
    job = submit(client, clip)
    done(job)
    assert job.status()["progress"] == {"done": FRAMES, "total": FRAMES}


def test_the_key_is_kept_and_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMIND_API_KEY", "of the environment")
    with SegmindClient(home=home) as client:
        assert client.api_key == "of the environment"
        assert client.timeout == 30.0
        assert client.base_url == "https://api.segmind.com/v1"
    with SegmindClient("given", timeout=5, home=home) as client:
        assert (client.api_key, client.timeout) == ("given", 5)


CALLS = ["__init__", "run", "run_sync", "submit_async"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *((getattr(SegmindClient, call), getattr(segmind.SegmindClient, call)) for call in CALLS),
        *((getattr(engine, call), getattr(segmind, call)) for call in CALLS[1:]),
        *(
            (getattr(AsyncJob, call), getattr(segmind.AsyncJob, call))
            for call in dir(AsyncJob)
            if call in ("__init__", "status", "result", "wait")
        ),
        *(
            (getattr(engine, kind).__init__, getattr(segmind, kind).__init__)
            for kind in ("SegmindError", "InferenceFailed", "InferenceTimeout")
        ),
    ],
    ids=lambda call: call.__qualname__,
)
def test_signatures_are_the_hosted_ones(ours: Any, theirs: Any) -> None:
    def shape(call: Any) -> list[tuple[str, object, object]]:
        # Arguments that this engine adds are keyword-only.
        parameters = inspect.signature(call).parameters.values()
        return [
            (one.name, one.kind, one.default) for one in parameters if one.kind != one.KEYWORD_ONLY
        ]

    assert shape(ours) == shape(theirs)


def test_another_address_is_warned_of(home: Path) -> None:
    with pytest.warns(UserWarning, match="connects to no server"):
        SegmindClient(base_url="http://127.0.0.1:8760/v1", home=home).close()


def test_errors_read_as_the_hosted_ones() -> None:
    error = SegmindError(status=404, detail="No.")
    assert str(error) == "\n-----SegmindError Details-----\nstatus: 404\ndetail: No."
    assert repr(error) == "SegmindError(status=404, detail=No.)"
    assert error.to_dict() == {"status": 404, "detail": "No."}
    assert isinstance(error, EngineError)
    timeout = engine.InferenceTimeout(request_id="abc", elapsed_s=1.25)
    assert (timeout.request_id, timeout.elapsed_s, timeout.status) == ("abc", 1.25, None)
    assert str(os.getpid()) not in str(timeout)
