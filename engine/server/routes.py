"""The routes of the server and their responses."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import HTTPExceptionHandler, Lifespan

from engine.errors import JobNotFound, MediaError, ParameterError, QueueFull
from engine.jobs.descriptions import job_status, job_urls, media_type
from engine.jobs.job_store import Job, JobStore
from engine.media.untrusted import TooLarge
from engine.server.access import request_client
from engine.server.body import BodyReader
from engine.server.fair_threads import FairThreadPool
from engine.server.media_roots import MediaRoots
from engine.server.responses import RETRY_SECONDS, JsonResponse, Refusal, base64_response
from engine.version import VERSION

_POLL_SECONDS: Final = 0.1
Submit: TypeAlias = Callable[[Mapping[str, Any]], Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The hosted API over a job store.

    Attributes:
        store: the job store.
        submit: queues a job for a client's parameters, or raises to refuse them.
        slug: the name of the one model.
        document: the OpenAPI document of /openapi.json.
        bodies: reads request bodies.
        threads: threads that call `submit`.
        max_base64: maximum size of an output in a base64 response, in bytes.
        wait_seconds: maximum duration of a blocking call.
        works: returns True while the worker runs.
        draining: returns True while the server shuts down.
        roots: folders whose paths are removed from responses.
    """

    store: JobStore
    submit: Submit
    slug: str
    document: Mapping[str, Any]
    bodies: BodyReader
    threads: FairThreadPool
    max_base64: int
    wait_seconds: float
    works: Callable[[], bool]
    draining: Callable[[], bool]
    roots: MediaRoots = field(default_factory=MediaRoots)

    def application(self, lifespan: Lifespan[Starlette]) -> Starlette:
        """Return an ASGI application with the routes and the handlers of errors."""
        return Starlette(
            routes=[
                Route(f"/v1/{self.slug}", self.run, methods=["POST"]),
                Route(f"/v2/{self.slug}", self.queue, methods=["POST"]),
                Route("/v2/requests/{request_id}/status", self.status),
                Route("/v2/requests/{request_id}", self.result),
                Route("/outputs/{request_id}/{name}", self.output),
                Route("/healthz", self.health),
                Route("/openapi.json", self.openapi),
                Route("/v1/{slug:path}", self.no_model, methods=["POST"]),
                Route("/v2/{slug:path}", self.no_model, methods=["POST"]),
            ],
            exception_handlers={
                Refusal: _handle_refusal,
                ParameterError: _error_handler(400),
                MediaError: _error_handler(400),
                TooLarge: _error_handler(413),
                JobNotFound: _error_handler(404),
                QueueFull: _error_handler(429, {"retry-after": str(RETRY_SECONDS)}),
                HTTPException: _handle_http_error,
                ClientDisconnect: _handle_disconnect,
                Exception: _handle_unexpected,
            },
            lifespan=lifespan,
        )

    async def queue(self, request: Request) -> Response:
        """Queue a job and return its URLs."""
        job = await self._submit(request)
        return JsonResponse({**job_urls(job, _base_url(request)), "status": job.state})

    async def run(self, request: Request) -> Response:
        """Queue a job, wait for it, and return its output."""
        job = await self._submit(request)
        end = time.monotonic() + self.wait_seconds
        while not job.is_finished:
            if self.draining():
                return _unfinished(request, job, 503, "The server is shutting down")
            if time.monotonic() >= end:
                reason = f"The output was not ready in {self.wait_seconds:g} seconds"
                return _unfinished(request, job, 504, reason)
            if await request.is_disconnected():
                # Nobody knows the job's id, so nobody could read its result.
                await asyncio.to_thread(self.store.cancel, job.id)
                raise ClientDisconnect
            await asyncio.sleep(_POLL_SECONDS)
            job = await asyncio.to_thread(self.store.get, job.id)
        if job.state == "FAILED" or job.request.get("base64"):
            return await self._result_response(request, job)
        return _file_response(job)

    async def status(self, request: Request) -> Response:
        """Return a job's status."""
        job = await self._find_job(request)
        return JsonResponse(self._status(request, job), _status_code(job))

    async def result(self, request: Request) -> Response:
        """Return a job's status and output."""
        return await self._result_response(request, await self._find_job(request))

    async def output(self, request: Request) -> Response:
        """Return a job's output file, or a range of it."""
        job = await self._find_job(request)
        if job.output is None or job.output.name != request.path_params["name"]:
            raise Refusal(404, f"The request {job.id} has no output of this name.")
        return _file_response(job)

    async def health(self, _: Request) -> Response:
        """Return status 200 if jobs are taken and performed, else 503."""
        if self.draining() or not self.works():
            reason = "The server is shutting down" if self.draining() else "The worker has stopped"
            raise Refusal(503, f"{reason}; see its log.", {"retry-after": str(RETRY_SECONDS)})
        return JsonResponse({"status": "ok", "version": VERSION})

    async def openapi(self, _: Request) -> Response:
        """Return the OpenAPI document."""
        return JsonResponse(self.document)

    async def no_model(self, request: Request) -> Response:
        """Refuse a call of an unknown model."""
        slug = request.path_params["slug"]
        raise Refusal(404, f"There is no model {slug[:80]!r} here; allowed: {self.slug}.")

    def _status(self, request: Request, job: Job) -> dict[str, Any]:
        body = job_status(job, _base_url(request))
        # Clients do not learn where this machine keeps its files.
        private = {name: body[name] for name in ("metrics", "error") if name in body}
        text = json.dumps(private, ensure_ascii=False).replace(f"{job.folder}{os.sep}", "")
        return {**body, **json.loads(self.roots.hide_folders(text))}

    async def _submit(self, request: Request) -> Job:
        self._check_draining()
        async with (
            self.bodies.parameters(request) as parameters,
            self.threads.slot(request_client(request)),
        ):
            self._check_draining()
            if await request.is_disconnected():
                raise ClientDisconnect
            return await self.threads.run(partial(self.submit, parameters))

    def _check_draining(self) -> None:
        if self.draining():
            raise Refusal(
                503, "The server is shutting down; try again.", {"retry-after": str(RETRY_SECONDS)}
            )

    async def _find_job(self, request: Request) -> Job:
        return await asyncio.to_thread(self.store.get, request.path_params["request_id"])

    async def _result_response(self, request: Request, job: Job) -> Response:
        body = self._status(request, job)
        if job.output is None:
            return JsonResponse(body, _status_code(job))
        url = f"{_base_url(request)}/outputs/{job.id}/{quote(job.output.name)}"
        if not job.request.get("base64"):
            return JsonResponse({**body, "output": url}, _status_code(job))
        size = await asyncio.to_thread(_size, job, job.output)
        if size > self.max_base64:
            raise Refusal(
                413,
                f"The output holds {size:,} bytes; the maximum in base64 is {self.max_base64:,}. "
                f"Download it from {url}.",
            )
        return base64_response(body, "output", job.output, _status_code(job))


