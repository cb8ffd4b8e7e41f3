"""One swap, from its files to its report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from engine.errors import ContentBlocked, MediaError, ParameterError
from engine.media.decode import ignore_warning, read_frame, read_frames, read_image
from engine.media.encode import write_video
from engine.media.output_file import IMAGE_SUFFIXES, check_output
from engine.media.probe import probe
from engine.media.sampling import sampled_frames
from engine.media.segments import segment_length
from engine.media.still import write_image
from engine.options import SelectionRule, Trim
from engine.pipeline.casting import find_cast
from engine.pipeline.crop_sizes import CropSizes
from engine.pipeline.dry_run import TrackDecision, track_decisions
from engine.pipeline.kept_segments import KeptSegments, Restart, note_finished, work_key
from engine.pipeline.missed_faces import MissedFace, MissedFaces
from engine.pipeline.planners import CastPlanner, Planner, RulePlanner
from engine.pipeline.prepared_source import PreparedSource
from engine.pipeline.recorder import Recorder
from engine.pipeline.records import FrameRecord, Write, seconds_of, trace_file, write_nothing
from engine.pipeline.references import find_references
from engine.pipeline.remarks import warn_of_result, warn_of_roles
from engine.pipeline.report import Content, Reference, Selection, StageSeconds, SwapReport
from engine.pipeline.review import write_review
from engine.pipeline.sources import ReportPicture, prepare_source
from engine.pipeline.stages import FaceSwap
from engine.pipeline.threads import Stopwatch, prefetch
from engine.pipeline.tools import Request, Tools
from engine.pipeline.unused_options import unused_option_notes
from engine.pipeline.video import QUEUE_DEPTH, Observe, Progress, Stage, swapped_frames
from engine.plan.cast import Cast
from engine.trust.content import LIMIT, MAX_PREVIEWED, SAMPLE_SECONDS, ContentCheck
from engine.trust.provenance import provenance_tags
from engine.values import Analysed, Face, Frame, Planned, VideoInfo

_CLOSE = 1e-5  # seconds between two times of one frame, at most
_BEFORE = 0.001  # seconds before a frame at which a search for it begins


def run_swap(request: Request, tools: Tools, observe: Observe | None = None) -> SwapReport:
    """Swap faces in a file and return the report; after an error there is no output.

    `observe` is called at the beginning of each stage and after each frame of a video. An exception
    that it raises ends the run.

    Raises:
        MediaError: A file cannot be read or written, or the output exists.
        NoFaceFound: The source or the reference shows no face.
        SourceUnfit: The source hides a part of its face that the swapper needs.
        ContentBlocked: The content check refused the source or the target.
    """
    began = time.perf_counter() - request.elsewhere_seconds
    tell = partial(report_stage, observe)
    info = check_swap_files(request)
    sources = _prepare_sources(request, tools, partial(tell, "reading the source"))
    check = _preview_content(request, tools, info, tell)
    if request.options.selection.mode == "reference":
        tell("finding the reference")
    watch = Stopwatch()
    still = _Still.read(request.target, watch) if info.kind == "image" else None
    with watch.stage("analyse" if still else None):
        read = still.number if still else partial(read_frame, request.target)
        known = _find_people(request, tools, read, still=still is not None)
    with trace_file(request.trace, overwrite=request.options.overwrite) as write:
        run = Run.of(request, tools, sources, known, check, watch=watch, write=write)
        if still:
            written = run.swap_picture(still, known.frame_faces, tell)
        else:
            written = run.swap_video(info, observe)
    recorder, swapper = run.recorder, tools.chosen.swapper
    spans, more_spans = recorder.spans.found()
    roles = recorder.roles(request.cast)
    if request.review is not None:
        write_review(
            request.review,
            (request.target, request.output),
            spans,
            more_spans,
            overwrite=request.options.overwrite,
            provenance=run.provenance,
        )
    notes = (
        *tools.notes,
        *(note for source in sources.values() for note in source.notes),
        *known.notes,
        *written.notes,
        *unused_option_notes(
            request.options,
            info.kind,
            averages=swapper.averages,
            draws_source=swapper.draws_source,
        ),
    )
    return SwapReport(
        output=request.output,
        kind=info.kind,
        frames=recorder.frames,
        faces_seen=recorder.faces_seen,
        faces_swapped=recorder.faces_swapped,
        faces_faded=recorder.faces_faded,
        frames_with_swap=recorder.frames_with_swap,
        seconds=time.perf_counter() - began,
        stage_seconds=StageSeconds(**run.watch.seconds),
        setup=tools.setup,
        sources=tuple(one for source in sources.values() for one in source.pictures),
        selection=_selection_report(request, known, recorder),
        roles=roles,
        content=_content_report([source.score for source in sources.values()], check),
        notes=tuple(dict.fromkeys(notes)),
        warnings=(
            *(warning for source in sources.values() for warning in source.warnings),
            *written.warnings,
            *warn_of_result(recorder, request.options, tools.setup),
            *warn_of_roles(roles),
        ),
        spans=spans,
        more_spans=more_spans,
        parameters=_effective_parameters(request, tools.chosen.sides),
    )


def dry_run(
    request: Request, tools: Tools, observe: Observe | None = None
) -> tuple[TrackDecision, ...]:
    """Return what a swap would do with each track; sources are not read, and nothing is written.

    `observe` is called after each frame of a video. Raises as `run_swap` does for the target.
    """
    info, watch = probe(request.target), Stopwatch()
    still = _Still.read(request.target, watch) if info.kind == "image" else None
    read = still.number if still else partial(read_frame, request.target)
    known = _find_people(request, tools, read, still=still is not None)
    run = Run.of(request, tools, {}, known, None, watch=watch)
    if still:
        faces = known.frame_faces or tools.frame_analyser.analyse_picture(still.frame)
        return track_decisions(run.decide([Analysed(still.frame, faces)]))
    trim = request.options.trim
    total = expected_frames(info, trim)

    def counted(records: Iterable[FrameRecord]) -> Iterator[FrameRecord]:
        for record in records:
            yield record
            report_stage(observe, "analysing", record.frame, total)

    with closing(prefetch(read_frames(request.target, trim), QUEUE_DEPTH)) as frames:
        return track_decisions(counted(run.decide(run.analyse(frames))))


def check_before_swap(request: Request, tools: Tools, observe: Observe | None) -> None:
    """Prepare the sources of a swap of a video, and check its content, before its segments.

    Raises:
        EngineError: As `run_swap` does before the first frame.
    """
    tell = partial(report_stage, observe)
    info = check_swap_files(request)
    _prepare_sources(request, tools, partial(tell, "reading the source"))
    _preview_content(request, tools, info, tell)


def prepare_run(request: Request, tools: Tools) -> Run:
    """Prepare sources and people of a swap of a video of which parts are swapped.

    Raises:
        EngineError: As `run_swap` does before the first frame.
    """
    sources = _prepare_sources(request, tools, _ignore_picture)
    known = _find_people(request, tools, partial(read_frame, request.target), still=False)
    classifier = tools.classifier
    check = None if classifier is None else ContentCheck(classifier, str(request.target))
    return Run.of(request, tools, sources, known, check, watch=Stopwatch())


def swap_in_memory(
    request: Request, tools: Tools, frames: Iterable[Frame], *, still: bool
) -> Generator[Frame]:
    """Swap faces in frames that are in memory, and yield the swapped frames in order.

    The source and the reference are read before this returns, as far into `frames` as the
    reference frame. `request.target` only names the frames in errors, and nothing is written.

    Args:
        request: Source and options.
        tools: Networks.
        frames: Frames of one video, which are read in another thread; or still pictures.
        still: Swap each frame as a picture by itself, without tracking.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: The source or the reference shows no face.
        SourceUnfit: The source hides a part of its face that the swapper needs.
        ContentBlocked: The content check refused the source; or, when it is reached, a frame.
        ParameterError: There are fewer frames than `reference_frame_number` says.
    """
    rest, first = iter(frames), list[Frame]()

    def read(number: int) -> Frame:
        first.extend(islice(rest, number))
        if len(first) < number:
            raise ParameterError(
                f"reference_frame_number is {number}, and {request.target} has {len(first)} "
                "frames; allowed: the number of one of them, counted from 1."
            )
        return first[-1]

    sources = _prepare_sources(request, tools, _ignore_picture)
    known = _find_people(request, tools, read, still=still)
    classifier = tools.classifier
    check = None if classifier is None else ContentCheck(classifier, str(request.target))
    run = Run.of(request, tools, sources, known, check, watch=Stopwatch())
    whole = chain(first, rest)
    if not still:
        return run.swap_frames(whole)
    analysed = {id(frame): known.frame_faces for frame in first[-1:]}
    return (run.swap_still(frame, analysed.get(id(frame))) for frame in whole)


def _prepare_sources(
    request: Request, tools: Tools, report: ReportPicture
) -> Mapping[int, PreparedSource]:
    """Prepare the source of each role; raise as `prepare_source` does."""
    return {
        role: prepare_source(source, request, tools, report)
        for role, source in request.sources.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class _KnownPeople:
    """The people of the target who are looked for, with entries and notes for the report.

    `frame_faces` are the faces of a reference frame, where it was analysed as a picture.
    """

    planner: Planner
    entries: tuple[Reference, ...]
    notes: tuple[str, ...]
    frame_faces: tuple[Face, ...] | None = None
    missed: tuple[MissedFace, ...] = ()


def _find_people(
    request: Request, tools: Tools, read: Callable[[int], Frame], *, still: bool
) -> _KnownPeople:
    """Find the people of the target that the request names; raise as `run_swap` does."""
    rule, cast = request.options.selection, request.cast
    if cast is None:
        one = find_references(request.target, rule, tools.reference_analyser, read, still=still)
        planner = RulePlanner(rule, one.embeddings, tools.scale)
        return _KnownPeople(planner, one.entries, one.notes, one.frame_faces)
    found = find_cast(
        request.target,
        cast,
        tools.reference_analyser,
        tools.scale,
        rule.reference_distance,
        analysis=tools.analysis,
        people=tools.people,
    )
    by_cast = CastPlanner(found.casting, frozenset(request.sources))
    return _KnownPeople(by_cast, found.entries, found.notes, missed=found.missed)


@dataclass(frozen=True, slots=True, eq=False)
class SwappedOne:
    """One frame of a target before and after a swap, and what belongs to it.

    `record` tells its faces, `provenance` are the tags of a file that shows it, and `warnings` are
    sentences about the source and the target.
    """

    before: Frame
    after: Frame
    record: FrameRecord
    provenance: Mapping[str, str]
    warnings: tuple[str, ...]


def swap_one(
    request: Request, tools: Tools, at: float | None, observe: Observe | None = None
) -> SwappedOne:
    """Swap one frame of a target; the frames of the request's part before it are only analysed.

    `at` is its time in seconds after the target's first frame; None for a still target. Nothing is
    written.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: The source or the reference shows no face.
        SourceUnfit: The source hides a part of its face that the swapper needs.
        ContentBlocked: The content check refused the source or a frame.
    """
    tell = partial(report_stage, observe)
    sources = _prepare_sources(request, tools, partial(tell, "reading the source"))
    classifier, watch = tools.classifier, Stopwatch()
    check = None if classifier is None else ContentCheck(classifier, str(request.target))
    still = _Still.read(request.target, watch) if at is None else None
    read = still.number if still else partial(read_frame, request.target)
    known = _find_people(request, tools, read, still=still is not None)
    records: list[FrameRecord] = []
    run = Run.of(request, tools, sources, known, check, watch=watch, write=records.append)
    tell("swapping")
    if still is not None:
        before, after = still.frame, run.swap_still(still.frame, known.frame_faces)
    else:
        before, after = run.swap_at(at or 0.0)
    (record,) = records
    warnings = (
        *(warning for source in sources.values() for warning in source.warnings),
        *(still.warnings if still else ()),
    )
    return SwappedOne(before, after, record, run.provenance, warnings)


@dataclass(frozen=True, slots=True, eq=False)
class _Still:
    """Still target, decoded once, with warnings about its file."""

    frame: Frame
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, watch: Stopwatch) -> _Still:
        warnings: list[str] = []
        with watch.stage("decode"):
            frame = read_image(path, warn=warnings.append)
        return cls(frame, tuple(warnings))

    def number(self, _: int) -> Frame:
        """Return the frame of any number."""
        return self.frame


@dataclass(frozen=True, slots=True)
class _Written:
    """Warnings about a written file and its inputs, and notes for the report."""

    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """The part of a swap that reads and writes the target's frames."""

    request: Request
    tools: Tools
    planner: Planner
    swap: FaceSwap[Any]
    check: ContentCheck | None
    missed: MissedFaces
    recorder: Recorder
    watch: Stopwatch
    provenance: Mapping[str, str]

    @classmethod
    def of(
        cls,
        request: Request,
        tools: Tools,
        sources: Mapping[int, PreparedSource],
        known: _KnownPeople,
        check: ContentCheck | None,
        *,
        watch: Stopwatch,
        write: Write = write_nothing,
    ) -> Run:
        """Set up the stages for a request."""
        chosen, options = tools.chosen, request.options
        names = (tools.setup.swapper.name, *tools.setup.networks.values())
        return cls(
            request=request,
            tools=tools,
            planner=known.planner,
            swap=FaceSwap(
                chosen.swapper,
                {role: source.encoded for role, source in sources.items()},
                chosen.occluder,
                chosen.limiters,
                options.limits.match_colour,
                chosen.enhancer,
            ),
            check=check,
            missed=MissedFaces(known.missed, tools.frame_analyser, tools.hands),
            recorder=Recorder(
                options.selection,
                known.planner.distance,
                roles={} if request.cast is None else _limits(request.cast, options.selection),
                origin=_origin(request),
                write=write,
            ),
            watch=watch,
            provenance=provenance_tags(", ".join(names), content_checked=check is not None),
        )

    def swap_video(self, info: VideoInfo, observe: Observe | None) -> _Written:
        """Swap a video, going on after the parts that an interrupted run finished."""
        request, options = self.request, self.request.options
        warnings: list[str] = []
        total = expected_frames(info, options.trim)

        def report_frame(done: int) -> None:
            if observe is not None:
                observe(Progress(done, total))

        def report_end(frames: Iterable[Frame]) -> Iterator[Frame]:
            yield from frames
            report_stage(observe, "writing", self.recorder.frames, total)

        report_frame(0)
        with self._kept_segments(info, total, warnings.append) as kept:
            if kept is not None:
                self._restore(kept)
            restart = None if kept is None else kept.restart
            frames = (
                self.swap_frames(self.read_target(restart, warnings.append), restart)
                if kept is None or not self._is_complete(kept)
                else _no_frames()
            )
            with self.watch.stage("encode"), closing(frames):
                written = write_video(
                    report_end(self.watch.timed(None, frames)),
                    request.output,
                    like=request.target,
                    options=options.encode,
                    trim=options.trim,
                    overwrite=options.overwrite,
                    observe=report_frame,
                    provenance=self.provenance,
                    segments=kept,
                    first=None if restart is None else self.first_frame(),
                )
        earlier = 0 if kept is None else kept.frames - request.elsewhere
        notes = () if earlier <= 0 else (note_finished(earlier),)
        kept_warnings = () if kept is None else kept.warnings
        told = self.missed.warnings
        return _Written(
            tuple(dict.fromkeys((*warnings, *told, *kept_warnings, *written.warnings))), notes
        )

    def swap_picture(
        self,
        still: _Still,
        faces: tuple[Face, ...] | None,
        tell: Callable[[Stage], None],
    ) -> _Written:
        """Swap a still picture, whose faces may be known."""
        request = self.request
        tell("swapping")
        result = self.swap_still(still.frame, faces)
        tell("writing")
        with self.watch.stage("encode"):
            written = write_image(
                result,
                request.output,
                like=request.target,
                overwrite=request.options.overwrite,
                provenance=self.provenance,
                metadata=request.options.encode.metadata,
            )
        return _Written((*still.warnings, *written.warnings))

    def swap_frames(
        self, frames: Iterable[Frame], restart: Restart | None = None
    ) -> Generator[Frame]:
        """Yield the swapped frames of a video, in order; those that are finished are left out."""
        return swapped_frames(
            frames,
            partial(self.analyse, tracks=0 if restart is None else restart.tracks),
            self._plan if restart is None else partial(self._plan_rest, restart),
            self.swap,
            recorder=self.recorder,
            watch=self.watch,
            workers=self.tools.threads.workers,
            at_once=self.tools.chosen.at_once,
        )

    def swap_still(self, frame: Frame, faces: tuple[Face, ...] | None) -> Frame:
        """Return the swapped frame of a still picture; its faces are found if they are unknown."""
        with self.watch.stage("analyse"):
            if self.check is not None:
                self.check.check_frame(frame)
            if faces is None:
                faces = self.tools.frame_analyser.analyse_picture(frame)
            hands = self.tools.hands.find(frame, self.planner.choose(faces))
        planned = list(map(self.recorder.plan, self._plan([Analysed(frame, faces, hands)])))
        with self.watch.stage("swap"):
            (result,) = map(self.recorder.finish, self.swap(planned))
        return result

    def swap_at(self, at: float) -> tuple[Frame, Frame]:
        """Return one frame of a video, by its time, before and after."""
        target = self.request.target
        origin = read_frame(target, 1).pts
        frames = prefetch(read_frames(target, self.request.options.trim), QUEUE_DEPTH)
        with closing(frames):
            plan = self._plan(self.analyse(frames))
            planned = next(
                (one for one in plan if seconds_of(one.frame, origin) >= at - _CLOSE), None
            )
        if planned is None:
            raise MediaError(f"{target} has no frame at {at:g} s; copy the file again.")
        if self.check is not None:
            self.check.check_frame(planned.frame)
        self.recorder.plan(planned)
        (after,) = map(self.recorder.finish, self.swap([planned]))
        return planned.frame, after

    @contextmanager
    def _kept_segments(
        self, info: VideoInfo, total: int | None, warn: Callable[[str], None]
    ) -> Iterator[KeptSegments | None]:
        """Yield what keeps the segments of the output; None if it is shorter than one."""
        request, length = self.request, segment_length(info.frame_rate)
        if total is None and info.duration is not None:
            total = math.ceil(info.duration * info.frame_rate)
        if request.work is None or (total is not None and total <= length):
            yield None
            return
        about = {"target": request.target.name, "output": request.output.name}
        with ExitStack() as stack:
            key = work_key(request, self.tools)
            try:
                folder = stack.enter_context(request.work.open(key, about, fresh=request.fresh))
            except MediaError as error:
                warn(f"An interruption would lose all of the work: {error}")
                yield None
                return
            kept = KeptSegments(folder, length, self.check, self.missed.warnings)
            try:
                yield kept
            except ContentBlocked:
                folder.is_done = True  # nothing that was refused is kept
                raise
            folder.is_done = True

    def _is_complete(self, kept: KeptSegments) -> bool:
        """Tell whether all segments are finished, as far as an analysis tells."""
        analysis, trim = self.tools.analysis, self.request.options.trim
        if analysis is None or not kept.frames:
            return False
        return kept.frames == sum(1 for _ in analysis.times(trim.start, trim.end))

    def _restore(self, kept: KeptSegments) -> None:
        kept.restore(self.recorder.restore)
        self.recorder.listeners.append(kept.record)

    def first_frame(self) -> Frame:
        """Return the first frame of the target's part."""
        with closing(read_frames(self.request.target, self.request.options.trim)) as frames:
            return next(frames)

    def read_target(
        self, restart: Restart | None, warn: Callable[[str], None] = ignore_warning
    ) -> Iterator[Frame]:
        """Yield the frames of the target's part, or those from the restart on."""
        target, trim = self.request.target, self.request.options.trim
        if restart is None:
            yield from read_frames(target, trim, warn=warn)
            return
        origin = read_frame(target, 1)
        seconds = float((restart.pts - origin.pts) * origin.time_base)
        trim = replace(trim, start=max(seconds - _BEFORE, 0.0))
        with closing(read_frames(target, trim, warn=warn)) as frames:
            rest = (frame for frame in frames if frame.pts >= restart.pts)
            for index, frame in enumerate(rest, start=restart.index):
                yield replace(frame, index=index)

    def decide(self, stream: Iterable[Analysed]) -> Iterator[FrameRecord]:
        """Yield what is decided about each frame."""
        for planned in map(self.planner.plan, self.missed.add(stream)):
            yield self.recorder.decide(planned)[0]

    def analyse(self, frames: Iterable[Frame], tracks: int = 0) -> Iterator[Analysed]:
        checked = frames if self.check is None else self.check.guard(frames)
        if self.tools.analysis is not None:
            return self.tools.analysis.replay(checked)
        found = self.tools.frame_analyser.analyse(checked, tracks)
        return self.tools.hands.add_hands(found, self.planner.choose)

    def _plan_rest(self, restart: Restart, stream: Iterable[Analysed]) -> Iterator[Planned]:
        """Plan the frames from the restart on, and leave out those that are finished."""
        planned = self._plan(stream)
        for pts in restart.finished:
            here = next(planned, None)
            if here is None or here.frame.pts != pts:
                raise MediaError(
                    f"{self.request.target} is not read as it was by the interrupted run; start "
                    "anew with --fresh (in Python: fresh=True)."
                )
        return planned

    def _plan(self, stream: Iterable[Analysed]) -> Iterator[Planned]:
        """Choose the faces of each frame, and the sizes of their crops."""
        chosen = self.tools.chosen
        sizes = CropSizes(chosen.sides, chosen.swapper.template)
        return sizes.assign(map(self.planner.plan, self.missed.add(stream)))


