"""The jobs of this engine: what a call becomes in the store, and how a worker does it.

The client, the command and the server share these: an `Intake` turns the hosted parameters into a
job, `performer` does it with an `Engine`, and `performer_in` in another process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from engine.bounds import JobBounds
from engine.errors import EngineError, MediaError, ParameterError, ProcessDied, QueueFull
from engine.jobs.inputs import Inputs
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import Tasks, Tell
from engine.jobs.results import beside, named_output
from engine.jobs.safe_open import held_beneath
from engine.jobs.worker import Made, Perform
from engine.media.containers import VIDEO_CONTAINERS
from engine.media.output_file import IMAGE_SUFFIXES, check_output
from engine.media.probe import probe
from engine.media.untrusted import TooLarge, check_header, check_pictures
from engine.parameters import SwapCall, parse_call
from engine.pipeline.video import Progress

if TYPE_CHECKING:
    # What only hands jobs to another process does not load the networks' runtime.
    from engine.api import Engine

SLUG: Final = "ai-face-swap"

# Encoders whose files are as small as their quality allows, by all names that they have.
LOSSY_ENCODERS: Final = frozenset(
    {
        "h264", "avc", "x264", "libx264", "h264_nvenc",
        "hevc", "h265", "x265", "libx265", "hevc_nvenc",
        "av1", "libsvtav1", "av1_nvenc",
        "vp8", "libvpx", "vp9", "libvpx-vp9",
    }
)  # fmt: skip

# Parameters that name several pictures.
_LISTS: Final = ("reference_image", "extra_source_image")

_CHECK_SECONDS = 30.0  # for all files of a call

# The slowest presets of the encoders take many times as long for hardly smaller files. AV1's and
# VP9's are numbers, of which the least are the slowest.
SLOWEST_PRESETS: Final = frozenset({"placebo", "veryslow", "0", "1"})

# Looks at the file that a field names, with the folder of the job that is to be; it may refuse it
# by raising. Each call has one of its own.
Check: TypeAlias = Callable[[str, Path, Path], None]


@dataclass(frozen=True, slots=True)
class JobGuard:
    """Holds the job of a remote client to its bounds."""

    bounds: JobBounds

    @classmethod
    def of(cls, job: Job) -> Self | None:
        """Return the guard of a job whose record has bounds; None for a job of the owner."""
        record = job.request.get("bounds")
        return None if record is None else cls(JobBounds(**record))

    def check_encoding(self, call: SwapCall) -> None:
        """Raises a ParameterError for a call that asks for a file without measure."""
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
        """Raises a QueueFull where the jobs' files fill their share of the disk."""
        held = store.held_bytes()
        if held > self.bounds.store_bytes:
            raise QueueFull(
                f"The jobs that are kept hold {held:,} bytes, and "
                f"{self.bounds.store_bytes:,} may be held; try again when some have expired."
            )

    def timed(self, tell: Tell) -> Tell:
        """The same, but it raises an EngineError once the job's time is over."""
        end = time.monotonic() + self.bounds.job_seconds

        def tell_in_time(done: int, total: int | None) -> None:
            if time.monotonic() > end:
                raise EngineError(
                    f"The job took longer than {self.bounds.job_seconds:g} seconds, which are "
                    "the most that this server gives to one; ask for a part by start and end, or "
                    "for a faster preset."
                )
            tell(done, total)

        return tell_in_time

    @contextmanager
    def held(self, field: str, path: Path, folder: Path) -> Iterator[Path]:
        """An input that no other file can take the place of; `folder` is the job's own.

        Raises:
            ParameterError: It is no longer a file of the folders that may be read.
        """
        if path.parent.resolve() == folder:
            yield path
            return
        place, folders = (
            folder / f"{field}{path.suffix}",
            [Path(one) for one in self.bounds.folders],
        )
        with held_beneath(field, path, folders, place, self.bounds.store_bytes) as file:
            yield file

    @contextmanager
    def inputs(self, job: Job, tell: Tell) -> Iterator[Mapping[str, Any]]:
        """The request of a job with its inputs held, and looked through by `check_pictures`."""
        with ExitStack() as files:

            def hold(field: str, path: str) -> str:
                file = files.enter_context(self.held(field, Path(path), job.folder))
                # Its header may have lied.
                check_pictures(file, field, self.bounds, lambda: tell(0, None))
                return str(file)

            request, how = dict(job.request), dict(job.request["parameters"])
            for field in ("source_image", "target"):
                request[field] = hold(field, request[field])
            for name in how.keys() & set(_LISTS):
                how[name] = [hold(f"{name}-{n}", one) for n, one in enumerate(how[name])]
            yield {**request, "parameters": how}

    def check_output(self, job: Job, output: Path) -> None:
        """Raises a TooLarge where what a job has written of its output is over the bound."""
        if sum(path.stat().st_size for path in job.partials(output)) > self.bounds.output_bytes:
            raise TooLarge(
                f"The output grew over {self.bounds.output_bytes:,} bytes, which are the most "
                "that this server writes; ask for a higher crf, or for a part by start and end."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Where calls become jobs.

    `inputs` says what may be given for a file and `checks` make what looks at a call's files.
    `may_write` lets a caller name the output, `may_uncheck` turn the content check off: both are
    for callers on their own machine. `bounds` go with each job; None is for the same callers.
    """

    store: JobStore
    inputs: Inputs = field(default_factory=Inputs)
    checks: tuple[Callable[[], Check], ...] = ()
    may_write: bool = True
    may_uncheck: bool = True
    bounds: JobBounds | None = None

    def submit(self, parameters: Mapping[str, Any]) -> Job:
        """Queues a job of the hosted parameters and this engine's own.

        Raises:
            ParameterError: Parameters or files cannot be used; every problem is named.
            MediaError: The output that was named cannot be written.
            QueueFull: As many jobs wait as may, or their files fill their share of the disk.
        """
        call = parse_call(parameters)
        self._permit(call)
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
        lists = {
            name: {f"{name}-{n}": one for n, one in enumerate(getattr(call, name))}
            for name in _LISTS
        }
        for named in lists.values():
            given |= named
        paths, problems = {}, []
        checks = [begin() for begin in self.checks]
        for name, value in given.items():
            try:
                paths[name] = self.inputs.take(name, value, folder)
                for check in checks:
                    check(name, paths[name], folder)
            except ParameterError as error:
                problems.append(str(error))
        if problems:
            raise ParameterError(" ".join(problems))
        output = None
        if call.output is not None:
            output = named_output(call.output)
            check_output(output, overwrite=call.overwrite, inputs=tuple(paths.values()))
        how = call.swap_parameters()
        how |= {name: [str(paths[one]) for one in named] for name, named in lists.items() if named}
        request = {
            "source_image": str(paths["source_image"]),
            "target": str(paths["target"]),
            "output": None if output is None else str(output),
            "base64": call.base64,
            "parameters": how,
        }
        return request if self.bounds is None else {**request, "bounds": asdict(self.bounds)}


def performer(engine: Engine) -> Perform:
    """What does a job of an `Intake` with an engine, whose networks stay loaded."""

    def perform(job: Job, tell: Tell) -> Made:
        guard = JobGuard.of(job)
        with nullcontext(job.request) if guard is None else guard.inputs(job, tell) as request:
            return swap(job, request, tell, guard)

    def swap(job: Job, request: Mapping[str, Any], tell: Tell, guard: JobGuard | None) -> Made:
        def observe(progress: Progress) -> None:
            tell(progress.done, progress.total)
            if guard is not None:
                guard.check_output(job, output)

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
            if guard is not None:
                guard.check_output(job, output)
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


def bounded(perform: Perform, store: JobStore) -> Perform:
    """The same, within what a job's record lets it take of time and of the store."""

    def perform_within(job: Job, tell: Tell) -> Made:
        guard = JobGuard.of(job)
        if guard is not None:
            guard.check_store(store)
            tell = guard.timed(tell)
        return perform(job, tell)

    return perform_within


def performer_in(tasks: Tasks) -> Perform:
    """Returns what does a job of an `Intake` in another process, whose networks stay loaded."""

    def perform(job: Job, tell: Tell) -> Made:
        given = {
            "id": job.id,
            "request": dict(job.request),
            "folder": str(job.folder),
            "created": job.created,
            "claim": job.claim,
        }
        try:
            made = tasks.call("engine.hosted.tasks:perform", given, tell)
        except BaseException:
            # A process that died, or was killed as it did not stop, has not cleaned up.
            job.sweep(job.claim)
            raise
        return Made(Path(made["output"]), made["metrics"], Path(made["made"]), made["overwrite"])

    return perform


def checker_in(tasks: Tasks, bounds: JobBounds) -> Callable[[], Check]:
    """Returns what makes a check of one call, which has `check_given` look in another process.

    Time counts from when the other process begins to look: that it is busy or still starts is not
    the file's fault.
    """

    def begin() -> Check:
        left = _CHECK_SECONDS

        def check(field: str, path: Path, folder: Path) -> None:
            nonlocal left
            began: float | None = None

            def tell(_done: int, total: int | None) -> None:
                nonlocal began
                if total is None:
                    return
                if began is None:
                    began = time.monotonic()
                if time.monotonic() - began > left:
                    raise MediaError(
                        f"{field} could not be looked through in time; all files of a request "
                        f"have {_CHECK_SECONDS:g} seconds together. Give one whose header tells "
                        "its length, such as MP4."
                    )

            given = {
                "field": field,
                "path": str(path),
                "folder": str(folder),
                "bounds": asdict(bounds),
            }
            try:
                tasks.call("engine.hosted.tasks:check", given, tell)
            except ProcessDied as death:
                raise MediaError(f"{field} cannot be read. {death}") from death
            finally:
                if began is not None:
                    left -= time.monotonic() - began

        return check

    return begin


def check_given(field: str, path: Path, folder: Path, bounds: JobBounds) -> None:
    """Looks at a file that a caller elsewhere gave. Raises as `check_header` does."""
    with JobGuard(bounds).held(field, path, folder) as file:
        check_header(file, field, bounds)


def _own_output(job: Job, target: Path) -> Path:
    """A place in the job's own folder, for a file of the target's kind and format."""
    suffix = target.suffix.lower()
    if probe(target).kind == "image":
        return job.folder / f"output{suffix if suffix in IMAGE_SUFFIXES else '.png'}"
    return job.folder / f"output{suffix if suffix in VIDEO_CONTAINERS else '.mp4'}"