def _base_url(request: Request) -> str:
    # `Access` has checked that the Host is one of this server's names.
    return f"{request.url.scheme}://{request.headers['host']}"


def _size(job: Job, output: Path) -> int:
    try:
        return output.stat().st_size
    except FileNotFoundError:
        raise _output_missing(job) from None


def _output_missing(job: Job) -> Refusal:
    return Refusal(404, f"The output of the request {job.id} is gone.")


def _status_code(job: Job) -> int:
    return 422 if job.state == "FAILED" else 200


def _file_response(job: Job) -> Response:
    """Return a job's output file, or the range of it that the request names."""
    if job.output is None or not job.output.is_file():
        raise _output_missing(job)
    return FileResponse(job.output, media_type=media_type(job.output))


def _unfinished(request: Request, job: Job, code: int, reason: str) -> Response:
    """Return the response to a blocking call that ends before its job does."""
    body = {
        **job_urls(job, _base_url(request)),
        "status": job.state,
        "error": f"{reason}; the request continues, and its status_url shows when it is done.",
    }
    return JsonResponse(body, code, {"retry-after": str(RETRY_SECONDS)})


def _error_handler(code: int, headers: Mapping[str, str] | None = None) -> HTTPExceptionHandler:
    """Return a handler that responds with the error's message."""

    async def handle(_: Request, error: Exception) -> Response:
        return JsonResponse({"error": str(error)}, code, headers)

    return handle


async def _handle_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """Respond to an unknown path or method, which the router refuses."""
    assert isinstance(error, HTTPException)
    line = f"{request.method} {request.url.path}"[:200]
    return JsonResponse({"error": f"{line}: {error.detail}."}, error.status_code, error.headers)


async def _handle_disconnect(_request: Request, _error: Exception) -> Response:
    """Return a response for Starlette; the client has left and does not read it."""
    return Response(status_code=400)


async def _handle_unexpected(_request: Request, _error: Exception) -> Response:
    """Respond to an unexpected error without details, which are in the log."""
    return JsonResponse({"error": "The server failed unexpectedly; its log says how."}, 500)
