"""A whole server put together: the store, the worker, the routes and who may ask."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from starlette.types import ASGIApp

from engine.bounds import Limits
from engine.errors import EngineError
from engine.hosted.service import SLUG, Intake, JobGuard, bounded, checker_in
from engine.jobs.inputs import Inputs
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import Tasks, Tell
from engine.jobs.worker import Made, Perform
from engine.parameters import SwapCall
from engine.server.access import Access, Guarded
from engine.server.body import Bodies
from engine.server.fair_threads import Turns
from engine.server.media_roots import MediaRoots
from engine.server.openapi import document
from engine.server.routes import Api
from engine.server.serving import Workshop, lifespan_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server consists of. Setting `draining` makes it refuse what is new.

    `readers` look at what clients send, in processes of their own.
    """

    store: JobStore
    perform: Perform
    readers: Tasks
    access: Access = field(default_factory=Access)
    roots: MediaRoots = field(default_factory=MediaRoots)
    limits: Limits = field(default_factory=Limits)
    draining: threading.Event = field(default_factory=threading.Event)

    def application(self) -> ASGIApp:
        """The server as an ASGI application, whose lifespan is its worker's."""
        perform = within(self.roots, discreet(bounded(self.perform, self.store)))
        workshop = Workshop(self.store, perform)
        turns = Turns(
            at_once=self.limits.checks,
            each=self.limits.client_checks,
            in_line=self.limits.client_connections,
        )
        api = Api(
            store=self.store,
            submit=self.intake().submit,
            slug=SLUG,
            document=document(call_schema(), SLUG),
            bodies=Bodies(
                most_bytes=self.limits.body_bytes,
                most_seconds=self.limits.body_seconds,
                most_held=self.limits.held_bytes,
            ),
            turns=turns,
            most_base64=self.limits.body_bytes,
            wait_seconds=self.limits.wait_seconds,
            works=workshop.works,
            draining=self.draining.is_set,
            roots=self.roots,
        )
        return Guarded(api.application(lifespan_of(workshop, turns)), self.access)

    def intake(self) -> Intake:
        """Takes calls of strangers: only files of the media roots, and nothing of the owner's."""
        bounds = replace(self.limits.job, folders=[str(folder) for folder in self.roots.folders])
        return Intake(
            store=self.store,
            inputs=Inputs(admit=self.roots.admit, most_bytes=self.limits.body_bytes),
            checks=(checker_in(self.readers, bounds),),
            may_write=False,
            may_uncheck=False,
            bounds=bounds,
        )


def within(roots: MediaRoots, perform: Perform) -> Perform:
    """Make a job read files of these roots alone, not of those that its record names.

    A server that was started with other roots may have queued them.
    """

    def perform_within(job: Job, tell: Tell) -> Made:
        guard = JobGuard.of(job)
        if guard is None:
            return perform(job, tell)
        record = asdict(replace(guard.bounds, folders=[str(folder) for folder in roots.folders]))
        return perform(replace(job, request={**job.request, "bounds": record}), tell)

    return perform_within


def discreet(perform: Perform) -> Perform:
    """The same, but for unexpected errors: the log says what they are, and clients only that."""

    def perform_discreetly(job: Job, tell: Tell) -> Made:
        try:
            return perform(job, tell)
        except EngineError:
            raise
        except Exception as error:
            _log.exception("The job %s failed unexpectedly.", job.id)
            raise EngineError("The job failed unexpectedly; the server's log says how.") from error

    return perform_discreetly


def call_schema() -> dict[str, Any]:
    """The JSON schema of a call, narrowed to what a stranger may say."""
    schema = SwapCall.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = schema["properties"]
    properties["output"] = {**properties["output"], "anyOf": [{"type": "null"}]}
    properties["content_check"] = {**properties["content_check"], "const": True}
    return schema
