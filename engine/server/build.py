"""Build the ASGI application of a server from its parts."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from starlette.types import ASGIApp

from engine.bounds import Limits
from engine.errors import EngineError
from engine.hosted.service import SLUG, JobGuard, JobSubmitter, child_checks, enforce_bounds
from engine.jobs.inputs import InputResolver
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import ReportProgress, TaskRunner
from engine.jobs.worker import JobResult, Perform
from engine.parameters import SwapCall
from engine.server.access import Access, AccessMiddleware
from engine.server.body import BodyReader
from engine.server.fair_threads import FairThreadPool
from engine.server.media_roots import MediaRoots
from engine.server.openapi import openapi_document
from engine.server.routes import Api
from engine.server.serving import WorkerThread, worker_lifespan

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The parts of a server.

    Attributes:
        store: the job store.
        perform: performs a job.
        readers: child processes that check the files of clients.
        access: the access rules.
        roots: folders whose files clients may name.
        limits: limits of the server and its jobs.
        draining: when set, the server refuses new requests.
    """

    store: JobStore
    perform: Perform
    readers: TaskRunner
    access: Access = field(default_factory=Access)
    roots: MediaRoots = field(default_factory=MediaRoots)
    limits: Limits = field(default_factory=Limits)
    draining: threading.Event = field(default_factory=threading.Event)

    def application(self) -> ASGIApp:
        """Return the ASGI application; its lifespan starts and stops the worker."""
        perform = limit_to_roots(
            self.roots, hide_unexpected_errors(enforce_bounds(self.perform, self.store))
        )
        worker = WorkerThread(self.store, perform)
        threads = FairThreadPool(
            workers=self.limits.checks,
            per_client=self.limits.client_checks,
            waiting=self.limits.client_connections,
        )
        api = Api(
            store=self.store,
            submit=self.submitter().submit,
            slug=SLUG,
            document=openapi_document(call_schema(), SLUG),
            bodies=BodyReader(
                max_bytes=self.limits.body_bytes,
                max_seconds=self.limits.body_seconds,
                max_held=self.limits.held_bytes,
            ),
            threads=threads,
            max_base64=self.limits.body_bytes,
            wait_seconds=self.limits.wait_seconds,
            works=worker.works,
            draining=self.draining.is_set,
            roots=self.roots,
        )
        return AccessMiddleware(api.application(worker_lifespan(worker, threads)), self.access)

    def submitter(self) -> JobSubmitter:
        """Return the submitter for remote clients: files of the media roots only."""
        bounds = replace(self.limits.job, folders=[str(folder) for folder in self.roots.folders])
        return JobSubmitter(
            store=self.store,
            inputs=InputResolver(resolve_path=self.roots.resolve, max_bytes=self.limits.body_bytes),
            checks=(child_checks(self.readers, bounds),),
            may_write=False,
            may_uncheck=False,
            bounds=bounds,
        )


def limit_to_roots(roots: MediaRoots, perform: Perform) -> Perform:
    """Wrap a performer so that a job reads files below these roots only.

    The roots in the job's record may be those of a server that was started differently.
    """

    def perform_limited(job: Job, report_progress: ReportProgress) -> JobResult:
        guard = JobGuard.from_job(job)
        if guard is None:
            return perform(job, report_progress)
        record = asdict(replace(guard.bounds, folders=[str(folder) for folder in roots.folders]))
        return perform(replace(job, request={**job.request, "bounds": record}), report_progress)

    return perform_limited


def hide_unexpected_errors(perform: Perform) -> Perform:
    """Wrap a performer so that unexpected errors are logged and clients learn no details."""

    def perform_logged(job: Job, report_progress: ReportProgress) -> JobResult:
        try:
            return perform(job, report_progress)
        except EngineError:
            raise
        except Exception as error:
            _log.exception("The job %s failed unexpectedly.", job.id)
            raise EngineError("The job failed unexpectedly; the server's log says how.") from error

    return perform_logged


def call_schema() -> dict[str, Any]:
    """Return the JSON schema of a request, narrowed to what a remote client may send."""
    schema = SwapCall.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = schema["properties"]
    properties["output"] = {**properties["output"], "anyOf": [{"type": "null"}]}
    properties["content_check"] = {**properties["content_check"], "const": True}
    return schema
