"""The unchanged package `segmind` against a server that refuses, fails or is slow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import segmind

from engine.bounds import Limits
from engine.server.access import Access
from tests.server.conftest import Address, Media, listening

SLUG = "ai-face-swap"


@contextmanager
def client_of(address: Address, key: str = "any") -> Iterator[segmind.SegmindClient]:
    client = segmind.SegmindClient(api_key=key, base_url=f"{address.url}/v1")
    try:
        yield client
    finally:
        # The package does not close its connections.
        client._client.close()


@pytest.mark.parametrize("call", ["run", "run_sync", "submit_async"])
def test_a_wrong_key(tmp_path: Path, media: Media, call: str) -> None:
    keyed = listening(tmp_path, Limits(), Access(api_key="secret"))
    with keyed as address, client_of(address, "guess") as client:
        with pytest.raises(segmind.SegmindError, match="x-api-key") as raised:
            getattr(client, call)(SLUG, **media.call)
        assert raised.value.status == 401


def test_the_key_of_the_client_is_the_key_of_the_server(tmp_path: Path, media: Media) -> None:
    keyed = listening(tmp_path, Limits(), Access(api_key="secret"))
    with keyed as address, client_of(address, "secret") as client:
        response = client.run_sync(SLUG, **media.call)
        assert response.content == (media.folder / "clip.mp4").read_bytes()


def test_a_full_queue_a_timeout_and_polling_again(tmp_path: Path, media: Media) -> None:
    limits = Limits(queue=1, wait_seconds=0.2)
    slow = listening(tmp_path, limits, Access(), gated=True)
    with slow as address, client_of(address) as client:
        job = client.submit_async(SLUG, **media.call)
        while job.status()["status"] == "QUEUED":
            time.sleep(0.01)
        with pytest.raises(segmind.SegmindError, match=r"not ready in 0\.2 seconds") as raised:
            client.run_sync(SLUG, **media.call)
        assert raised.value.status == 504
        with pytest.raises(segmind.SegmindError) as raised:
            client.submit_async(SLUG, **media.call)
        assert raised.value.status == 429
        with pytest.raises(segmind.InferenceTimeout) as late:
            job.wait(timeout=0.1, interval=0.05)
        assert late.value.request_id == job.request_id
        address.stand_in.gate.set()
        assert job.wait(timeout=10, interval=0.02)["output"].startswith(f"{address.url}/outputs/")


def test_a_failure_has_its_body(served: Address, media: Media) -> None:
    with client_of(served) as client:
        job = client.submit_async(SLUG, **media.call, swapper="faceless")
        with pytest.raises(segmind.InferenceFailed) as raised:
            job.wait(timeout=10, interval=0.02)
        body = raised.value.status_body
        assert raised.value.detail == body["error"] == "target.mp4 shows no face."
        assert job.result()["status"] == "FAILED"
