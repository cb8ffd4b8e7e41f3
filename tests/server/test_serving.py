"""A listening server: slow clients, disconnects, limits, signals and shutdown."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from engine.bounds import Limits
from engine.errors import RuntimeUnavailable
from engine.server import serving as listening_module
from engine.server.access import Access, client_network
from engine.server.serving import listen
from tests.server.conftest import Address, Media, done_before, listening


def send_bytes(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send bytes in parts and return the response until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        for part in parts:
            caller.sendall(part)
            time.sleep(pause)
        heard = b""
        while chunk := caller.recv(1 << 16):
            heard += chunk
        return heard


def head(port: int, length: int, method: str = "POST", path: str = "/v2/ai-face-swap") -> bytes:
    lines = (
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def test_a_body_that_does_not_come_times_out(tmp_path: Path) -> None:
    with listening(tmp_path, Limits(body_seconds=0.3), Access()) as address:
        began = time.monotonic()
        answer = send_bytes(address.port, head(address.port, 1000), b'{"a', pause=0.05)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"0.3 seconds" in answer
        assert time.monotonic() - began < 5


def test_headers_that_do_not_come_are_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_module, "_HEADER_SECONDS", 0.3)
    with listening(tmp_path, Limits(), Access()) as address:
        assert send_bytes(address.port, b"GET /healthz HT") == b""
        line = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        assert send_bytes(address.port, line, b"GET /hea", pause=0.1).count(b"HTTP/1.1 200") == 1


def test_a_declared_length_is_judged_before_the_body_comes(served: Address) -> None:
    answer = send_bytes(served.port, head(served.port, 1 << 40))
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01", b"\0" * 100_000]
)
def test_what_is_no_http_is_hung_up_on(served: Address, request_line: bytes) -> None:
    assert send_bytes(served.port, request_line).startswith(b"HTTP/1.1 400")
    assert httpx2.get(f"{served.url}/healthz").status_code == 200


def test_the_job_of_a_blocking_caller_who_hangs_up_is_cancelled(
    tmp_path: Path, media: Media
) -> None:
    with listening(tmp_path, Limits(), Access(), gated=True) as address:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{address.url}/v1/ai-face-swap", json=media.call, timeout=0.5)
        for _ in range(3000):
            job = next(iter(address.server.store.list()), None)
            if job is not None and job.is_finished:
                break
            time.sleep(0.01)
        assert job is not None
        assert (job.state, job.error) == ("FAILED", "The job was cancelled.")


def test_a_stop_answers_who_waits_and_keeps_the_job(tmp_path: Path, media: Media) -> None:
    answers: list[httpx2.Response] = []

    def call(url: str) -> None:
        answers.append(httpx2.post(f"{url}/v1/ai-face-swap", json=media.call, timeout=20))

    with listening(tmp_path, Limits(), Access(), gated=True) as address:
        caller = threading.Thread(target=call, args=(address.url,))
        caller.start()
        while not any(job.state == "PROCESSING" for job in address.server.store.list()):
            time.sleep(0.01)
    caller.join()
    assert answers[0].status_code == 503
    with listening(tmp_path, Limits(), Access()) as address:
        url = f"{address.url}/v2/requests/{answers[0].json()['request_id']}"
        while (body := httpx2.get(url).json())["status"] != "COMPLETED":
            assert body["status"] in ("QUEUED", "PROCESSING")
            time.sleep(0.02)


def test_only_so_many_connections(tmp_path: Path) -> None:
    with listening(tmp_path, Limits(connections=2), Access()) as address:
        with socket.create_connection(("127.0.0.1", address.port)):
            time.sleep(0.1)
            assert httpx2.get(f"{address.url}/healthz").status_code == 503
        time.sleep(0.1)
        assert httpx2.get(f"{address.url}/healthz").status_code == 200


def get(port: int, source: str) -> bytes:
    """Request /healthz and return the response."""
    line = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 20, (source, 0)) as caller:
        caller.sendall(line)
        heard = b""
        # A server that does not read the request resets the connection after its response.
        with suppress(ConnectionResetError):
            while chunk := caller.recv(1 << 16):
                heard += chunk
        return heard


def test_idle_connections_of_one_client_are_in_nobody_elses_way(tmp_path: Path) -> None:
    limits = Limits(connections=40, client_connections=10)
    with listening(tmp_path, limits, Access()) as address, ExitStack() as idle:
        for _ in range(60):
            idle.enter_context(socket.create_connection(("127.0.0.1", address.port)))
        # The server may still be taking the connections.
        answers = (get(address.port, "127.0.0.1") for _ in range(200))
        assert any(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        assert get(address.port, "127.0.0.2").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/socket", "/socket"),
    ],
)
def test_what_one_client_has_for_itself(host: str, network: str) -> None:
    assert client_network(host) == network


def test_a_client_that_reads_nothing_costs_little_and_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_module, "_STALL_SECONDS", 0.5)
    job = done_before(tmp_path, bytes(40 << 20))
    with listening(tmp_path, Limits(), Access()) as address, ExitStack() as deaf:
        tracemalloc.start()
        try:
            for _ in range(5):
                caller = socket.create_connection(("127.0.0.1", address.port))
                deaf.enter_context(caller)
                caller.sendall(head(address.port, 0, "GET", f"/v2/requests/{job}"))
            began = time.monotonic()
            assert get(address.port, "127.0.0.1").startswith(b"HTTP/1.1 200")
            assert time.monotonic() - began < 5
            assert tracemalloc.get_traced_memory()[1] < 20 << 20
        finally:
            tracemalloc.stop()
        time.sleep(1.5)
        heard = 0
        with suppress(ConnectionResetError):
            while chunk := caller.recv(1 << 20):
                heard += len(chunk)
        assert heard < 40 << 20


def test_a_body_of_two_lengths_is_refused_and_hung_up_on(served: Address) -> None:
    lines = (
        b"POST /v2/ai-face-swap HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Content-Type: application/json",
        b"Content-Length: 4",
        b"Transfer-Encoding: chunked",
        b"",
        b"0",
        b"",
        b"GET /healthz HTTP/1.1",
        b"Host: 127.0.0.1",
        b"",
        b"",
    )
    answer = send_bytes(served.port, b"\r\n".join(lines))
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_port_in_use() -> None:
    in_use = pytest.raises(RuntimeUnavailable, match="choose another with --port")
    with listen("127.0.0.1", 0) as taken, in_use:
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(RuntimeUnavailable, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_connections_over_the_bound_are_closed(tmp_path: Path) -> None:
    limits = Limits(connections=5, client_connections=100)
    with listening(tmp_path, limits, Access()) as address, ExitStack() as many:
        callers = [
            many.enter_context(socket.create_connection(("127.0.0.1", address.port), 20))
            for _ in range(12)
        ]
        answered = 0
        for caller in callers[5:]:
            with suppress(ConnectionResetError):
                answered += caller.recv(1 << 16).startswith(b"HTTP/1.1 503")
        assert answered == 7
