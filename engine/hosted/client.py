"""The hosted API's client, answered by this machine: a script changes its import and no more.

Signatures, attributes, bodies and exceptions are those of the PyPI package `segmind` (1.3). No
call leaves this process but through the store of jobs, so the key is not needed and the addresses
in the bodies are names, not places.

A thread of the process that submitted a job has it done by a child process, so that a crash in a
codec fails that job alone. `faceswap-engine worker` does jobs too, where one runs, and so does
whoever waits for a job that nobody is at. Jobs of others are left to others.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from engine.errors import EngineError, JobNotFound, MediaError, ParameterError, QueueFull
from engine.hosted.service import SLUG, Intake, bounded, performer, performer_in
from engine.jobs.descriptions import addresses, media_type, status
from engine.jobs.inputs import Inputs, downloads_allowed
from engine.jobs.job_store import HOUR, Job, JobStore
from engine.jobs.process import TaskProcess
from engine.jobs.results import in_base64
from engine.jobs.worker import Helper

if TYPE_CHECKING:
    from engine.api import Engine

BASE_URL: Final = "https://api.segmind.com/v1"
DEFAULT_POLL_INTERVAL_S: Final = 1.0
DEFAULT_POLL_TIMEOUT_S: Final = 600.0

_LOCAL = "faceswap-engine://local"
_LOOK_SECONDS = 0.02
_CODES: tuple[tuple[type[EngineError], int], ...] = (
    (ParameterError, 400),
    (MediaError, 400),
    (JobNotFound, 404),
    (QueueFull, 429),
)


class _Answer(Protocol):
    """A response over HTTP, of whichever library."""

    @property
    def status_code(self) -> int: ...

    def json(self) -> Any: ...


class SegmindError(EngineError):
    """A call that was refused or failed.

    Attributes:
        status: the HTTP status that the hosted API answers with, or None.
        detail: one sentence that says why, or None.
    """

    title: str | None = None

    def __init__(self, status: int | None = None, detail: str | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    @classmethod
    def from_response(cls, response: _Answer) -> SegmindError:
        """The error that a response tells of, whose body has the sentence as `error`."""
        try:
            body = response.json()
        except ValueError:
            body = None
        detail = body.get("error") if isinstance(body, dict) else None
        return cls(status=response.status_code, detail=detail)

    def to_dict(self) -> dict[str, Any]:
        """`status` and `detail`."""
        return {"status": self.status, "detail": self.detail}

    def __str__(self) -> str:
        lines = (f"{name}: {value}" for name, value in self.to_dict().items())
        return "\n".join(("", "-----SegmindError Details-----", *lines))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status={self.status}, detail={self.detail})"


class InferenceFailed(SegmindError):
    """A job came to be FAILED: `detail` says why, `status_body` is what its status answered."""

    def __init__(self, detail: str | None, status_body: dict[str, Any]) -> None:
        super().__init__(detail=detail)
        self.status_body = status_body


class InferenceTimeout(SegmindError):
    """A job was not done in the time given; it goes on, and can be asked for by its id."""

    def __init__(self, request_id: str, elapsed_s: float) -> None:
        super().__init__(
            detail=f"The request {request_id!r} was not done within {elapsed_s:.1f} s; it goes on."
        )
        self.request_id = request_id
        self.elapsed_s = elapsed_s


@dataclass(frozen=True, slots=True)
class Response:
    """What `run_sync` answers: the output's bytes, or JSON where base64 was asked for."""

    status_code: int
    content: bytes
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The content as UTF-8."""
        return self.content.decode("utf-8", "replace")

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success; no other is ever returned."""
        return 200 <= self.status_code < 300

    def json(self) -> Any:
        """The content read as JSON; a ValueError where it is none."""
        return json.loads(self.content)


