"""The jobs of this engine: what a call becomes in the store, and how a worker does it.

The client, the command and the server share these two: an `Intake` turns the hosted parameters
into a job, `performer` does it with an `Engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from engine.app import Engine
from engine.errors import ParameterError
from engine.jobs.inputs import Inputs
from engine.jobs.outputs import beside, named_output
from engine.jobs.store import Job, JobStore
from engine.jobs.worker import Made, Perform, Tell
from engine.media.output import IMAGE_SUFFIXES, VIDEO_FORMATS, check_output
from engine.media.probe import probe
from engine.parameters import SwapCall, parse_call
from engine.pipeline.run import Progress

SLUG: Final = "ai-face-swap"

# Looks at the file that a field names; it may refuse it by raising.
Check: TypeAlias = Callable[[str, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Where calls become jobs.

    `inputs` says what may be given for a file and `checks` look at each. `may_write` lets a caller
    name the output, `may_uncheck` turn the content check off: both are for callers on their own
    machine.
    """

    store: JobStore
    inputs: Inputs = field(default_factory=Inputs)
    checks: tuple[Check, ...] = ()
    may_write: bool = True
    may_uncheck: bool = True

    def submit(self, parameters: Mapping[str, Any]) -> Job:
        """Queues a job of the hosted parameters and this engine's own.

        Raises:
            ParameterError: Parameters or files cannot be used; every problem is named.
            MediaError: The output that was named cannot be written.
            QueueFull: As many jobs wait as may.
        """
        call = parse_call(parameters)
        self._permit(call)
        folder = self.store.new_folder()
        try:
            return self.store.add(self._request(call, folder), folder)
        except BaseException:
            self.store.discard(folder)
            raise

    def _permit(self, call: SwapCall) -> None:
        problems = []
        if call.output is not None and not self.may_write:
            problems.append(
                "output names a file of the server, which writes to its own folder alone; "
                "allowed: null. Download the output by its URL."
            )
        if not call.content_check and not self.may_uncheck:
            problems.append(
                "content_check is False; allowed: true, as only the owner of the machine may turn "
                "it off."
            )
        if problems:
            raise ParameterError(" ".join(problems))

    def _request(self, call: SwapCall, folder: Path) -> dict[str, Any]:
        """The call as the store keeps it: with paths that any process of this machine can read."""
        given = {"source_image": call.source_image, "target": call.target}
        given |= {f"reference_image-{n}": one for n, one in enumerate(call.reference_image)}
        paths, problems = {}, []
        for name, value in given.items():
            try:
                paths[name] = self._file(name, value, folder)
            except ParameterError as error:
                problems.append(str(error))
        if problems:
            raise ParameterError(" ".join(problems))
        output = None
        if call.output is not None:
            output = named_output(call.output)
            check_output(output, overwrite=call.overwrite, inputs=tuple(paths.values()))
        how = call.swap_parameters()
        source, target, *references = map(str, paths.values())
        if references:
            how["reference_image"] = references
        return {
            "source_image": source,
            "target": target,
            "output": None if output is None else str(output),
            "base64": call.base64,
            "parameters": how,
        }

    def _file(self, name: str, value: str, folder: Path) -> Path:
        path = self.inputs.take(name, value, folder)
        for check in self.checks:
            check(name, path)
        return path


def performer(engine: Engine) -> Perform:
    """What does a job of an `Intake` with an engine, whose networks stay loaded."""

    def perform(job: Job, tell: Tell) -> Made:
        def observe(progress: Progress) -> None:
            tell(progress.done, progress.total)

        request = job.request
        target = Path(request["target"])
        output = Path(request["output"]) if request["output"] else _own_output(job, target)
        made = beside(output, job)
        # Its own name beside the output: another claim of this job never writes to the same file.
        how = {**request["parameters"], "overwrite": True}
        try:
            tell(0, None)
            report = engine.swap(request["source_image"], target, made, observe=observe, **how)
            # A picture has no frames to be asked at.
            tell(report.frames, report.frames)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        asked = request["parameters"].get("overwrite", False)
        report = replace(
            report, output=output, parameters={**report.parameters, "overwrite": asked}
        )
        metrics = {"inference_time": round(report.seconds, 3), "report": report.to_dict()}
        is_own = request["output"] is None
        return Made(output, metrics, made=made, overwrite=is_own or asked)

    return perform


def _own_output(job: Job, target: Path) -> Path:
    """A place in the job's own folder, for a file of the target's kind and format."""
    suffix = target.suffix.lower()
    if probe(target).kind == "image":
        return job.folder / f"output{suffix if suffix in IMAGE_SUFFIXES else '.png'}"
    return job.folder / f"output{suffix if suffix in VIDEO_FORMATS else '.mp4'}"
