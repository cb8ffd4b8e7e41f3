"""Servers whose jobs are performed by a stand-in that copies the target."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from starlette.testclient import TestClient

from engine.bounds import Limits
from engine.errors import NoFaceFound
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import ReportProgress, TaskPool, TaskRunner
from engine.jobs.worker import JobResult
from engine.server.access import Access
from engine.server.build import Server
from engine.server.media_roots import MediaRoots
from engine.server.serving import create_server, listen
from tests.footage import write_png
from tests.synth import draw, make_clip

HOST = "http://127.0.0.1:8760"
READERS = TaskPool(2)  # started at their first task, and ended with this process


@dataclass(frozen=True)
class StandIn:
    """Performs a job by copying its target; the swapper's name selects an error."""

    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, job: Job, report: ReportProgress) -> JobResult:
        name = job.request["parameters"].get("swapper", "auto")
        if name == "faceless":
            raise NoFaceFound(f"{job.folder / 'target.mp4'} shows no face.")
        if name == "broken":
            raise KeyError("secret-of-the-engine")
        while not self.gate.wait(0.005):
            report(1, 2)
        target = Path(job.request["target"])
        made = Path(shutil.copy(target, job.folder / f"made{target.suffix}"))
        output = job.folder / f"output{target.suffix}"
        return JobResult(output, {"report": {"output": str(output)}}, partial=made)


@dataclass(frozen=True)
class LocalServer:
    """A server in this process with a test client."""

    client: TestClient
    store: JobStore
    server: Server
    stand_in: StandIn

    def call(self, version: str = "v2", **parameters: Any) -> Any:
        """Post a request."""
        return self.client.post(f"/{version}/ai-face-swap", json=parameters)


Open: TypeAlias = Callable[..., AbstractContextManager[LocalServer]]


@dataclass(frozen=True)
class Media:
    """A picture and a clip, as data: URIs and as files in a folder."""

    folder: Path
    picture: str
    clip: str

    @property
    def call(self) -> dict[str, str]:
        """The two required parameters."""
        return {"source_image": self.picture, "target": self.clip}


def data_uri(path: Path, kind: str) -> str:
    """Encode a file as a data: URI."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    folder = tmp_path_factory.mktemp("media")
    picture = write_png(folder / "face.png", draw(0, (64, 48)))
    clip = make_clip(folder / "clip.mp4", frames=3)
    return Media(folder, data_uri(picture, "image/png"), data_uri(clip, "video/mp4"))


@pytest.fixture
def open_server(tmp_path: Path) -> Open:
    """Return a function that opens a server; with `gated`, jobs wait for the gate to open."""

    @contextmanager
    def enter(
        *,
        gated: bool = False,
        limits: Limits | None = None,
        access: Access | None = None,
        roots: MediaRoots | None = None,
        retention: float = 3600,
    ) -> Iterator[LocalServer]:
        limits = limits or Limits()
        stand_in = StandIn()
        if not gated:
            stand_in.gate.set()
        with JobStore(tmp_path / "home", retention=retention, queue_limit=limits.queue) as store:
            server = Server(
                store=store,
                perform=stand_in,
                readers=READERS,
                limits=limits,
                access=access or Access(),
                roots=roots or MediaRoots(),
            )
            with TestClient(
                server.application(), base_url=HOST, raise_server_exceptions=False
            ) as client:
                yield LocalServer(client, store, server, stand_in)

    return enter


@dataclass(frozen=True)
class Address:
    """A server that listens on a port of this machine."""

    port: int
    server: Server
    stand_in: StandIn

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return f"http://127.0.0.1:{self.port}"


def done_before(home: Path, content: bytes, metrics: dict[str, Any] | None = None) -> str:
    """Complete a job in a store before a server opens; return its id."""
    with JobStore(home) as store:
        store.add({"base64": True, "parameters": {}, "target": "x"})
        job = store.claim("test", 30)
        assert job is not None
        output = job.folder / "output.bin"
        output.write_bytes(content)
        store.complete(job, output, metrics or {})
        return job.id


@contextmanager
def listening(
    home: Path,
    limits: Limits,
    access: Access,
    *,
    gated: bool = False,
    readers: TaskRunner = READERS,
) -> Iterator[Address]:
    """Run a server on a free port, in a thread of this process."""
    stand_in = StandIn()
    if not gated:
        stand_in.gate.set()
    with (
        JobStore(home, queue_limit=limits.queue) as store,
        listen("127.0.0.1", 0) as listener,
    ):
        server = Server(
            store=store, perform=stand_in, readers=readers, limits=limits, access=access
        )
        running = create_server(
            server.application(), limits.connections, limits.client_connections, server.draining
        )
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()
        try:
            yield Address(listener.getsockname()[1], server, stand_in)
        finally:
            server.draining.set()
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with listening(tmp_path_factory.mktemp("served"), Limits(), Access()) as address:
        yield address


@pytest.fixture
def local(open_server: Open) -> Iterator[LocalServer]:
    with open_server() as local:
        yield local