@dataclass
class AsyncJob:
    """A job that was submitted, perhaps by another process."""

    request_id: str
    status_url: str
    response_url: str
    submit_response: dict[str, Any]
    _client: SegmindClient = field(repr=False)

    def status(self) -> dict[str, Any]:
        """How the job is: `status` is QUEUED, PROCESSING, COMPLETED or FAILED (with `error`).

        Raises:
            SegmindError: 404 where the job is unknown, or was removed.
        """
        return self._client._status(self.request_id)  # noqa: SLF001 - two halves of one client

    def result(self) -> dict[str, Any]:
        """The final body, with `output` and `metrics`. Raises as `status` does."""
        return self._client._result(self.request_id)  # noqa: SLF001 - the same

    def wait(
        self, timeout: float = DEFAULT_POLL_TIMEOUT_S, interval: float = DEFAULT_POLL_INTERVAL_S
    ) -> dict[str, Any]:
        """Waits until the job is done, and answers as `result` does; both in seconds.

        Its status is asked for at every interval, and at once when it is done.

        Raises:
            InferenceFailed: The job failed.
            InferenceTimeout: It is not done in time.
        """
        start = time.monotonic()
        while True:
            body = self.status()
            if body["status"] == "COMPLETED":
                return self.result()
            if body["status"] == "FAILED":
                raise InferenceFailed(detail=body["error"], status_body=body)
            elapsed = time.monotonic() - start
            if elapsed >= timeout:
                raise InferenceTimeout(request_id=self.request_id, elapsed_s=elapsed)
            self._client._doze(self.request_id, min(interval, timeout - elapsed))  # noqa: SLF001