def _limits(cast: Cast, rule: SelectionRule) -> dict[str, float]:
    """Return the greatest distance of a match of each role."""
    return {
        role.name: rule.reference_distance if role.distance is None else role.distance
        for role in cast.role
    }


def _no_frames() -> Generator[Frame]:
    yield from ()


def _origin(request: Request) -> int | None:
    """Return the pts of the target's first frame; None if the swap begins with it."""
    return None if request.options.trim.start is None else read_frame(request.target, 1).pts


def expected_frames(info: VideoInfo, trim: Trim) -> int | None:
    """Return the number of frames of a part, as estimated from the container; None if unknown."""
    if info.frame_count is None or (trim.start is None and trim.end is None):
        return info.frame_count
    length = info.frame_count / float(info.frame_rate)
    start = min(trim.start or 0.0, length)
    end = length if trim.end is None else min(trim.end, length)
    return max(1, round((end - start) * float(info.frame_rate)))


def _ignore_picture(done: int, total: int | None) -> None:
    """Report no progress of the source."""


def report_stage(
    observe: Observe | None, stage: Stage, done: int = 0, total: int | None = None
) -> None:
    """Report a stage to the observer, if there is one."""
    if observe is not None:
        observe(Progress(done, total, stage))


def check_swap_files(request: Request) -> VideoInfo:
    """Return the description of the target, before any work is done.

    Raises:
        MediaError: The target cannot be read, the output, trace or review cannot be written, or
            its name does not fit the target.
        ParameterError: A review of a picture is requested.
    """
    info = probe(request.target)
    check_output(request.output, overwrite=request.options.overwrite, inputs=request.inputs)
    _check_further_outputs(request, info)
    named_as_picture = request.output.suffix.lower() in IMAGE_SUFFIXES
    if named_as_picture and info.kind == "video":
        raise MediaError(
            f"The target {request.target} is a video, but the output {request.output} is named as "
            "a picture; choose a name that ends in .mp4 or .mkv, for example."
        )
    if not named_as_picture and info.kind == "image":
        raise MediaError(
            f"The target {request.target} is a picture, but the output {request.output} is not "
            f"named as one; choose a name that ends in one of {', '.join(IMAGE_SUFFIXES)}."
        )
    return info


