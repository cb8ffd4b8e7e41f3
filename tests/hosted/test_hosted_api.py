"""Behaviour of the hosted API that scripts rely on, tested against this machine.

Each test runs once for each way in. A way in is a client of the `segmind` interface, the module
that its exceptions come from, and the words that change in a script.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import httpx2
import numpy as np
import pytest
import segmind

import engine
from engine.media.decode import read_frames
from tests.footage import STRANGER, TWO, asset, picture, write_clip, write_png

ROOT = Path(__file__).parents[1]
SLUG = "ai-face-swap"
QUICK = {"pixel_boost": "128x128"}
FRAMES = 12

# The script of the hosted documentation; a user changes its import and the two files.
SEED = """
import sys
{imports}

client = {client}
job = client.submit_async(
    "ai-face-swap",
    source_image=sys.argv[1],
    target=sys.argv[2],
    face_selector_mode="reference",
    face_selector_order="large-small",
    face_selector_gender="none",
    face_selector_race="none",
    face_selector_age_start=0,
    face_selector_age_end=100,
    reference_face_distance=0.6,
    reference_frame_number=1,
    pixel_boost="128x128",
    base64=False,
)
print(job.request_id)
try:
    result = job.wait(timeout=float(sys.argv[3]), interval=0.2)
    print(result["status"])
    print(result.get("output"))
except InferenceTimeout as error:
    print("timeout", error.request_id == job.request_id, error.elapsed_s > 0)
except InferenceFailed as error:
    print("failed", error.detail == error.status_body["error"])
    print(error.detail)
"""


@dataclass(frozen=True)
class Api:
    """A way in.

    `job` makes a handle of an id alone, as another process would, and `read` the bytes of an
    output. `imports` and `construct` are the lines of a script that say which way it is, and
    `environment` what its process needs.
    """

    module: ModuleType
    client: Any
    job: Callable[[str], Any]
    read: Callable[[str], bytes]
    imports: str
    construct: str
    environment: dict[str, str]

    def submit(self, **parameters: Any) -> Any:
        """Return the parameters of a quick job."""
        return self.client.submit_async(SLUG, **{**QUICK, **parameters})


def in_process(folder: Path) -> Iterator[Api]:
    """`import engine as segmind`."""

    def read(uri: str) -> bytes:
        assert uri.startswith("file:///")
        return Path(uri.removeprefix("file://")).read_bytes()

    with engine.SegmindClient(api_key="unused", home=folder / "home") as client:
        yield Api(
            module=engine,
            client=client,
            job=client.job,
            read=read,
            imports="from engine import InferenceFailed, InferenceTimeout, SegmindClient",
            construct="SegmindClient(api_key='unused')",
            environment={"FACESWAP_ENGINE_HOME": str(folder / "home")},
        )


def served(folder: Path) -> Iterator[Api]:
    """Yield the unchanged package `segmind` against `faceswap-engine serve`."""
    command = [sys.executable, "-m", "engine", "serve", "--port", "0"]
    places = ["--home", str(folder / "served"), "--media-root", str(folder)]
    with subprocess.Popen([*command, *places], stderr=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stderr is not None
        url = run.stderr.readline().split()[-1]
        client = segmind.SegmindClient(api_key="unused", base_url=url)

        def job(request_id: str) -> segmind.AsyncJob:
            response_url = f"{url.removesuffix('/v1')}/v2/requests/{request_id}"
            return segmind.AsyncJob(request_id, f"{response_url}/status", response_url, {}, client)

        try:
            yield Api(
                module=segmind,
                client=client,
                job=job,
                read=lambda uri: httpx2.get(uri).raise_for_status().content,
                imports="from segmind import InferenceFailed, InferenceTimeout, SegmindClient",
                construct=f"SegmindClient(api_key='unused', base_url={url!r})",
                environment={},
            )
        finally:
            client._client.close()
            run.terminate()
            assert run.wait(30) == 0


WAYS = {"in process": in_process, "served": served}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all files of the tests, a media root for the server."""
    return tmp_path_factory.mktemp("media").resolve()


@pytest.fixture(scope="module", params=WAYS)
def api(request: pytest.FixtureRequest, folder: Path) -> Iterator[Api]:
    yield from WAYS[request.param](folder)


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    face = cv2.resize(
        decoded(asset(STRANGER).read_bytes()), (384, 384), interpolation=cv2.INTER_AREA
    )
    assert cv2.imwrite(str(folder / "a face.jpg"), face)
    return folder / "a face.jpg"


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return write_clip(folder / "two people.mkv", range(0, 40 * FRAMES, 40))