class SegmindClient:
    """The hosted client's calls, done on this machine.

    Args:
        api_key: kept as given or as SEGMIND_API_KEY says, and not used.
        base_url: kept, and not used; the package `segmind` is for a server at another address.
        timeout: kept, and not used: no call waits for a network.
        home: the folder of the jobs; None takes the user's, or what FACESWAP_ENGINE_HOME names.
        retention: seconds that a finished job and its files are kept.
        queue_limit: how many jobs may wait; None for as many as there are.
        worker: whether this process does jobs, or leaves them to `faceswap-engine worker`.
        allow_downloads: whether http and https may be given for files; None asks
            FACESWAP_ENGINE_ALLOW_DOWNLOADS.
        engine: does the jobs in this process; None leaves them to a child process with an engine
            of its own, which stays warm until `close`.

    A context manager; `close` stops its worker.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        timeout: float = 30.0,
        *,
        home: str | os.PathLike[str] | None = None,
        retention: float = HOUR,
        queue_limit: int | None = None,
        worker: bool = True,
        allow_downloads: bool | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.api_key = api_key or os.environ.get("SEGMIND_API_KEY")
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        if self.base_url != BASE_URL:
            warnings.warn(
                f"base_url is {base_url!r}, and this client calls no address; use the package "
                "segmind to call a server.",
                stacklevel=2,
            )
        folder = None if home is None else Path(home)
        self._store = JobStore(folder, retention=retention, queue_limit=queue_limit)
        allowed = downloads_allowed() if allow_downloads is None else allow_downloads
        self._intake = Intake(store=self._store, inputs=Inputs(downloads=allowed))
        self._process = TaskProcess()
        perform = performer_in(self._process) if engine is None else performer(engine)
        perform = bounded(perform, self._store)
        self._helper = Helper(self._store, perform) if worker else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops this client's worker; its job, if it has one, waits for another worker."""
        if self._helper is not None:
            self._helper.close()
        self._process.close()
        self._store.close()

    def run(self, slug: str, **params: Any) -> dict[str, Any]:
        """Submits a job, waits for it, and answers as `AsyncJob.wait` does."""
        return self.submit_async(slug, **params).wait()

    def run_sync(self, slug: str, **params: Any) -> Response:
        """Does a job, however long it takes, and answers with its output's bytes.

        With `base64` the answer is JSON, as `AsyncJob.result` has it.

        Raises:
            SegmindError: The call was refused, or the job failed (422).
        """
        job = self._submit(slug, params)
        while not job.is_finished:
            self._help(job)
            self._doze(job.id, DEFAULT_POLL_INTERVAL_S)
            job = self._job(job.id)
        if job.output is None:
            raise SegmindError(status=422, detail=job.error)
        if job.request["base64"]:
            content = json.dumps(_result_body(job)).encode()
            return Response(200, content, {"content-type": "application/json"})
        return Response(200, _bytes_of(job.output), {"content-type": media_type(job.output)})

    def submit_async(self, slug: str, **params: Any) -> AsyncJob:
        """Queues a job.

        Raises:
            SegmindError: 404 for another model, 400 for parameters that cannot be used, 429 where
                too many jobs wait.
        """
        return self._handle(self._submit(slug, params))

    def job(self, request_id: str) -> AsyncJob:
        """A job by its id, whichever process submitted it.

        Raises:
            SegmindError: 404 where there is none, or it was removed.
        """
        return self._handle(self._job(request_id))

    def _submit(self, slug: str, parameters: dict[str, Any]) -> Job:
        if slug.lstrip("/") != SLUG:
            raise SegmindError(
                status=404, detail=f"There is no model {slug[:80]!r} here; allowed: {SLUG}."
            )
        try:
            job = self._intake.submit(parameters)
        except EngineError as error:
            raise _refused(error) from error
        if self._helper is not None:
            self._helper.ask(job.id)
        return job

    def _handle(self, job: Job) -> AsyncJob:
        body = {**addresses(job, _LOCAL), "status": job.state}
        return AsyncJob(job.id, body["status_url"], body["response_url"], body, self)

    def _job(self, request_id: str) -> Job:
        try:
            return self._store.get(request_id)
        except JobNotFound as error:
            raise _refused(error) from error

    def _status(self, request_id: str) -> dict[str, Any]:
        job = self._job(request_id)
        self._help(job)
        return status(job, _LOCAL)

    def _result(self, request_id: str) -> dict[str, Any]:
        return _result_body(self._job(request_id))

    def _help(self, job: Job) -> None:
        """Lends a hand where nobody is at a job that this process waits for."""
        if self._helper is not None and job.state == "QUEUED":
            self._helper.ask(job.id)

    def _doze(self, request_id: str, seconds: float) -> None:
        """Sleeps for so long, or until the job is done."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._job(request_id).is_finished:
            time.sleep(min(left, _LOOK_SECONDS))


def run(slug: str, **params: Any) -> dict[str, Any]:
    """`SegmindClient.run` of a client that this process keeps."""
    return _client().run(slug, **params)


def run_sync(slug: str, **params: Any) -> Response:
    """`SegmindClient.run_sync` of a client that this process keeps."""
    return _client().run_sync(slug, **params)


def submit_async(slug: str, **params: Any) -> AsyncJob:
    """`SegmindClient.submit_async` of a client that this process keeps."""
    return _client().submit_async(slug, **params)


@cache
def _client() -> SegmindClient:
    return SegmindClient()


def _refused(error: EngineError) -> SegmindError:
    codes: Iterable[int] = (code for kind, code in _CODES if isinstance(error, kind))
    return SegmindError(status=next(iter(codes), 500), detail=str(error))


def _result_body(job: Job) -> dict[str, Any]:
    body = status(job, _LOCAL)
    if job.output is not None:
        wants_bytes = job.request["base64"]
        body["output"] = in_base64(_bytes_of(job.output)) if wants_bytes else job.output.as_uri()
    return body


def _bytes_of(output: Path) -> bytes:
    """A result's bytes; a SegmindError where somebody took it away."""
    try:
        return output.read_bytes()
    except FileNotFoundError:
        raise SegmindError(status=404, detail=f"The output {output} is gone; swap again.") from None
