"""Run the server: listen, perform jobs in a worker thread, and stop without losing a job."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Lifespan
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.errors import RuntimeUnavailable
from engine.jobs.job_store import JobStore
from engine.jobs.worker import Perform, run_worker
from engine.server.access import client_network
from engine.server.fair_threads import FairThreadPool
from engine.server.responses import RETRY_SECONDS

_HEADER_SECONDS = 10  # timeout for the request line and the headers
_STALL_SECONDS = 60  # timeout for a client that does not read its response
_STOP_SECONDS = 30  # for running requests when the server stops
_POLL_SECONDS = 0.1
_RESTART_SECONDS = 1.0  # before a failed worker starts again

_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n"
    b"retry-after: %d\r\n\r\n"
) % RETRY_SECONDS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerThread:
    """A worker in a thread; when it closes, the running job is queued again."""

    store: JobStore
    perform: Perform
    stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self) -> None:
        """Start the worker."""
        # A daemon, so that a second interrupt ends the process; the job's lease lapses then.
        thread = threading.Thread(target=self._work, name="engine-worker", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Stop the worker at the next frame and wait for it."""
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def works(self) -> bool:
        """Return True while the worker takes jobs."""
        return any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while not self.stop.is_set():
            try:
                run_worker(self.store, self.perform, stop=self.stop, poll_seconds=_POLL_SECONDS)
            except Exception:  # noqa: BLE001 - a temporarily full disk must not end the service
                _log.exception("The worker failed; it starts again.")
                self.stop.wait(_RESTART_SECONDS)


def worker_lifespan(worker: WorkerThread, threads: FairThreadPool) -> Lifespan[Starlette]:
    """Return a lifespan that starts the worker with the application and stops both with it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        worker.open()
        try:
            yield
        finally:
            threads.close()
            await asyncio.to_thread(worker.close)

    return lifespan


def listen(host: str, port: int) -> socket.socket:
    """Create a listening TCP socket; port 0 takes any free port.

    Raises:
        RuntimeUnavailable: The address is not one of this machine, or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise RuntimeUnavailable(
            f"Nothing can listen on {host}, port {port} ({error}); choose another with --port."
        ) from error


def create_server(
    app: ASGIApp, connections: int, client_connections: int, draining: threading.Event
) -> uvicorn.Server:
    """Create a server whose `run([listener])` serves an application until a signal stops it.

    Args:
        app: the application.
        connections: maximum number of open connections.
        client_connections: maximum number of open connections of one client.
        draining: set when a signal arrives; running requests have `_STOP_SECONDS` then.
    """

    class Protocol(_LimitedProtocol):
        max_per_client, max_connections = client_connections, connections

    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        # Forwarding headers are trusted from a proxy on this machine only.
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
        server_header=False,
        limit_concurrency=connections,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    return _Server(config, draining)


class _Server(uvicorn.Server):
    """A uvicorn server that sets `draining` before it stops, and exits with code 0."""

    def __init__(self, config: uvicorn.Config, draining: threading.Event) -> None:
        super().__init__(config)
        self._draining = draining

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle SIGHUP like SIGTERM, unless it is ignored as under `nohup`."""
        with super().capture_signals():
            handles_hangup = (
                hasattr(signal, "SIGHUP")
                and threading.current_thread() is threading.main_thread()
                and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
            )
            if not handles_hangup:
                yield
                return
            before = signal.signal(signal.SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, before)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop gracefully at the first signal, and at once at a second interrupt."""
        self._draining.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _LimitedProtocol(H11Protocol):
    """HTTP/1.1 with limits on slow headers, stalled responses, and connections of one client."""

    max_per_client: int
    max_connections: int
    _peer: str | None = None
    _header_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = None if self.client is None else client_network(self.client[0])
        peers = [getattr(connection, "_peer", None) for connection in self.connections]
        is_over = self._peer is not None and peers.count(self._peer) > self.max_per_client
        if is_over or len(peers) > self.max_connections:
            transport.write(_TOO_MANY_CONNECTIONS)
            transport.close()
        else:
            self._expect_headers()

    def pause_writing(self) -> None:
        """Start the timeout for a client that does not read."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(_STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timeout, as the client reads again."""
        self._cancel_stall_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()
        else:
            self._cancel_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_header_timer()
        self._cancel_stall_timer()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _cancel_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _cancel_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
