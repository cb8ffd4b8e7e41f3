"""A client with the interface of the hosted API that performs jobs on this machine.

Signatures, attributes, bodies and exceptions are those of the PyPI package `segmind` (1.3), so a
script changes its import only. Calls go to the job store and to no network: no key is needed, and
the URLs in the bodies are names that cannot be opened.

The process that submits a job performs it in a child process, so that a crash in a codec fails that
job only. A running `faceswap-engine worker` performs jobs, too, and so does a process that waits
for a job that no worker has claimed. A client performs only jobs that it submitted or waits for.
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
from typing import TYPE_CHECKING, Any, Final, Protocol

from engine.closeable import Closeable
from engine.errors import EngineError, JobNotFound, MediaError, ParameterError, QueueFull
from engine.hosted.service import (
    SLUG,
    JobSubmitter,
    child_performer,
    enforce_bounds,
    engine_performer,
)
from engine.jobs.descriptions import job_status, job_urls, media_type
from engine.jobs.inputs import InputResolver, downloads_allowed
from engine.jobs.job_store import HOUR, Job, JobStore
from engine.jobs.process import TaskProcess
from engine.jobs.results import encode_base64
from engine.jobs.worker import BackgroundWorker

if TYPE_CHECKING:
    from engine.api import Engine

BASE_URL: Final = "https://api.segmind.com/v1"
DEFAULT_POLL_INTERVAL_S: Final = 1.0
DEFAULT_POLL_TIMEOUT_S: Final = 600.0

_LOCAL = "faceswap-engine://local"
_POLL_SECONDS = 0.02
_CODES: tuple[tuple[type[EngineError], int], ...] = (
    (ParameterError, 400),
    (MediaError, 400),
    (JobNotFound, 404),
    (QueueFull, 429),
)


class _HttpResponse(Protocol):
    """An HTTP response of any library."""

    @property
    def status_code(self) -> int: ...

    def json(self) -> Any: ...


class SegmindError(EngineError):
    """A call was refused or failed.

    Attributes:
        status: the HTTP status of the hosted API for this error, or None.
        detail: the reason in one sentence, or None.
    """

    title: str | None = None

    def __init__(self, status: int | None = None, detail: str | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    @classmethod
    def from_response(cls, response: _HttpResponse) -> SegmindError:
        """Create an error from a response whose JSON body has the reason as `error`."""
        try:
            body = response.json()
        except ValueError:
            body = None
        detail = body.get("error") if isinstance(body, dict) else None
        return cls(status=response.status_code, detail=detail)

    def to_dict(self) -> dict[str, Any]:
        """Return `status` and `detail`."""
        return {"status": self.status, "detail": self.detail}

    def __str__(self) -> str:
        lines = (f"{name}: {value}" for name, value in self.to_dict().items())
        return "\n".join(("", "-----SegmindError Details-----", *lines))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status={self.status}, detail={self.detail})"


class InferenceFailed(SegmindError):
    """A job is FAILED.

    Attributes:
        detail: the reason.
        status_body: the job's status body.
    """

    def __init__(self, detail: str | None, status_body: dict[str, Any]) -> None:
        super().__init__(detail=detail)
        self.status_body = status_body


class InferenceTimeout(SegmindError):
    """A job was not done before the timeout; it continues and keeps its id.

    Attributes:
        request_id: the job's id.
        elapsed_s: seconds waited.
    """

    def __init__(self, request_id: str, elapsed_s: float) -> None:
        super().__init__(
            detail=f"The request {request_id!r} was not done within {elapsed_s:.1f} s; it "
            "continues."
        )
        self.request_id = request_id
        self.elapsed_s = elapsed_s


@dataclass(frozen=True, slots=True)
class Response:
    """The response of `run_sync`: the output's bytes, or JSON with `base64=True`."""

    status_code: int
    content: bytes
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The content decoded as UTF-8."""
        return self.content.decode("utf-8", "replace")

    @property
    def is_success(self) -> bool:
        """True for a 2xx status, the only ones that are returned."""
        return 200 <= self.status_code < 300

    def json(self) -> Any:
        """Parse the content as JSON; raise a ValueError where it is not JSON."""
        return json.loads(self.content)


@dataclass
class AsyncJob:
    """A handle of a job, which another process may have submitted."""

    request_id: str
    status_url: str
    response_url: str
    submit_response: dict[str, Any]
    _client: SegmindClient = field(repr=False)

    def status(self) -> dict[str, Any]:
        """Return the status body; its `status` is QUEUED, PROCESSING, COMPLETED or FAILED.

        A FAILED job has the reason as `error`.

        Raises:
            SegmindError: 404: the job is unknown or has expired.
        """
        return self._client._status(self.request_id)  # noqa: SLF001 - two halves of one client

    def result(self) -> dict[str, Any]:
        """Return the final body with `output` and `metrics`; raise as `status` does."""
        return self._client._result(self.request_id)  # noqa: SLF001 - the same

    def wait(
        self, timeout: float = DEFAULT_POLL_TIMEOUT_S, interval: float = DEFAULT_POLL_INTERVAL_S
    ) -> dict[str, Any]:
        """Wait until the job is done and return its final body, as `result` does.

        Args:
            timeout: seconds to wait at most.
            interval: seconds between two reads of the status; the end is noticed at once.

        Raises:
            InferenceFailed: The job failed.
            InferenceTimeout: The timeout is over.
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
            self._client._sleep(self.request_id, min(interval, timeout - elapsed))  # noqa: SLF001