@pytest.fixture(scope="module")
def still(folder: Path) -> Path:
    return write_png(folder / "two.png", picture(TWO))


@pytest.fixture(scope="module")
def wall(folder: Path) -> Path:
    """A picture without a face."""
    return write_png(folder / "wall.png", picture(()))


def run_seed(api: Api, *arguments: object) -> tuple[list[str], float]:
    """Run the seed script; return its printed lines and its duration in seconds."""
    start = time.monotonic()
    script = SEED.format(imports=api.imports, client=api.construct)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **api.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines(), time.monotonic() - start


def test_the_seed_script_gets_its_video(api: Api, source: Path, clip: Path, tmp_path: Path) -> None:
    (request_id, status, output), _ = run_seed(api, source, clip, 60)
    assert status == "COMPLETED"
    assert api.job(request_id).status()["status"] == "COMPLETED"
    video = tmp_path / "output.mkv"
    video.write_bytes(api.read(output))
    assert len(list(read_frames(video))) == FRAMES


def test_the_seed_script_tells_a_failure(api: Api, clip: Path, wall: Path) -> None:
    (_, printed, detail), _ = run_seed(api, wall, clip, 60)
    assert printed == "failed True"
    assert "No face was found in source_image" in detail


def test_the_seed_script_tells_a_timeout_and_its_job_is_finished(
    api: Api, source: Path, clip: Path
) -> None:
    (request_id, printed), _ = run_seed(api, source, clip, 0.01)
    assert printed == "timeout True True"
    # The script has ended; another process finds the job by its id.
    assert api.job(request_id).wait(timeout=60, interval=0.1)["status"] == "COMPLETED"


def test_submitting_answers_at_once_with_where_to_ask(api: Api, source: Path, still: Path) -> None:
    job = api.submit(source_image=str(source), target=str(still))
    assert isinstance(job, api.module.AsyncJob)
    assert set(job.submit_response) >= {"request_id", "status_url", "response_url"}
    assert job.request_id == job.submit_response["request_id"]
    assert job.status_url == job.submit_response["status_url"]
    assert job.response_url == job.submit_response["response_url"]
    assert job.status_url.endswith(f"/v2/requests/{job.request_id}/status")
    assert job.response_url.endswith(f"/v2/requests/{job.request_id}")
    assert job.wait(timeout=60, interval=0.05)["status"] == "COMPLETED"


def test_a_job_tells_its_states_and_its_report(api: Api, source: Path, clip: Path) -> None:
    job = api.submit(source_image=str(source), target=str(clip))
    seen = [job.status()["status"]]
    while seen[-1] not in ("COMPLETED", "FAILED"):
        time.sleep(0.02)
        seen.append(job.status()["status"])
    order = ["QUEUED", "PROCESSING", "COMPLETED"]
    assert [state for n, state in enumerate(seen) if seen[:n].count(state) == 0] == [
        state for state in order if state in seen
    ]
    body = job.result()
    assert body["status"] == "COMPLETED"
    assert body["metrics"]["inference_time"] > 0
    report = body["metrics"]["report"]
    assert report["frames"] == FRAMES
    assert report["content"]["checked"] is True
    assert report["content"]["target_samples"] == 1
    assert report["content"]["sample_seconds"] == 1
    assert 0 <= report["content"]["source_score"] < report["content"]["limit"]
    json.dumps(body, allow_nan=False)


def test_run_waits_for_the_result(api: Api, source: Path, still: Path) -> None:
    result = api.client.run(SLUG, source_image=str(source), target=str(still), **QUICK)
    assert result["status"] == "COMPLETED"
    assert decoded(api.read(result["output"])).shape == (240, 400, 3)


def test_run_sync_answers_with_the_bytes(api: Api, source: Path, still: Path) -> None:
    response = api.client.run_sync(SLUG, source_image=str(source), target=str(still), **QUICK)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert decoded(response.content).shape == (240, 400, 3)


def test_files_come_and_go_in_base64(api: Api, source: Path, still: Path) -> None:
    face = base64.b64encode(source.read_bytes()).decode()
    inline = {
        "source_image": f"data:image/jpeg;base64,{face}",
        "target": base64.b64encode(still.read_bytes()).decode(),
        "base64": True,
    }
    body = api.client.run(SLUG, **inline, **QUICK)
    swapped = decoded(base64.b64decode(body["output"], validate=True))
    before = decoded(still.read_bytes())
    assert swapped.shape == before.shape
    assert not np.array_equal(swapped, before)
    answer = api.client.run_sync(SLUG, **inline, **QUICK)
    assert np.array_equal(decoded(base64.b64decode(answer.json()["output"])), swapped)


