"""The routes of the hosted API over a job store."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from engine.bounds import JobBounds, Limits
from engine.jobs.job_store import Job, JobStore
from engine.server import serving
from engine.server.access import Access
from engine.server.body import BodyReader
from engine.server.media_roots import MediaRoots
from engine.version import VERSION
from tests.media.test_untrusted import png_that_claims
from tests.server.conftest import HOST, LocalServer, Media, Open, data_uri, done_before
from tests.synth import make_clip

LISTS = ("reference_image", "extra_source_image")  # parameters that name several pictures


def wait(local: LocalServer, request_id: str) -> dict[str, Any]:
    """Wait for a request and return its final status body."""
    for _ in range(500):
        body: dict[str, Any] = local.client.get(f"/v2/requests/{request_id}/status").json()
        if body["status"] in ("COMPLETED", "FAILED"):
            return body
        time.sleep(0.01)
    raise AssertionError(f"still {body}")


def done(local: LocalServer, **parameters: Any) -> dict[str, Any]:
    """Post a request, wait for it, and return its result."""
    submitted = local.call(**parameters)
    assert submitted.status_code == 200, submitted.text
    wait(local, submitted.json()["request_id"])
    body: dict[str, Any] = local.client.get(submitted.json()["response_url"]).json()
    return body


def test_submit_poll_and_download(local: LocalServer, media: Media) -> None:
    submitted = local.call(**media.call).json()
    request_id = submitted["request_id"]
    assert submitted["response_url"] == f"{HOST}/v2/requests/{request_id}"
    assert submitted["status_url"] == f"{HOST}/v2/requests/{request_id}/status"
    assert wait(local, request_id)["status"] == "COMPLETED"
    result = local.client.get(submitted["response_url"]).json()
    assert result["output"] == f"{HOST}/outputs/{request_id}/output.mp4"
    file = local.client.get(result["output"])
    assert file.content == (media.folder / "clip.mp4").read_bytes()
    assert file.headers["content-type"] == "video/mp4"


def test_states_in_their_order(open_server: Open, media: Media) -> None:
    with open_server(gated=True) as local:
        first, second = (local.call(**media.call).json()["request_id"] for _ in range(2))
        seen: dict[str, Any] = {}
        while seen.get("status") != "PROCESSING" or not seen["progress"]["done"]:
            seen = local.client.get(f"/v2/requests/{first}/status").json()
        assert seen["progress"] == {"done": 1, "total": 2}
        assert local.client.get(f"/v2/requests/{second}").json()["status"] == "QUEUED"
        local.stand_in.gate.set()
        assert wait(local, second)["status"] == "COMPLETED"


def test_the_source_may_be_a_clip(local: LocalServer, media: Media) -> None:
    clips = {"source_image": media.clip, "extra_source_image": [media.clip]}
    call: dict[str, Any] = {**media.call, **clips}
    request_id = local.call(**call).json()["request_id"]
    assert wait(local, request_id)["status"] == "COMPLETED"
    assert Path(local.store.get(request_id).request["source_image"]).suffix == ".mp4"


def test_base64_is_the_file_itself(local: LocalServer, media: Media) -> None:
    output = done(local, **media.call, base64=True)["output"]
    assert base64.b64decode(output) == (media.folder / "clip.mp4").read_bytes()


def test_base64_comes_in_pieces_of_a_body_whose_length_is_known(
    open_server: Open, tmp_path: Path
) -> None:
    sizes = (0, 1, 2, 3, (3 << 16) - 1, 3 << 16, (9 << 16) + 1)
    contents = [bytes(n % 251 for n in range(size)) for size in sizes]
    jobs = [done_before(tmp_path / "home", content, {"n": "é\n"}) for content in contents]
    with open_server() as local:
        for job, content in zip(jobs, contents, strict=True):
            answer = local.client.get(f"/v2/requests/{job}")
            assert int(answer.headers["content-length"]) == len(answer.content)
            body = answer.json()
            assert body["metrics"] == {"n": "é\n"}
            assert base64.b64decode(body["output"]) == content
        (local.store.get(jobs[-1]).folder / "output.bin").unlink()
        assert local.client.get(f"/v2/requests/{jobs[-1]}").status_code == 404


def test_too_large_an_output_is_not_answered_in_base64(
    open_server: Open, media: Media, tmp_path: Path
) -> None:
    size = len(media.picture) + len(media.clip) + 1000
    job = done_before(tmp_path / "home", bytes(size + 1))
    with open_server(limits=Limits(body_bytes=size)) as local:
        answer = local.client.get(f"/v2/requests/{job}")
        assert answer.status_code == 413
        url = f"{HOST}/outputs/{job}/output.bin"
        assert answer.json()["error"].endswith(f"Download it from {url}.")
        assert len(local.client.get(url).content) == size + 1


def test_one_blocking_call(local: LocalServer, media: Media) -> None:
    answer = local.call("v1", **media.call)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content == (media.folder / "clip.mp4").read_bytes()
    encoded = local.call("v1", **media.call, base64=True).json()
    assert base64.b64decode(encoded["output"]) == answer.content


@pytest.mark.parametrize(
    ("swapper", "sentence"),
    [
        ("faceless", "target.mp4 shows no face."),
        ("broken", "The job failed unexpectedly; the server's log says how."),
    ],
)
def test_a_failure_is_422_with_its_body(
    local: LocalServer, media: Media, swapper: str, sentence: str
) -> None:
    submitted = local.call(**media.call, swapper=swapper).json()
    assert wait(local, submitted["request_id"])["error"] == sentence
    for url in (submitted["status_url"], submitted["response_url"]):
        answer = local.client.get(url)
        assert (answer.status_code, answer.json()["status"]) == (422, "FAILED")
    blocking = local.call("v1", **media.call, swapper=swapper)
    assert (blocking.status_code, blocking.json()["error"]) == (422, sentence)


def test_no_body_tells_where_the_files_lie(local: LocalServer, media: Media) -> None:
    body = json.dumps(done(local, **media.call))
    assert '"output": "output.mp4"' in body
    assert str(local.store.folder) not in body


def test_a_path_is_told_as_it_was_sent(open_server: Open, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=3)
    roots = MediaRoots.from_folders([tmp_path, Path("/")])
    with open_server(roots=roots) as local:
        missing = local.call(source_image="no.png", target="clip.mp4").json()["error"]
        assert missing.startswith("source_image is 'no.png', which is no file here")
        job = local.store.add({"target": str(tmp_path / "clip.mp4"), "parameters": {}})
        claimed = local.store.claim("test", 30) or local.store.get(job.id)
        if claimed.worker == "test":
            local.store.fail(claimed, f"Nobody in {tmp_path}/clip.mp4 or {job.folder}/a.png.")
        for url in ("status", ""):
            body = local.client.get(f"/v2/requests/{job.id}/{url}".rstrip("/")).json()
            assert str(tmp_path) not in json.dumps(body)
            assert body["response_url"] == f"{HOST}/v2/requests/{job.id}"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"video_codec": "rawvideo"}, "video_codec is 'rawvideo', which this server does not"),
        ({"video_codec": "ffv1"}, "video_codec is 'ffv1'"),
        ({"preset": "placebo"}, "preset is 'placebo', which takes too long for this server"),
        ({"video_codec": "libsvtav1", "preset": "0"}, "preset is '0', which takes too long"),
        ({"video_codec": "libx264", "crf": 0}, "crf is 0; allowed on this server: from 10"),
    ],
)
def test_no_client_may_ask_for_a_file_without_measure(
    local: LocalServer, media: Media, parameters: dict[str, Any], words: str
) -> None:
    answer = local.call(**media.call, **parameters)
    assert (answer.status_code, words in answer.json()["error"]) == (400, True)
    fine: dict[str, Any] = {"video_codec": "HEVC", "crf": 10, "preset": "slow"}
    assert local.call(**media.call, **fine).status_code == 200


def test_a_store_that_is_full_takes_no_more(open_server: Open, media: Media) -> None:
    with open_server(limits=Limits(job=JobBounds(store_bytes=1000))) as local:
        done(local, **media.call)
        answer = local.call(**media.call)
        assert (answer.status_code, "allowed: 1,000" in answer.json()["error"]) == (429, True)


def test_a_body_is_not_held_many_times() -> None:
    body = json.dumps({"source_image": "A" * 20_000_000}).encode()
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]

    async def receive() -> Message:
        more = len(chunks) > 1
        return {"type": "http.request", "body": chunks.pop(0), "more_body": more}

    async def read() -> int:
        headers = [(b"content-type", b"application/json")]
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        bodies = BodyReader(max_bytes=len(body), max_seconds=60, max_held=len(body) * 2)
        async with bodies.parameters(request) as sent:
            assert len(sent["source_image"]) == 20_000_000
            return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        kept = asyncio.run(read())
        assert kept < 1.2 * len(body)
        assert tracemalloc.get_traced_memory()[1] < 2.3 * len(body)
    finally:
        tracemalloc.stop()


def test_all_problems_are_told_at_once(local: LocalServer, media: Media) -> None:
    answer = local.call(source_image=media.picture, pixel_bost="1", face_selector_mode="two")
    assert answer.status_code == 400
    for words in ("target is missing", "did you mean pixel_boost", "face_selector_mode is 'two'"):
        assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source_image", "https://example.com/face.png"),
        ("target", "http://127.0.0.1/clip.mp4"),
        ("target", "ftp://example.com/clip.mp4"),
        ("target", "data:video/mp4;base64,!!!!"),
        ("target", "data:text/plain,hello"),
        ("target", ""),
        ("target", 5),
        ("output", "/tmp/swapped.mp4"),
        ("output", "file:///tmp/swapped.mp4"),
        ("content_check", False),
        ("crf", 10**400),
        ("reference_frame_number", -1),
        ("start", "\ud800"),
    ],
)
def test_bad_parameters(local: LocalServer, media: Media, name: str, value: Any) -> None:
    answer = local.client.post(
        "/v2/ai-face-swap",
        content=json.dumps({**media.call, name: value}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    assert name in answer.json()["error"]
    assert list((local.store.folder / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json; charset=utf-8", 400),
        (b'{"crf": NaN}', "application/json", 400),
        (b'{"crf": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"crf": 1e999}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "application/json", 400),
        (b'{"\\ud800": 1}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "multipart/form-data; boundary=x", 415),
        (b"{}", "", 415),
    ],
)
def test_bad_bodies(local: LocalServer, body: bytes, kind: str, code: int) -> None:
    for version in ("v1", "v2"):
        answer = local.client.post(
            f"/{version}/ai-face-swap", content=body, headers={"content-type": kind}
        )
        assert answer.status_code == code, answer.text
        assert answer.json()["error"]


def test_a_compressed_body_is_refused(local: LocalServer) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert local.client.post("/v2/ai-face-swap", content=b"{}", headers=headers).status_code == 415


@pytest.mark.parametrize("in_chunks", [True, False])
def test_too_long_a_body(open_server: Open, in_chunks: bool) -> None:
    with open_server(limits=Limits(body_bytes=1000)) as local:
        body = b'{"target": "' + b"a" * 1000 + b'"}'
        content: Any = iter([body[:500], body[500:]]) if in_chunks else body
        headers = {"content-type": "application/json"}
        answer = local.client.post("/v2/ai-face-swap", content=content, headers=headers)
        assert answer.status_code == 413
        assert "1,000 bytes" in answer.json()["error"]


def test_bodies_that_are_read_at_once_are_bounded_together(open_server: Open, media: Media) -> None:
    with open_server(limits=Limits(held_bytes=2000)) as local:
        answer = local.call(**media.call)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        for _ in range(20):
            assert local.call(target="x" * 500).status_code == 400


def test_too_many_pixels_and_too_long_a_video(
    open_server: Open, media: Media, tmp_path: Path
) -> None:
    huge = data_uri(png_that_claims(tmp_path / "huge.png", 100_000, 100_000), "image/png")
    with open_server(limits=Limits(job=JobBounds(seconds=2))) as local:
        answer = local.call(**{**media.call, "source_image": huge})
        assert (answer.status_code, "100000 x 100000" in answer.json()["error"]) == (413, True)
        for name in LISTS:
            answer = local.call("v2", **media.call, **{name: [media.picture, huge]})
            assert answer.status_code == 413
            assert f"{name}-1 has 100000 x 100000" in answer.json()["error"]
        long = data_uri(make_clip(tmp_path / "long.mp4", frames=3, fps=1), "video/mp4")
        answer = local.call(**{**media.call, "target": long})
        assert (answer.status_code, "lasts 3 seconds" in answer.json()["error"]) == (413, True)
        assert list((local.store.folder / "jobs").iterdir()) == []


@pytest.mark.parametrize("name", ["source_image", "target", *LISTS])
@pytest.mark.parametrize("uri", [True, False])
def test_no_client_reads_a_file_that_was_not_given(
    open_server: Open, media: Media, name: str, uri: bool
) -> None:
    (media.folder / "link.mp4").unlink(missing_ok=True)
    (media.folder / "link.mp4").symlink_to("/etc/passwd")
    for roots in (MediaRoots(), MediaRoots.from_folders([media.folder])):
        with open_server(roots=roots) as local:
            for path in ("/etc/passwd", "/../etc/passwd", str(media.folder / "link.mp4")):
                call = {**media.call, name: f"file://{path}" if uri else path}
                answer = local.call(**call)
                assert answer.status_code == 403, answer.text
                assert "root:" not in answer.text


def test_a_file_of_a_media_root_is_taken(open_server: Open, media: Media) -> None:
    with open_server(roots=MediaRoots.from_folders([media.folder])) as local:
        for clip in (
            "clip.mp4",
            str(media.folder / "clip.mp4"),
            (media.folder / "clip.mp4").as_uri(),
        ):
            answer = local.call("v1", source_image="face.png", target=clip)
            assert answer.content == (media.folder / "clip.mp4").read_bytes()
        assert local.call(source_image="face.png", target="none.mp4").status_code == 400
        for name in LISTS:
            answer = local.call("v2", **media.call, **{name: ["face.png", media.picture]})
            job = local.store.get(answer.json()["request_id"])
            first, second = map(Path, job.request["parameters"][name])
            assert first == media.folder / "face.png"
            assert second.parent == job.folder


def test_a_playlist_does_not_open_what_it_names(open_server: Open, media: Media) -> None:
    text = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{media.folder}/clip.mp4\n#EXT-X-ENDLIST\n"
    )
    kind = "application/vnd.apple.mpegurl"
    playlist = f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
    with open_server() as local:
        answer = local.call(source_image=media.picture, target=playlist)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/v2/another-model", 404),
        ("POST", "/v1/another-model", 404),
        ("POST", "/v2/../../etc/passwd", 404),
        ("GET", "/", 404),
        ("GET", "/v2/requests/unknown", 404),
        ("GET", "/v2/requests/unknown/status", 404),
        ("GET", "/outputs/unknown/output.mp4", 404),
        ("GET", "/outputs/..%2f..%2f..%2fetc/passwd", 404),
        ("GET", "/v2/requests/%00", 404),
        ("GET", "/v1/ai-face-swap", 405),
        ("DELETE", "/v2/requests/unknown", 405),
    ],
)
def test_unknown_paths(local: LocalServer, method: str, path: str, code: int) -> None:
    answer = local.client.request(method, path)
    assert answer.status_code == code
    assert answer.json()["error"]


def test_an_output_has_one_name(local: LocalServer, media: Media) -> None:
    url = done(local, **media.call)["output"]
    assert local.client.get(url.replace("output.mp4", "target.mp4")).status_code == 404
    assert local.client.get(url.replace("output.mp4", "..%2foutput.mp4")).status_code == 404


def test_ranges_of_an_output(local: LocalServer, media: Media) -> None:
    url = done(local, **media.call)["output"]
    whole = local.client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    part = local.client.get(url, headers={"range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(whole.content)}"
    tail = local.client.get(url, headers={"range": "bytes=-5"})
    assert (tail.status_code, tail.content) == (206, whole.content[-5:])
    past = local.client.get(url, headers={"range": f"bytes={len(whole.content)}-"})
    assert (past.status_code, past.headers["content-range"]) == (
        416,
        f"bytes */{len(whole.content)}",
    )
    stale = local.client.get(url, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert (stale.status_code, stale.content) == (200, whole.content)
    head = local.client.head(url)
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")


def test_a_result_expires(open_server: Open, media: Media) -> None:
    with open_server(retention=0.3) as local:
        body = done(local, **media.call)
        time.sleep(0.4)
        for path in (body["output"], body["status_url"], body["response_url"]):
            assert local.client.get(path).status_code == 404


def test_a_full_queue(open_server: Open, media: Media) -> None:
    with open_server(gated=True, limits=Limits(queue=2)) as local:
        first = local.call(**media.call)
        job = first.json()["request_id"]
        while local.store.get(job).state != "PROCESSING":  # its place in the queue is free then
            time.sleep(0.01)
        codes = [
            first.status_code,
            *(local.call(**media.call).status_code for _ in range(3)),
        ]
        assert codes == [200, 200, 200, 429]
        answer = local.call("v1", **media.call)
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)


def test_a_blocking_call_times_out_and_its_job_goes_on(open_server: Open, media: Media) -> None:
    with open_server(gated=True, limits=Limits(wait_seconds=0.2)) as local:
        answer = local.call("v1", **media.call)
        assert answer.status_code == 504
        local.stand_in.gate.set()
        assert wait(local, answer.json()["request_id"])["status"] == "COMPLETED"


def test_shutting_down(open_server: Open, media: Media) -> None:
    with open_server(gated=True) as local:
        timer = threading.Timer(0.2, local.server.draining.set)
        timer.start()
        answer = local.call("v1", **media.call)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert local.call(**media.call).status_code == 503
        assert local.client.get("/healthz").status_code == 503
        timer.join()
        request_id = answer.json()["request_id"]
    with open_server() as local:
        assert wait(local, request_id)["status"] == "COMPLETED"


def test_health(local: LocalServer) -> None:
    assert local.client.get("/healthz").json() == {"status": "ok", "version": VERSION}


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", "nonsense", ""])
def test_no_accept_header_is_ever_in_the_way(local: LocalServer, media: Media, accept: str) -> None:
    headers = {"accept": accept}
    assert local.client.get("/healthz", headers=headers).status_code == 200
    call = local.client.post("/v1/ai-face-swap", json=media.call, headers=headers)
    assert call.status_code == 200


def test_every_answer_is_hardened(local: LocalServer, media: Media) -> None:
    url = done(local, **media.call)["output"]
    for answer in (
        local.client.get("/healthz"),
        local.client.get(url),
        local.client.get("/nowhere"),
        local.client.get("/healthz", headers={"host": "evil.example"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_guard_is_at_the_door(open_server: Open, media: Media) -> None:
    with open_server(access=Access(api_key="secret")) as local:
        assert local.call(**media.call).status_code == 401
        local.client.headers["x-api-key"] = "secret"
        url = done(local, **media.call)["output"]
        del local.client.headers["x-api-key"]
        assert local.client.get(url).status_code == 200
        assert local.client.get("/v2/requests/unknown").status_code == 401


def test_an_unexpected_error_says_nothing_of_the_inside(
    local: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: JobStore, request_id: str) -> Job:
        raise sqlite3.OperationalError(f"no such table in {store.folder}")

    monkeypatch.setattr(JobStore, "get", fail)
    answer = local.client.get("/v2/requests/some-id")
    assert answer.status_code == 500
    assert "table" not in answer.text
    assert answer.json()["error"]


def test_a_worker_survives_a_failing_disk(
    local: LocalServer, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = JobStore.claim
    failures = iter([sqlite3.OperationalError("disk I/O error")])

    def claim_sometimes(store: JobStore, worker: str, lease_seconds: float) -> Job | None:
        for failure in failures:
            raise failure
        return claim(store, worker, lease_seconds)

    monkeypatch.setattr(serving, "_RESTART_SECONDS", 0.05)
    monkeypatch.setattr(JobStore, "claim", claim_sometimes)
    assert local.call("v1", **media.call).status_code == 200