class SegmindClient(Closeable):
    """A client of the hosted API whose jobs are performed on this machine; a context manager.

    Args:
        api_key: stored, not used; None takes SEGMIND_API_KEY.
        base_url: stored, not used; to call a server, use the package `segmind`.
        timeout: stored, not used.
        home: the folder of the jobs; None takes FACESWAP_ENGINE_HOME or the user's data folder.
        retention: seconds for which a finished job and its files are kept.
        queue_limit: maximum number of waiting jobs; None for no limit.
        worker: True performs jobs in this process, False leaves them to `faceswap-engine worker`.
        allow_downloads: permits http and https URLs as files; None takes
            FACESWAP_ENGINE_ALLOW_DOWNLOADS.
        engine: performs the jobs in this process; None uses a child process with an engine of its
            own, which stays warm until `close`.
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
                f"base_url is {base_url!r}, but this client connects to no server; use the package "
                "segmind to call one.",
                stacklevel=2,
            )
        folder = None if home is None else Path(home)
        self._store = JobStore(folder, retention=retention, queue_limit=queue_limit)
        allowed = downloads_allowed() if allow_downloads is None else allow_downloads
        self._submitter = JobSubmitter(store=self._store, inputs=InputResolver(downloads=allowed))
        self._process = TaskProcess()
        perform = child_performer(self._process) if engine is None else engine_performer(engine)
        perform = enforce_bounds(perform, self._store)
        self._worker = BackgroundWorker(self._store, perform) if worker else None

    def close(self) -> None:
        """Stop this client's worker; its running job is queued again for another worker."""
        if self._worker is not None:
            self._worker.close()
        self._process.close()
        self._store.close()

    def run(self, slug: str, **params: Any) -> dict[str, Any]:
        """Submit a job, wait for it, and return its final body; see `AsyncJob.wait`."""
        return self.submit_async(slug, **params).wait()

    def run_sync(self, slug: str, **params: Any) -> Response:
        """Submit a job, wait without a timeout, and return its output's bytes.

        With `base64=True` the content is the final body as JSON; see `AsyncJob.result`.

        Raises:
            SegmindError: The call was refused, or the job failed (422).
        """
        job = self._submit(slug, params)
        while not job.is_finished:
            self._request_if_queued(job)
            self._sleep(job.id, DEFAULT_POLL_INTERVAL_S)
            job = self._job(job.id)
        if job.output is None:
            raise SegmindError(status=422, detail=job.error)
        if job.request["base64"]:
            content = json.dumps(_result_body(job)).encode()
            return Response(200, content, {"content-type": "application/json"})
        return Response(200, _read_output(job.output), {"content-type": media_type(job.output)})

    def submit_async(self, slug: str, **params: Any) -> AsyncJob:
        """Queue a job.

        Raises:
            SegmindError: 404: unknown model. 400: parameters that cannot be used. 429: too many
                jobs wait.
        """
        return self._handle(self._submit(slug, params))

    def job(self, request_id: str) -> AsyncJob:
        """Return the handle of a job by its id; any process may have submitted it.

        Raises:
            SegmindError: 404: the job is unknown or has expired.
        """
        return self._handle(self._job(request_id))

    def _submit(self, slug: str, parameters: dict[str, Any]) -> Job:
        if slug.lstrip("/") != SLUG:
            raise SegmindError(
                status=404, detail=f"There is no model {slug[:80]!r} here; allowed: {SLUG}."
            )
        try:
            job = self._submitter.submit(parameters)
        except EngineError as error:
            raise _http_error(error) from error
        if self._worker is not None:
            self._worker.request(job.id)
        return job

    def _handle(self, job: Job) -> AsyncJob:
        body = {**job_urls(job, _LOCAL), "status": job.state}
        return AsyncJob(job.id, body["status_url"], body["response_url"], body, self)

    def _job(self, request_id: str) -> Job:
        try:
            return self._store.get(request_id)
        except JobNotFound as error:
            raise _http_error(error) from error

    def _status(self, request_id: str) -> dict[str, Any]:
        job = self._job(request_id)
        self._request_if_queued(job)
        return job_status(job, _LOCAL)

    def _result(self, request_id: str) -> dict[str, Any]:
        return _result_body(self._job(request_id))

    def _request_if_queued(self, job: Job) -> None:
        """Let this process perform a job that it waits for and that no worker has claimed."""
        if self._worker is not None and job.state == "QUEUED":
            self._worker.request(job.id)

    def _sleep(self, request_id: str, seconds: float) -> None:
        """Sleep for a time, or until the job is done."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._job(request_id).is_finished:
            time.sleep(min(left, _POLL_SECONDS))


def run(slug: str, **params: Any) -> dict[str, Any]:
    """Call `SegmindClient.run` of this process's default client."""
    return _client().run(slug, **params)


def run_sync(slug: str, **params: Any) -> Response:
    """Call `SegmindClient.run_sync` of this process's default client."""
    return _client().run_sync(slug, **params)


def submit_async(slug: str, **params: Any) -> AsyncJob:
    """Call `SegmindClient.submit_async` of this process's default client."""
    return _client().submit_async(slug, **params)


@cache
def _client() -> SegmindClient:
    return SegmindClient()


def _http_error(error: EngineError) -> SegmindError:
    codes: Iterable[int] = (code for kind, code in _CODES if isinstance(error, kind))
    return SegmindError(status=next(iter(codes), 500), detail=str(error))


def _result_body(job: Job) -> dict[str, Any]:
    body = job_status(job, _LOCAL)
    if job.output is not None:
        wants_bytes = job.request["base64"]
        body["output"] = (
            encode_base64(_read_output(job.output)) if wants_bytes else job.output.as_uri()
        )
    return body


def _read_output(output: Path) -> bytes:
    """Read an output; raise a SegmindError where it was removed."""
    try:
        return output.read_bytes()
    except FileNotFoundError:
        raise SegmindError(status=404, detail=f"The output {output} is gone; swap again.") from None
