"""Submit and perform the jobs of this engine, for the client, the command and the server.

A `JobSubmitter` turns hosted parameters into a job. `engine_performer` performs it with an
`Engine`, `child_performer` in a child process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from engine.bounds import JobBounds
from engine.errors import EngineError, MediaError, ParameterError, ProcessDied, QueueFull
from engine.jobs.inputs import InputResolver
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import ReportProgress, TaskRunner
from engine.jobs.results import parse_output, prepare_partial
from engine.jobs.safe_open import open_beneath
from engine.jobs.worker import JobResult, Perform
from engine.media.containers import VIDEO_CONTAINERS
from engine.media.output_file import IMAGE_SUFFIXES, check_output
from engine.media.probe import probe
from engine.media.untrusted import TooLarge, check_header, check_pictures
from engine.parameters import SwapCall, parse_call
from engine.pipeline.video import Progress
from engine.work.work_store import GIB

if TYPE_CHECKING:
    # A process that only passes jobs to a child does not load ONNX Runtime.
    from engine.api import Engine

SLUG: Final = "ai-face-swap"

# Lossy video encoders, by all of their names.
LOSSY_ENCODERS: Final = frozenset(
    {
        "h264", "avc", "x264", "libx264", "h264_nvenc",
        "hevc", "h265", "x265", "libx265", "hevc_nvenc",
        "av1", "libsvtav1", "av1_nvenc",
        "vp8", "libvpx", "vp9", "libvpx-vp9",
    }
)  # fmt: skip

# Parameters that are lists of pictures.
_LISTS: Final = ("reference_image", "extra_source_image")

_CHECK_SECONDS = 30.0  # time limit for the checks of all files of a request

# The slowest presets of the encoders take many times as long for hardly smaller files. Those of AV1
# and VP9 are numbers; 0 is the slowest.
SLOWEST_PRESETS: Final = frozenset({"placebo", "veryslow", "0", "1"})

# Takes a field name, the path of its file and the job's folder; raises to refuse the file. Each
# request gets a check of its own.
InputCheck: TypeAlias = Callable[[str, Path, Path], None]


@dataclass(frozen=True, slots=True)
class JobGuard:
    """Enforces the bounds of a remote client's job."""

    bounds: JobBounds

    @classmethod
    def from_job(cls, job: Job) -> Self | None:
        """Return the guard of a job whose record has bounds; None for a job of the owner."""
        record = job.request.get("bounds")
        return None if record is None else cls(JobBounds(**record))

    def check_encoding(self, call: SwapCall) -> None:
        """Check the encoding parameters of a request.

        Raises:
            ParameterError: They ask for a lossless encoder, too low a crf or too slow a preset.
        """
        problems = []
        if call.video_codec is not None and call.video_codec.lower() not in LOSSY_ENCODERS:
            problems.append(
                f"video_codec is {call.video_codec[:80]!r}, which this server does not encode; "
                f"allowed: {', '.join(sorted(LOSSY_ENCODERS))}, or null."
            )
        if call.crf is not None and call.crf < self.bounds.crf:
            problems.append(
                f"crf is {call.crf:g}; allowed on this server: from {self.bounds.crf:g}, or null."
            )
        if call.preset in SLOWEST_PRESETS:
            problems.append(
                f"preset is {call.preset!r}, which takes too long for this server; allowed: a "
                "faster one, or null."
            )
        if problems:
            raise ParameterError(" ".join(problems))

    def check_store(self, store: JobStore) -> None:
        """Check the size of all jobs' files.

        Raises:
            QueueFull: It exceeds `store_bytes`.
        """
        size = store.stored_bytes()
        if size > self.bounds.store_bytes:
            raise QueueFull(
                f"The jobs in the store hold {size:,} bytes; allowed: "
                f"{self.bounds.store_bytes:,}. Try again when some have expired."
            )

    def limit_time(self, report_progress: ReportProgress) -> ReportProgress:
        """Wrap a progress callback: it raises an EngineError after `job_seconds` from now."""
        end = time.monotonic() + self.bounds.job_seconds

        def report_in_time(done: int, total: int | None) -> None:
            if time.monotonic() > end:
                raise EngineError(
                    f"The job took longer than {self.bounds.job_seconds:g} seconds, the maximum "
                    "on this server; ask for a part by start and end, or for a faster preset."
                )
            report_progress(done, total)

        return report_in_time

    @contextmanager
    def open_input(self, field: str, path: Path, folder: Path) -> Iterator[Path]:
        """Open an input so that no other file can replace it, and yield a path to read it by.

        Args:
            field: parameter name for errors.
            path: the input.
            folder: the job's own folder.

        Raises:
            ParameterError: The input is no longer a file in the folders that may be read.
        """
        if path.parent.resolve() == folder:
            yield path
            return
        alias = folder / f"{field}{path.suffix}"
        folders = [Path(one) for one in self.bounds.folders]
        with open_beneath(field, path, folders, alias, self.bounds.store_bytes) as file:
            yield file

    @contextmanager
    def open_inputs(self, job: Job, report_progress: ReportProgress) -> Iterator[Mapping[str, Any]]:
        """Open and check all inputs of a job; yield its request with paths to read them by."""
        with ExitStack() as files:

            def open_checked(field: str, path: str) -> str:
                file = files.enter_context(self.open_input(field, Path(path), job.folder))
                # The header that was checked at submission may have been wrong.
                check_pictures(file, field, self.bounds, lambda: report_progress(0, None))
                return str(file)

            request, parameters = dict(job.request), dict(job.request["parameters"])
            for field in ("source_image", "target"):
                request[field] = open_checked(field, request[field])
            for name in parameters.keys() & set(_LISTS):
                parameters[name] = [
                    open_checked(f"{name}-{n}", path) for n, path in enumerate(parameters[name])
                ]
            yield {**request, "parameters": parameters}

    def check_output(self, job: Job, output: Path) -> None:
        """Check the size of a job's partial output.

        Raises:
            TooLarge: It exceeds `output_bytes`.
        """
        size = sum(path.stat().st_size for path in job.find_partials(output))
        if size > self.bounds.output_bytes:
            raise TooLarge(
                f"The output grew over {self.bounds.output_bytes:,} bytes, the maximum on this "
                "server; ask for a higher crf, or for a part by start and end."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSubmitter:
    """Turns requests into jobs.

    Attributes:
        store: the job store.
        inputs: turns file parameters into paths.
        checks: factories of the checks for the files of one request.
        may_write: permits the parameter `output`, for callers on their own machine.
        may_uncheck: permits `content_check=False`, likewise.
        bounds: limits that are stored with each job; None for no limits, likewise.
    """

    store: JobStore
    inputs: InputResolver = field(default_factory=InputResolver)
    checks: tuple[Callable[[], InputCheck], ...] = ()
    may_write: bool = True
    may_uncheck: bool = True
    bounds: JobBounds | None = None

    def submit(self, parameters: Mapping[str, Any]) -> Job:
        """Queue a job for hosted parameters and this engine's own.

        Raises:
            ParameterError: Parameters or files cannot be used; the message names every problem.
            MediaError: The parameter `output` names a file that cannot be written.
            QueueFull: Too many jobs wait, or their files fill the store.
        """
        call = parse_call(parameters)
        self._check_permissions(call)
        if self.bounds is not None:
            guard = JobGuard(self.bounds)
            guard.check_encoding(call)
            self.store.expire()
            guard.check_store(self.store)
        folder = self.store.new_folder()
        try:
            return self.store.add(self._request(call, folder), folder)
        except BaseException:
            self.store.discard(folder)
            raise

    def _check_permissions(self, call: SwapCall) -> None:
        problems = []
        if call.output is not None and not self.may_write:
            problems.append(
                "output names a file of the server, which writes to its own folder only; "
                "allowed: null. Download the output by its URL."
            )
        if not call.content_check and not self.may_uncheck:
            problems.append(
                "content_check is False; allowed: true, as only the owner of the server may turn "
                "it off."
            )
        if problems:
            raise ParameterError(" ".join(problems))

    def _request(self, call: SwapCall, folder: Path) -> dict[str, Any]:
        """Return the job's record, with paths that any process of this machine can read."""
        values = {"source_image": call.source_image, "target": call.target}
        lists = {
            name: {f"{name}-{n}": value for n, value in enumerate(getattr(call, name))}
            for name in _LISTS
        }
        for items in lists.values():
            values |= items
        paths, problems = {}, []
        checks = [create() for create in self.checks]
        for name, value in values.items():
            try:
                paths[name] = self.inputs.resolve(name, value, folder)
                for check in checks:
                    check(name, paths[name], folder)
            except ParameterError as error:
                problems.append(str(error))
        if problems:
            raise ParameterError(" ".join(problems))
        output = None
        if call.output is not None:
            output = parse_output(call.output)
            check_output(output, overwrite=call.overwrite, inputs=tuple(paths.values()))
        parameters = call.swap_parameters()
        parameters |= {
            name: [str(paths[item]) for item in items] for name, items in lists.items() if items
        }
        request = {
            "source_image": str(paths["source_image"]),
            "target": str(paths["target"]),
            "output": None if output is None else str(output),
            "base64": call.base64,
            "parameters": parameters,
        }
        return request if self.bounds is None else {**request, "bounds": asdict(self.bounds)}


def engine_performer(engine: Engine) -> Perform:
    """Return a function that performs jobs with an engine, whose networks stay loaded."""

    def perform(job: Job, report_progress: ReportProgress) -> JobResult:
        guard = JobGuard.from_job(job)
        with ExitStack() as files:
            request = job.request
            if guard is not None:
                request = files.enter_context(guard.open_inputs(job, report_progress))
            return swap(job, request, report_progress, guard)

    def swap(
        job: Job,
        request: Mapping[str, Any],
        report_progress: ReportProgress,
        guard: JobGuard | None,
    ) -> JobResult:
        def observe(progress: Progress) -> None:
            # A job counts frames of its output only.
            reading = progress.stage == "reading the source"
            report_progress(*((0, None) if reading else (progress.done, progress.total)))
            if guard is not None:
                guard.check_output(job, output)

        target = Path(request["target"])
        output = Path(request["output"]) if request["output"] else _own_output(job, target)
        # The partial output belongs to this claim, so another claim never writes to it.
        partial = prepare_partial(output, job)
        parameters = {**request["parameters"], "overwrite": True}
        try:
            report_progress(0, None)
            report = engine.swap(
                request["source_image"],
                target,
                partial,
                work_dir=job.work_folder,
                work_limit=None if guard is None else guard.bounds.output_bytes / GIB,
                observe=observe,
                **parameters,
            )
            # A still has no frames at which to observe or to check the output's size.
            report_progress(report.frames, report.frames)
            if guard is not None:
                guard.check_output(job, output)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        overwrite = request["parameters"].get("overwrite", False)
        report = replace(
            report, output=output, parameters={**report.parameters, "overwrite": overwrite}
        )
        metrics = {"inference_time": round(report.seconds, 3), "report": report.to_dict()}
        is_own = request["output"] is None
        return JobResult(output, metrics, partial=partial, overwrite=is_own or overwrite)

    return perform


def enforce_bounds(perform: Perform, store: JobStore) -> Perform:
    """Wrap a performer so that it respects the time and store limits in a job's record."""

    def perform_bounded(job: Job, report_progress: ReportProgress) -> JobResult:
        guard = JobGuard.from_job(job)
        if guard is not None:
            guard.check_store(store)
            report_progress = guard.limit_time(report_progress)
        return perform(job, report_progress)

    return perform_bounded


def child_performer(tasks: TaskRunner) -> Perform:
    """Return a function that performs jobs in a child process, whose networks stay loaded."""

    def perform(job: Job, report_progress: ReportProgress) -> JobResult:
        argument = {
            "id": job.id,
            "request": dict(job.request),
            "folder": str(job.folder),
            "created": job.created,
            "claim": job.claim,
        }
        try:
            result = tasks.call("engine.hosted.tasks:perform", argument, report_progress)
        except BaseException:
            # A child that died or was killed has not removed its partial output.
            job.remove_partials(job.claim)
            raise
        return JobResult(
            Path(result["output"]), result["metrics"], Path(result["partial"]), result["overwrite"]
        )

    return perform


def child_checks(tasks: TaskRunner, bounds: JobBounds) -> Callable[[], InputCheck]:
    """Return a factory of checks that call `check_input` in a child process.

    All files of a request share one time limit. It runs only while the child checks a file, not
    while the child is busy or starts.
    """

    def create() -> InputCheck:
        left = _CHECK_SECONDS

        def check(field: str, path: Path, folder: Path) -> None:
            nonlocal left
            started: float | None = None

            def watch(_done: int, total: int | None) -> None:
                nonlocal started
                if total is None:
                    return
                if started is None:
                    started = time.monotonic()
                if time.monotonic() - started > left:
                    raise MediaError(
                        f"{field} could not be checked in time; all files of a request have "
                        f"{_CHECK_SECONDS:g} seconds together. Give a file whose header states its "
                        "duration, such as MP4."
                    )

            argument = {
                "field": field,
                "path": str(path),
                "folder": str(folder),
                "bounds": asdict(bounds),
            }
            try:
                tasks.call("engine.hosted.tasks:check", argument, watch)
            except ProcessDied as death:
                raise MediaError(f"{field} cannot be read. {death}") from death
            finally:
                if started is not None:
                    left -= time.monotonic() - started

        return check

    return create


def check_input(field: str, path: Path, folder: Path, bounds: JobBounds) -> None:
    """Check a remote client's file; raise as `check_header` does."""
    with JobGuard(bounds).open_input(field, path, folder) as file:
        check_header(file, field, bounds)


def _own_output(job: Job, target: Path) -> Path:
    """Return the output path in the job's own folder, of the target's kind and format."""
    suffix = target.suffix.lower()
    if probe(target).kind == "image":
        return job.folder / f"output{suffix if suffix in IMAGE_SUFFIXES else '.png'}"
    return job.folder / f"output{suffix if suffix in VIDEO_CONTAINERS else '.mp4'}"
