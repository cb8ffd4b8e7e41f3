"""A server's life: it listens, its worker works, and it stops without losing a job."""

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
from engine.server.access import network_of
from engine.server.fair_threads import Turns
from engine.server.responses import RETRY_SECONDS

# How long the line and the headers of a request may take to come.
_HEADER_SECONDS = 10
# How long a client may leave what is sent to it unread.
_STANDSTILL_SECONDS = 60
_STOP_SECONDS = 30
_POLL_SECONDS = 0.1
_MEND_SECONDS = 1.0

_CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n"
    b"retry-after: %d\r\n\r\n"
) % RETRY_SECONDS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workshop:
    """One worker in a thread of its own. A job in work when it closes is queued again."""

    store: JobStore
    perform: Perform
    stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self) -> None:
        """Starts the worker."""
        # A daemon, so that a second interrupt ends the process; the lease frees the job then.
        thread = threading.Thread(target=self._work, name="engine-worker", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Stops the worker at the next frame and waits for it."""
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def works(self) -> bool:
        """Whether the worker is there to take jobs."""
        return any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while not self.stop.is_set():
            try:
                run_worker(self.store, self.perform, stop=self.stop, poll_seconds=_POLL_SECONDS)
            except Exception:  # noqa: BLE001 - a disk full for a while shall not end the service
                _log.exception("The worker failed; it begins again.")
                self.stop.wait(_MEND_SECONDS)


def lifespan_of(workshop: Workshop, turns: Turns) -> Lifespan[Starlette]:
    """Opens the workshop with the application, and closes both with it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        workshop.open()
        try:
            yield
        finally:
            turns.close()
            await asyncio.to_thread(workshop.close)

    return lifespan


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can reach; port 0 takes any that is free.

    Raises:
        RuntimeUnavailable: The address is not this machine's, or something else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise RuntimeUnavailable(
            f"Nothing can listen on {host}, port {port} ({error}); choose another with --port."
        ) from error


def server_of(app: ASGIApp, most: int, most_each: int, draining: threading.Event) -> uvicorn.Server:
    """What serves an application by `run([listener])`, until the process is told to stop.

    At most `most` connections are open at once, and `most_each` to one client. `draining` is set
    when the process is told to stop; requests under way have some seconds left then.
    """

    class Bounded(_Patient):
        per_client, in_all = most_each, most

    config = uvicorn.Config(
        app,
        http=Bounded,
        loop="asyncio",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        # A proxy on this machine may say that it was asked by https; nobody else is believed.
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
        server_header=False,
        limit_concurrency=most,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    return _Server(config, draining)


class _Server(uvicorn.Server):
    """Says that it is about to stop before it does, and ends as something that went well."""

    def __init__(self, config: uvicorn.Config, draining: threading.Event) -> None:
        super().__init__(config)
        self._draining = draining

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Takes SIGHUP as SIGTERM is taken, unless it is ignored, as `nohup` has it."""
        with super().capture_signals():
            is_heeded = (
                hasattr(signal, "SIGHUP")
                and threading.current_thread() is threading.main_thread()
                and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
            )
            if not is_heeded:
                yield
                return
            before = signal.signal(signal.SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, before)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stops in order at a first signal, and at once at a second interrupt."""
        self._draining.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _Patient(H11Protocol):
    """Closes connections that come too slowly, stand still, or are too many from one client."""

    per_client: int
    in_all: int
    _peer: str | None = None
    _deadline: asyncio.TimerHandle | None = None
    _standstill: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = None if self.client is None else network_of(self.client[0])
        others = (getattr(one, "_peer", None) for one in self.connections)
        crowded = (
            self._peer is not None and sum(one == self._peer for one in others) > self.per_client
        )
        if crowded or len(self.connections) > self.in_all:
            transport.write(_CROWDED)
            transport.close()
        else:
            self._expect_headers()

    def pause_writing(self) -> None:
        """Waits for a client to read on, for some time."""
        super().pause_writing()
        self._standstill = self.loop.call_later(_STANDSTILL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Goes on, as the client has read."""
        self._drop_standstill()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()
        else:
            self._drop_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_deadline()
        self._drop_standstill()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _drop_standstill(self) -> None:
        if self._standstill is not None:
            self._standstill.cancel()
            self._standstill = None