def _check_further_outputs(request: Request, info: VideoInfo) -> None:
    """Raise an error if the trace or the review cannot be written."""
    taken = {request.output.resolve(): "output"}
    for name, path, suffixes in (
        ("trace", request.trace, None),
        ("review", request.review, IMAGE_SUFFIXES),
    ):
        if path is None:
            continue
        if path.resolve() in taken:
            raise MediaError(
                f"The {name} {path} is also the {taken[path.resolve()]}; choose another name."
            )
        taken[path.resolve()] = name
        check_output(
            path, overwrite=request.options.overwrite, inputs=request.inputs, suffixes=suffixes
        )
    if request.review is not None and info.kind == "image":
        raise ParameterError(
            f"review is {request.review}, but the target {request.target} is a picture; a preview "
            "shows it before and after."
        )


def _preview_content(
    request: Request, tools: Tools, info: VideoInfo, tell: Callable[[Stage], None]
) -> ContentCheck | None:
    """Return the target's content check, None if it is off; check some frames of a video first.

    Raises:
        ContentBlocked: The check refused a frame.
    """
    if tools.classifier is None:
        return None
    check = ContentCheck(tools.classifier, str(request.target))
    if info.kind == "video":
        tell("checking content")
        check.preview(
            sampled_frames(
                request.target,
                request.options.trim,
                duration=info.duration,
                every=SAMPLE_SECONDS,
                most=MAX_PREVIEWED,
            )
        )
    return check


def _selection_report(request: Request, known: _KnownPeople, recorder: Recorder) -> Selection:
    rule = request.options.selection
    return Selection(
        mode=rule.mode,
        references=known.entries,
        distance_limit=rule.reference_distance if known.entries else None,
        smallest_accepted=recorder.smallest_accepted,
        mean_accepted=recorder.mean_accepted,
        nearest_rejected=recorder.nearest_rejected,
    )


def _content_report(source_scores: Sequence[float | None], target: ContentCheck | None) -> Content:
    if target is None:
        return Content(checked=False, limit=LIMIT, sample_seconds=SAMPLE_SECONDS)
    return Content(
        checked=True,
        limit=LIMIT,
        sample_seconds=SAMPLE_SECONDS,
        source_score=max((one for one in source_scores if one is not None), default=None),
        target_score=target.highest,
        target_previewed=target.previewed,
        target_samples=target.checked - target.previewed,
    )


def _effective_parameters(request: Request, sides: tuple[int, ...]) -> Mapping[str, Any]:
    """Return the public parameters, with the pixel boost used in place of one not possible."""
    if request.options.pixel_boost in (None, *sides):
        return request.parameters
    (side,) = sides
    return {**request.parameters, "pixel_boost": f"{side}x{side}"}
