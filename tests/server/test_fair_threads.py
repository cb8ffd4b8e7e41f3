"""Slow files and large bodies of one client do not delay other clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.bounds import Limits
from engine.jobs.process import ReportProgress
from engine.server.access import Access
from engine.server.fair_threads import FairThreadPool
from engine.server.responses import Refusal
from tests.server.conftest import Address, Media, listening

# Forwarding headers, which the server trusts from a proxy on this machine.
SLOW, OTHER = {"x-forwarded-for": "192.0.2.1"}, {"x-forwarded-for": "192.0.2.2"}


class Reader:
    """A task runner whose checks wait for the gate, except those of WebP pictures."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)

    def call(self, _task: str, given: Any, _report: ReportProgress) -> Any:
        if not Path(given["path"]).name.endswith(".webp"):
            self.begun.release()
            assert self.gate.wait(60)


@pytest.fixture
def reader() -> Iterator[Reader]:
    one = Reader()
    yield one
    one.gate.set()


def post(address: Address, call: dict[str, str], headers: dict[str, str]) -> httpx2.Response:
    url = f"{address.url}/v2/ai-face-swap"
    return httpx2.post(url, json=call, headers=headers, timeout=60)


def test_slow_files_of_one_client_are_in_nobody_elses_way(
    tmp_path: Path, media: Media, reader: Reader
) -> None:
    quick = "data:image/webp;base64,UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="
    limits = Limits(checks=3, client_checks=2, client_connections=20)
    with (
        listening(tmp_path, limits, Access(), readers=reader) as address,
        ThreadPoolExecutor(16) as callers,
    ):
        slow = [callers.submit(post, address, media.call, SLOW) for _ in range(16)]
        for _ in range(limits.client_checks):
            assert reader.begun.acquire(timeout=60)
        call = {"source_image": quick, "target": quick}
        for _ in range(40):
            # More requests than a thread pool shared by all clients has threads.
            assert post(address, call, OTHER).status_code == 200
        assert not reader.begun.acquire(blocking=False), "a client has so many at once"
        assert not any(one.done() for one in slow)
        reader.gate.set()
        assert {one.result().status_code for one in slow} == {200}


def test_a_client_with_too_many_in_line_is_told_to_come_back() -> None:
    async def take() -> None:
        threads = FairThreadPool(workers=2, per_client=1, waiting=1)
        done: list[str] = []

        async def call(client: str, gate: asyncio.Event) -> None:
            async with threads.slot(client):
                await gate.wait()
                done.append(await threads.run(lambda: client))

        gate, opened = asyncio.Event(), asyncio.Event()
        opened.set()
        first, second = (asyncio.create_task(call("slow", gate)) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 of your requests") as refused:
            await call("slow", opened)
        assert (refused.value.code, "retry-after" in refused.value.headers) == (429, True)
        await call("other", opened)
        assert done == ["other"]
        gate.set()
        await asyncio.gather(first, second)
        await call("slow", opened)
        assert done == ["other", "slow", "slow", "slow"]
        threads.close()

    asyncio.run(asyncio.wait_for(take(), 60))


def test_bodies_of_one_client_leave_room_for_those_of_others(tmp_path: Path) -> None:
    limits = Limits(body_bytes=10_000, held_bytes=40_000)
    head = (
        "POST /v2/ai-face-swap HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Content-Length: 9000\r\nX-Forwarded-For: {}\r\n\r\n"
    )

    def send(address: Address, client: str) -> socket.socket:
        caller = socket.create_connection(("127.0.0.1", address.port), timeout=60)
        caller.sendall(head.format(client).encode() + b" " * 8000)
        return caller

    with listening(tmp_path, limits, Access()) as address, send(address, "192.0.2.1"):
        with send(address, "192.0.2.1") as second:
            assert second.recv(1000).startswith(b"HTTP/1.1 429")
        with send(address, "192.0.2.2") as other:
            other.sendall(b"{" + b" " * 998 + b"}")
            assert other.recv(1000).startswith(b"HTTP/1.1 400"), "its parameters are missing"