def test_a_file_uri_names_a_file(api: Api, source: Path, still: Path) -> None:
    job = api.submit(source_image=source.as_uri(), target=still.as_uri())
    assert job.wait(timeout=60, interval=0.05)["status"] == "COMPLETED"


def test_a_failure_is_raised_with_its_body(api: Api, wall: Path, still: Path) -> None:
    job = api.submit(source_image=str(wall), target=str(still))
    with pytest.raises(api.module.InferenceFailed) as raised:
        job.wait(timeout=60, interval=0.05)
    error = raised.value
    assert isinstance(error, api.module.SegmindError)
    assert error.status_body["status"] == "FAILED"
    assert error.detail == error.status_body["error"]
    assert "No face was found" in error.detail
    assert error.status is None
    assert error.to_dict() == {"status": None, "detail": error.detail}
    # `result` can be called several times.
    assert job.result()["status"] == job.status()["status"] == "FAILED"
    assert job.result()["error"] == error.detail


def test_a_blocking_call_that_fails_is_a_422(api: Api, wall: Path, still: Path) -> None:
    with pytest.raises(api.module.SegmindError, match="No face was found") as raised:
        api.client.run_sync(SLUG, source_image=str(wall), target=str(still), **QUICK)
    assert raised.value.status == 422


def test_a_timeout_names_the_job_that_goes_on(api: Api, source: Path, clip: Path) -> None:
    job = api.submit(source_image=str(source), target=str(clip))
    start = time.monotonic()
    with pytest.raises(api.module.InferenceTimeout) as raised:
        job.wait(timeout=0.1, interval=0.02)
    assert time.monotonic() - start < 5
    error = raised.value
    assert isinstance(error, api.module.SegmindError)
    assert error.request_id == job.request_id
    assert error.elapsed_s >= 0.1
    assert job.request_id in error.detail
    assert job.wait(timeout=60, interval=0.05)["status"] == "COMPLETED"


@pytest.mark.parametrize("slug", ["ai-face-swap-2", "sdxl", "ai-face-swap/x"])
@pytest.mark.parametrize("call", ["submit_async", "run", "run_sync"])
def test_another_model_is_unknown(api: Api, slug: str, call: str) -> None:
    with pytest.raises(api.module.SegmindError) as raised:
        getattr(api.client, call)(slug, prompt="A sunset")
    assert raised.value.status == 404


@pytest.mark.parametrize("call", ["submit_async", "run", "run_sync"])
def test_bad_parameters_are_named_all_at_once(
    api: Api, source: Path, still: Path, call: str
) -> None:
    with pytest.raises(api.module.SegmindError) as raised:
        getattr(api.client, call)(
            SLUG,
            source_image=str(source),
            target=str(still),
            pixel_boost="100x100",
            reference_face_distance=1.5,
            face_selector_age_start="young",
            face_selector_sex="male",
            base64="yes",
        )
    assert raised.value.status == 400
    for words in (
        "pixel_boost is '100x100'; allowed: 128x128",
        "reference_face_distance is 1.5; allowed: a number from 0 to 1",
        "face_selector_age_start is 'young'; allowed: a whole number from 0 to 100",
        "face_selector_sex is no parameter",
        "base64 is 'yes'; allowed: true, false",
    ):
        assert words in raised.value.detail


def test_what_is_missing_is_named(api: Api) -> None:
    with pytest.raises(api.module.SegmindError, match="source_image is missing") as raised:
        api.client.submit_async(SLUG)
    assert "target is missing" in raised.value.detail
    assert raised.value.status == 400


@pytest.mark.parametrize("nothing", [None, "none"])
def test_no_filter_has_three_names(
    api: Api, source: Path, still: Path, nothing: str | None
) -> None:
    job = api.submit(
        source_image=str(source),
        target=str(still),
        face_selector_gender=nothing,
        face_selector_race=nothing,
    )
    assert job.wait(timeout=60, interval=0.05)["status"] == "COMPLETED"


def test_a_url_is_refused_with_the_reason(api: Api, still: Path) -> None:
    with pytest.raises(api.module.SegmindError, match="works offline") as raised:
        api.submit(source_image="https://example.org/face.jpg", target=str(still))
    assert raised.value.status == 400


def test_an_unknown_id_is_a_404(api: Api) -> None:
    with pytest.raises(api.module.SegmindError) as raised:
        api.job("00000000-0000-4000-8000-000000000000").status()
    assert raised.value.status == 404


def decoded(content: bytes) -> Any:
    """Decode the bytes of a picture."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels
