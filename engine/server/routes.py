"""The routes: what is asked, and what the store of jobs has to say to it."""

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
from engine.jobs.descriptions import addresses, media_type, status
from engine.jobs.job_store import Job, JobStore
from engine.media.untrusted import TooLarge
from engine.server.access import client_of
from engine.server.body import Bodies
from engine.server.fair_threads import Turns
from engine.server.media_roots import MediaRoots
from engine.server.responses import RETRY_SECONDS, Json, Refusal, with_base64
from engine.version import VERSION

_POLL_SECONDS: Final = 0.1
Submit: TypeAlias = Callable[[Mapping[str, Any]], Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The hosted API over a store of jobs.

    Args:
        store: where the jobs are.
        submit: queues a job of the parameters that a client sent; it may refuse them.
        slug: the name of the one model.
        document: what /openapi.json answers.
        bodies: reads what clients send.
        turns: in which `submit` is called.
        most_base64: how many bytes of an output are answered in base64.
        wait_seconds: how long a blocking call may take.
        works: whether somebody does the jobs.
        draining: whether the server is shutting down.
        roots: the folders whose places no client is told.
    """

    store: JobStore
    submit: Submit
    slug: str
    document: Mapping[str, Any]
    bodies: Bodies
    turns: Turns
    most_base64: int
    wait_seconds: float
    works: Callable[[], bool]
    draining: Callable[[], bool]
    roots: MediaRoots = field(default_factory=MediaRoots)

    def application(self, lifespan: Lifespan[Starlette]) -> Starlette:
        """The routes and the answers to errors, as an ASGI application."""
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
                Refusal: _refused,
                ParameterError: _answering(400),
                MediaError: _answering(400),
                TooLarge: _answering(413),
                JobNotFound: _answering(404),
                QueueFull: _answering(429, {"retry-after": str(RETRY_SECONDS)}),
                HTTPException: _http,
                ClientDisconnect: _gone,
                Exception: _unexpected,
            },
            lifespan=lifespan,
        )

    async def queue(self, request: Request) -> Response:
        """Queues a job and answers where to ask for it."""
        job = await self._submitted(request)
        return Json({**addresses(job, _here(request)), "status": job.state})

    async def run(self, request: Request) -> Response:
        """Queues a job and answers with what it makes."""
        job = await self._submitted(request)
        patience = time.monotonic() + self.wait_seconds
        while not job.is_finished:
            if self.draining():
                return _unfinished(request, job, 503, "The server is shutting down")
            if time.monotonic() >= patience:
                waited = f"The output was not ready in {self.wait_seconds:g} seconds"
                return _unfinished(request, job, 504, waited)
            if await request.is_disconnected():
                # Nobody was told its id, so nobody could ever ask for it.
                await asyncio.to_thread(self.store.cancel, job.id)
                raise ClientDisconnect
            await asyncio.sleep(_POLL_SECONDS)
            job = await asyncio.to_thread(self.store.get, job.id)
        if job.state == "FAILED" or job.request.get("base64"):
            return await self._told(request, job)
        return _file(job)

    async def status(self, request: Request) -> Response:
        """How far a job is."""
        job = await self._asked_for(request)
        return Json(self._status(request, job), _code(job))

    async def result(self, request: Request) -> Response:
        """What became of a job."""
        return await self._told(request, await self._asked_for(request))

    async def output(self, request: Request) -> Response:
        """The file that a job made, or a range of it."""
        job = await self._asked_for(request)
        if job.output is None or job.output.name != request.path_params["name"]:
            raise Refusal(404, f"The request {job.id} has no output of this name.")
        return _file(job)

    async def health(self, _: Request) -> Response:
        """Whether jobs are taken and done."""
        if self.draining() or not self.works():
            why = "The server is shutting down" if self.draining() else "The worker has stopped"
            raise Refusal(503, f"{why}; see its log.", {"retry-after": str(RETRY_SECONDS)})
        return Json({"status": "ok", "version": VERSION})

    async def openapi(self, _: Request) -> Response:
        """The document that describes all this."""
        return Json(self.document)

    async def no_model(self, request: Request) -> Response:
        """The answer to a call of another model."""
        slug = request.path_params["slug"]
        raise Refusal(404, f"There is no model {slug[:80]!r} here; allowed: {self.slug}.")

    def _status(self, request: Request, job: Job) -> dict[str, Any]:
        body = status(job, _here(request))
        # A client need not know where this machine keeps its files.
        private = {name: body[name] for name in ("metrics", "error") if name in body}
        text = json.dumps(private, ensure_ascii=False).replace(f"{job.folder}{os.sep}", "")
        return {**body, **json.loads(self.roots.hide(text))}

    async def _submitted(self, request: Request) -> Job:
        self._check_open()
        async with (
            self.bodies.parameters(request) as sent,
            self.turns.turn(client_of(request)),
        ):
            self._check_open()
            if await request.is_disconnected():
                raise ClientDisconnect
            return await self.turns.run(partial(self.submit, sent))

    def _check_open(self) -> None:
        if self.draining():
            raise Refusal(
                503, "The server is shutting down; try again.", {"retry-after": str(RETRY_SECONDS)}
            )

    async def _asked_for(self, request: Request) -> Job:
        return await asyncio.to_thread(self.store.get, request.path_params["request_id"])

    async def _told(self, request: Request, job: Job) -> Response:
        body = self._status(request, job)
        if job.output is None:
            return Json(body, _code(job))
        url = f"{_here(request)}/outputs/{job.id}/{quote(job.output.name)}"
        if not job.request.get("base64"):
            return Json({**body, "output": url}, _code(job))
        size = await asyncio.to_thread(_size, job, job.output)
        if size > self.most_base64:
            raise Refusal(
                413,
                f"The output holds {size:,} bytes, and {self.most_base64:,} are the most that are "
                f"answered in base64; download it from {url}.",
            )
        return with_base64(body, "output", job.output, _code(job))


def _here(request: Request) -> str:
    # The Host is one of this server's own names: `Access` let the request through.
    return f"{request.url.scheme}://{request.headers['host']}"


def _size(job: Job, output: Path) -> int:
    try:
        return output.stat().st_size
    except FileNotFoundError:
        raise _gone_from_disk(job) from None


def _gone_from_disk(job: Job) -> Refusal:
    return Refusal(404, f"The output of the request {job.id} is gone.")


def _code(job: Job) -> int:
    return 422 if job.state == "FAILED" else 200


def _file(job: Job) -> Response:
    """A job's output, or the range of it that the request names."""
    if job.output is None or not job.output.is_file():
        raise _gone_from_disk(job)
    return FileResponse(job.output, media_type=media_type(job.output))


def _unfinished(request: Request, job: Job, code: int, why: str) -> Response:
    """The answer to a blocking call that ends before its job does."""
    body = {
        **addresses(job, _here(request)),
        "status": job.state,
        "error": f"{why}; the request goes on, and its status_url says when it is done.",
    }
    return Json(body, code, {"retry-after": str(RETRY_SECONDS)})


def _answering(code: int, headers: Mapping[str, str] | None = None) -> HTTPExceptionHandler:
    """A handler that answers with the error's own sentence."""

    async def answer(_: Request, error: Exception) -> Response:
        return Json({"error": str(error)}, code, headers)

    return answer


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.answer()


async def _http(request: Request, error: Exception) -> Response:
    """What the router itself refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"[:200]
    return Json({"error": f"{what}: {error.detail}."}, error.status_code, error.headers)


async def _gone(_request: Request, _error: Exception) -> Response:
    """An answer that nobody is there to read."""
    return Response(status_code=400)


async def _unexpected(_request: Request, _error: Exception) -> Response:
    """Says that something broke; the log alone says what."""
    return Json({"error": "The server failed unexpectedly; its log says how."}, 500)
