"""The public API: `Engine` and its functions, which bring parameters and networks together."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from itertools import chain
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, TypeAlias, Unpack

import numpy as np

from engine.analysis.film_analysis import (
    AnalysisKey,
    FilmAnalysis,
    file_sha256,
    read_analysis,
)
from engine.analysis.people import Person, find_people
from engine.closeable import Closeable
from engine.errors import ContentBlocked, MediaError, ParameterError
from engine.executors.executor import Executor
from engine.media.decode import read_frame, read_image
from engine.media.output_file import check_output, partial_output
from engine.media.probe import is_image, probe
from engine.media.segments import segment_length
from engine.networks.chosen import ChosenNetworks
from engine.networks.pool import HAND_NETWORKS, DeviceNetworks, NetworkPool
from engine.optimise.prepare import calibration
from engine.options import AUTO, AnalysisOptions, Compute, Device
from engine.parameters import (
    ANALYSING,
    FILES,
    PREPARING,
    REFERENCE,
    SELECTION,
    SwapKeywords,
    SwapParameters,
    documented,
    documented_as,
    panel,
    parse,
    parse_seconds,
)
from engine.pipeline.analyse import analyse_film, make_key, open_analysis
from engine.pipeline.batch import (
    BatchResult,
    BatchRow,
    check_rows,
    make_folder,
    read_rows,
    rows_of_targets,
)
from engine.pipeline.casting import make_plan, needs_analysis
from engine.pipeline.dry_run import TrackDecision
from engine.pipeline.int8_calibration import Calibrated, calibrate_network
from engine.pipeline.kept_segments import is_finished, work_key
from engine.pipeline.pictures import (
    Location,
    Picture,
    PILImage,
    is_in_memory,
    path_of,
    picture_file,
    picture_frame,
    video_frames,
)
from engine.pipeline.prepared_source import (
    OwnSwapper,
    PreparedSource,
    SourceCache,
    SourceSettings,
)
from engine.pipeline.preview import Preview, check_preview, run_preview
from engine.pipeline.report import Setup, SwapReport
from engine.pipeline.segment_runs import SegmentPart, run_segment, split_parts
from engine.pipeline.sources import largest_face, prepare_source
from engine.pipeline.swap import (
    check_before_swap,
    check_swap_files,
    dry_run,
    report_stage,
    run_swap,
    swap_in_memory,
)
from engine.pipeline.tools import Request, Source, Tools
from engine.pipeline.video import Observe, Progress, Threads
from engine.pixels.align import face_picture
from engine.plan.cast import Cast, CastKeywords, Role, RoleKeywords, read_cast, validate
from engine.plan.film_plan import Plan, read_plan, write_plan
from engine.runtime.session import cores
from engine.selection import (
    Need,
    filter_faces,
    frame_needs,
    nearest_distance,
    needs,
    require_embedding,
    sort_faces,
)
from engine.swappers.neural.source_encoding import EMBEDDER
from engine.swappers.swapper import Swapper
from engine.trust.content import CLASSIFIER
from engine.values import BriefRepr, Bytes, DistanceScale, Face, Frame
from engine.weights.weight_store import WeightStore
from engine.work.work_store import DEFAULT_LIMIT, GIB, WorkStore

# Parameters that a plan keeps: those on which the numbers of the tracks depend.
_PLANNED: Final = tuple(name for name in ANALYSING if name not in ("device", "vram"))

# Roles, roles and corrections, or the path of a TOML file of them.
CastLike: TypeAlias = Sequence[RoleKeywords] | CastKeywords | Location

# Source, target and output of a swap, its cast, and its parameters.
_Call: TypeAlias = tuple[tuple[Path | None, Path, Path], Cast | None, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """A segment to swap in another process.

    Attributes:
        call: source, target and output, cast, and parameters.
        analysis: file of the target's analysis.
        work: folder and limit of the store of work files.
        key: name of the swap's folder in the store.
        part: the segment.
        length: number of frames of each segment.
        setup: device and swapper for calls that name none, threads, and the folders of the
            weights; None for those that a machine takes by itself.
    """

    call: _Call
    analysis: Path
    work: tuple[Path, int]
    key: str
    part: SegmentPart
    length: int
    setup: tuple[Device, str, int, tuple[Path, Path] | None]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FoundFaces(BriefRepr):
    """Faces of one frame, ordered and filtered as `reference_face_position` counts them.

    Attributes:
        frame: The frame; `frame.to_rgb()` is its picture.
        faces: The faces.
        distances: Distance (1 - cosine) of each face to the nearest reference; None without one.
    """

    frame: Frame
    faces: tuple[Face, ...]
    distances: tuple[float | None, ...]

    def picture(self, index: int, size: int = 256) -> Bytes:
        """Return an upright picture of a face with its surroundings: (size, size, 3) RGB, uint8."""
        return face_picture(self.frame, self.faces[index].box, size)


class Engine(Closeable):
    """A face-swap engine that keeps its networks loaded from one call to the next.

    A context manager; `close` unloads the networks. Several threads may share one engine.

    Args:
        device: Device of the networks ("auto", "cpu", "cuda", "cuda:1", "tensorrt"), for calls
            that do not name one.
        swapper: Name of a swapper, "auto", or a `Swapper` of your own, for the same calls.
        weights: Store of the weight files; None takes the embedded and the imported ones.
        threads: Number of cores to use; None takes all that this process may use.

    Raises:
        ParameterError: `swapper` is neither a name nor a swapper, or `threads` is not a whole
            number from 1.
    """

    def __init__(
        self,
        *,
        device: Device = "auto",
        swapper: str | Swapper[Any] = AUTO,
        weights: WeightStore | None = None,
        threads: int | None = None,
    ) -> None:
        whole = isinstance(threads, int) and not isinstance(threads, bool)
        if threads is not None and not (whole and threads >= 1):
            raise ParameterError(
                f"threads is {threads!r}; allowed: a whole number from 1, or None."
            )
        if not isinstance(swapper, str | Swapper):
            raise ParameterError(
                f"swapper is {swapper!r}; allowed: {AUTO!r}, the name of a swapper, or an object "
                "that satisfies engine.Swapper."
            )
        self._device: Device = device
        self._swapper = swapper
        self._threads = Threads.of(threads or cores())
        self._networks = NetworkPool(weights or WeightStore(), self._threads.network)
        self._sources = SourceCache()

    def close(self) -> None:
        """Unload the networks and forget the sources; a later call loads them again."""
        self._networks.clear()
        self._sources.clear()

    @documented
    def prepare(
        self,
        source_image: Picture,
        *,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> PreparedSource:
        """Read and check a source once, for any number of swaps, also of other engines.

        An engine also keeps by itself the sources of its last swaps, as long as their files do not
        change; a prepared one need not be a file, and is kept as long as you keep it.

        Args:
            source_image: As in `swap_image`.
            observe: Called in this thread at each picture of a clip; what it raises ends the run.
            {parameters}

        Returns:
            The source, which is taken wherever a `source_image` is. Those of the parameters that
            say how a source is prepared hold for these swaps, too, unless they name them.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read.
            NoFaceFound: The source shows no face.
            SourceUnfit: The source hides a part of its face that the swapper needs.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused the source.
        """
        parsed, own = self._parse(parameters)
        options = parsed.options()
        with picture_file("source_image", source_image) as path:
            named = Path("source_image") if is_in_memory(source_image) else path
            source = Source(path, options.extra_sources)
            request = Request(
                sources={0: source}, target=named, output=named, options=options, parameters={}
            )
            report = partial(report_stage, observe, "reading the source")
            made = prepare_source(source, request, self._tools(request, parsed, own), report)
        kept = {name: value for name, value in parameters.items() if name in PREPARING}
        return replace(made.at((named, *made.paths[1:])), parameters=kept)

    @documented
    def swap(
        self,
        source_image: Location | PreparedSource | None,
        target: Location,
        output: Location,
        *,
        cast: CastLike | None = None,
        analysis: Location | FilmAnalysis | None = None,
        trace: Location | None = None,
        review: Location | None = None,
        work_dir: Location | None = None,
        work_limit: float | None = None,
        fresh: bool = False,
        executor: Executor | None = None,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> SwapReport:
        """Put the face of a source onto faces of a video or picture, and write the output.

        The largest clear face of a source picture is taken. Of a source clip, frames that are
        spread over it are compared, and the best views of one person are taken. No error leaves
        an output behind. Of a video, finished parts of about ten seconds are kept as work files
        until the output is complete: the same call goes on after them.

        Args:
            source_image: Picture or clip of the person to put in, or what `prepare` made of it;
                None with a cast.
            target: Video or picture to change.
            output: File to write; its suffix chooses the format.
            cast: Roles of several people, each with its own source: a list of `RoleKeywords`,
                `CastKeywords`, or the path of a TOML file. A cast that names people by number or
                holds corrections needs an analysis; without one the target is analysed first.
            analysis: What `analyse` made of the target, or its file; faces are not detected again.
            trace: File to write a line of JSON to for each frame, with what was decided about each
                face and why.
            review: Picture to write: the frames that want a look most, before and after.
            work_dir: Folder of the work files; None takes FACESWAP_ENGINE_WORK or one in the
                user's cache.
            work_limit: GiB that all work files may take; 0 keeps none, None is 20.
            fresh: Ignore what an interrupted run finished.
            executor: `engine.Processes` or `engine.RayCluster`, to swap the segments of a video at
                the same time in other processes. The target is analysed first, in this one. None
                swaps in this process.
            observe: Called in this thread at the beginning of each stage, at each frame of a
                source clip, and after each frame of a video. An exception it raises ends the swap.
            {parameters}

        Returns:
            The report: what was swapped and how, with notes and warnings.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read or written.
            OutputExists: The output, trace or review exists and `overwrite` is False.
            NoFaceFound: The source or the reference shows no face.
            SourceUnfit: The source hides a part of its face that the swapper needs, or a source
                clip shows several people and none of them most of the time.
            WeightsError: A network that the swap needs is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused the source or the target.
        """
        request, parsed, own = self._swap_request((source_image, target, output), cast, parameters)
        request = replace(
            request,
            trace=None if trace is None else path_of("trace", trace),
            review=None if review is None else path_of("review", review),
            work=None if own is not None else _work_store(work_dir, work_limit),
            fresh=fresh,
        )
        with ExitStack() as kept:
            tools = self._swap_tools(
                request,
                parsed,
                own,
                kept,
                analysis=analysis,
                check=check_swap_files,
                observe=observe,
            )
            if executor is not None and not is_image(request.target):
                if own is not None:
                    raise ParameterError(
                        f"executor is {executor!r}, and the swapper {own.name} is an object of "
                        "this process; name an installed swapper, or leave the executor out."
                    )
                if isinstance(source_image, PreparedSource):
                    raise ParameterError(
                        "source_image is prepared in this process; with an executor, name its file."
                    )
                call = _absolute_call(request, parameters)
                found = request, parsed, tools
                began = perf_counter()
                tools, count = self._swap_segments(executor, call, found, kept, observe)
                request = replace(
                    request,
                    fresh=request.fresh and not count,
                    elsewhere=count,
                    elsewhere_seconds=perf_counter() - began,
                )
            return run_swap(request, tools, observe)

    def _swap_segments(
        self,
        executor: Executor,
        call: _Call,
        found: tuple[Request, SwapParameters, Tools],
        kept: ExitStack,
        observe: Observe | None,
    ) -> tuple[Tools, int]:
        """Swap the segments of a video by an executor.

        Return the tools that join them, and the number of frames that were swapped.
        """
        request, parsed, tools = found
        work = request.work
        if work is None:
            raise ParameterError(
                f"work_limit is 0, and the executor {executor!r} passes segments on as work files."
            )
        check_before_swap(request, tools, observe)
        length = segment_length(probe(request.target).frame_rate)
        if tools.analysis is None:
            tools = replace(
                tools, analysis=self._kept_analysis(work, request, parsed, kept, observe)
            )
        known = tools.analysis
        assert known is not None
        # Sides of crops and missed faces follow a face from the beginning of its shot.
        corrections = () if request.cast is None else request.cast.correction
        from_cuts = len(tools.chosen.sides) > 1 or any(one.box for one in corrections)
        parts = split_parts(known, request.options.trim, length, from_cuts=from_cuts)
        store = self._networks.store.folders
        folders = None if store == WeightStore().folders else store
        if len(parts) <= 1:
            return tools, 0  # as short as what is swapped in one go
        key = work_key(request, tools)
        about = {"target": request.target.name, "output": request.output.name}
        with work.open(key, about, fresh=request.fresh) as folder:
            tasks = [
                SegmentTask(
                    call=call,
                    analysis=known.path.absolute(),
                    work=(work.folder.absolute(), work.limit),
                    key=key,
                    part=part,
                    length=length,
                    setup=(self._device, str(self._swapper), executor.threads, folders),
                )
                for part in parts
                if not is_finished(folder, part.number)
            ]
            executor.check([path.absolute() for path in (*request.inputs, known.path, folder.lock)])
            total = sum(part.frames for part in parts)
            count = sum(task.part.frames for task in tasks)
            done = total - count
            try:
                for task, _ in executor.map(render_segment, tasks):
                    done += task.part.frames
                    if observe is not None:
                        observe(Progress(done, total))
            except ContentBlocked:
                folder.is_done = True  # nothing that was refused is kept
                raise
        return tools, count

    def _kept_analysis(
        self,
        work: WorkStore,
        request: Request,
        parsed: SwapParameters,
        kept: ExitStack,
        observe: Observe | None,
    ) -> FilmAnalysis:
        """Return the analysis of a target in the store of work files; make a missing one."""
        options, reads = self._analysing(request)
        wanted = self._analysis_key(request.target, reads, options)
        about = {"target": request.target.name, "output": "analysis"}
        try:
            folder = kept.enter_context(work.open(f"analysis-{wanted.digest}", about))
        except MediaError:
            scratch = kept.enter_context(TemporaryDirectory(prefix="faceswap-engine-"))
            return self._analyse_for(request, Path(scratch) / "faces", parsed, observe)
        file = folder.path / "faces"
        with suppress(MediaError):
            return open_analysis(file, wanted)
        return self._analyse_for(request, file, parsed, observe, overwrite=True)

    def _render_segment(self, task: SegmentTask) -> None:
        """Swap one segment of a video, as another process asks."""
        files, cast, parameters = task.call
        request, parsed, own = self._swap_request(files, cast, parameters)
        folder, limit = task.work
        request = replace(request, work=WorkStore(folder, limit=limit))
        known = read_analysis(task.analysis)
        tools = replace(self._tools(request, parsed, own), analysis=known)
        if request.cast is not None:
            tools = replace(tools, people=self.people(known))
        run_segment(request, tools, task.part, task.length, task.key)

    @documented
    def preview(
        self,
        source_image: Location | PreparedSource | None,
        target: Location | None,
        output: Location,
        *,
        frame: int | None = None,
        time: float | str | None = None,
        cast: CastLike | None = None,
        plan: Location | None = None,
        analysis: Location | FilmAnalysis | None = None,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> Preview:
        """Swap one frame of a video or picture, and write it before and after, side by side.

        The video is searched, not decoded from its beginning. Nothing is encoded but the picture.

        Args:
            source_image: Picture or clip of the person to put in, or what `prepare` made of it;
                None with a cast.
            target: Video or picture to change.
            output: Picture to write.
            frame: Number of the frame as the report of a swap counts; 1 is the first, also where
                `start` is given.
            time: Time in the target instead, in seconds or as "HH:MM:SS.mmm". Without both, the
                first frame is taken.
            cast: As in `swap`.
            plan: File that `plan` wrote, in place of source, target and cast, which are None then.
            analysis: What `analyse` made of the target, or its file; faces are not detected again.
            observe: Called as in `swap`.
            {parameters}

        Returns:
            Both frames, and what was decided about the faces.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range, or the swap
                would have no such frame.
            MediaError: A file cannot be read or written.
            OutputExists: The output exists and `overwrite` is False.
            NoFaceFound: The source or the reference shows no face.
            SourceUnfit: The source hides a part of its face that the swapper needs.
            WeightsError: A network that the swap needs is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused the source or the frame.
        """
        seconds = _moment(frame, time)
        if plan is not None:
            if any(one is not None for one in (source_image, target, cast)):
                raise ParameterError(
                    f"plan is {plan}, which names target and sources; leave out source_image, "
                    "target and cast."
                )
            made = _read_plan(plan)
            request, parsed, own = self._swap_request(
                (None, made.film, output), made, {**made.parameters, **parameters}
            )
        elif target is None:
            raise ParameterError("target is None; allowed: the path of a video or picture.")
        else:
            request, parsed, own = self._swap_request(
                (source_image, target, output), cast, parameters
            )
        with ExitStack() as kept:
            tools = self._swap_tools(
                request, parsed, own, kept, analysis=analysis, check=check_preview, observe=observe
            )
            return run_preview(request, tools, number=frame, seconds=seconds, observe=observe)

    @documented
    def render(
        self,
        plan: Location,
        output: Location,
        *,
        analysis: Location | FilmAnalysis | None = None,
        trace: Location | None = None,
        review: Location | None = None,
        work_dir: Location | None = None,
        work_limit: float | None = None,
        fresh: bool = False,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> SwapReport:
        """Swap a film as a plan says.

        Args:
            plan: File that `plan` wrote, perhaps edited since.
            output: As in `swap`.
            analysis: What `analyse` made of the film, or its file; without it the film is analysed
                first.
            trace: As in `swap`.
            review: As in `swap`.
            work_dir: As in `swap`.
            work_limit: As in `swap`.
            fresh: As in `swap`.
            observe: As in `swap`.
            {parameters}

        Returns:
            The report, as that of `swap`.

        Raises:
            ParameterError: A parameter or the plan is not as it must be, the film is not the
                plan's, or the analysis numbers other tracks.
            MediaError: A file cannot be read or written.
            OutputExists: The output, trace or review exists and `overwrite` is False.
            NoFaceFound: A source shows no face.
            SourceUnfit: A source hides a part of its face that the swapper needs.
            WeightsError: A network that the swap needs is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused a source or the film.
        """
        made = _read_plan(plan)
        request, parsed, own = self._swap_request(
            (None, made.film, output), made, {**made.parameters, **parameters}
        )
        request = replace(
            request,
            trace=None if trace is None else path_of("trace", trace),
            review=None if review is None else path_of("review", review),
            work=None if own is not None else _work_store(work_dir, work_limit),
            fresh=fresh,
        )
        with ExitStack() as kept:
            tools = self._swap_tools(
                request,
                parsed,
                own,
                kept,
                analysis=analysis,
                check=check_swap_files,
                observe=observe,
            )
            return run_swap(request, tools, observe)

    @documented
    def dry_run(
        self,
        source_image: Location | PreparedSource | None,
        target: Location,
        *,
        cast: CastLike | None = None,
        analysis: Location | FilmAnalysis | None = None,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> tuple[TrackDecision, ...]:
        """Return what `swap` would do with each track of a target; nothing is written.

        Args:
            source_image: As in `swap`; it is not read.
            target: As in `swap`.
            cast: As in `swap`.
            analysis: As in `swap`.
            observe: Called in this thread after each frame of a video.
            {parameters}

        Returns:
            A row for each part of a track with one decision.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read.
            NoFaceFound: The reference shows no face.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
        """
        return self._decide(
            (source_image, target), cast, parameters, analysis=analysis, observe=observe
        )

    @documented
    def dry_run_plan(
        self,
        plan: Location,
        *,
        analysis: Location | FilmAnalysis | None = None,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> tuple[TrackDecision, ...]:
        """Return what `render` would do with each track of a plan's film; nothing is written.

        Args:
            plan: As in `render`.
            analysis: As in `render`.
            observe: Called in this thread after each frame.
            {parameters}

        Returns:
            A row for each part of a track with one decision.

        Raises:
            ParameterError: A parameter or the plan is not as it must be, the film is not the
                plan's, or the analysis numbers other tracks.
            MediaError: A file cannot be read.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
        """
        made = _read_plan(plan)
        return self._decide(
            (None, made.film),
            made,
            {**made.parameters, **parameters},
            analysis=analysis,
            observe=observe,
        )

    def plan(
        self,
        film: Location,
        output: Location,
        *,
        cast: CastLike | None = None,
        analysis: Location | FilmAnalysis | None = None,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> Plan:
        """Write what a swap of a film to a cast would do, as a text to read, edit and `render`.

        Args:
            film: The film.
            output: The file to write, TOML.
            cast: As in `swap`. Without it each person of the film gets a role that is kept, whose
                source is yours to fill in.
            analysis: What `analyse` made of the film, or its file; without it the film is analysed
                first.
            observe: Called in this thread after each frame that is analysed.
            **parameters: As those of `swap`: those that `analyse` takes, `reference_face_distance`
                and `overwrite`. The plan keeps those of the analysis for `render`.

        Returns:
            The plan.

        Raises:
            ParameterError: A parameter or the cast is not as it must be.
            MediaError: A file cannot be read or written, or the film is a picture.
            OutputExists: The output exists and `overwrite` is False.
            NoFaceFound: The film shows no face, or a reference does not.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
        """
        allowed = (*ANALYSING, "reference_face_distance", "overwrite")
        _require_analysing(parameters, allowed)
        parsed, own = self._parse(parameters)
        people = None if cast is None else _cast_of(cast)
        target, file = path_of("film", film), path_of("output", output)
        request = Request(
            sources={},
            target=target,
            output=file,
            options=parsed.options(),
            parameters={},
            cast=people,
        )

        def check(request: Request) -> None:
            inputs = request.inputs
            check_output(file, overwrite=parsed.overwrite, inputs=inputs, suffixes=None)

        kept = {name: value for name, value in parameters.items() if name in _PLANNED}
        with ExitStack() as folders:
            tools = self._swap_tools(
                request,
                parsed,
                own,
                folders,
                analysis=analysis,
                check=check,
                observe=observe,
                always=True,
            )
            made = make_plan(request, tools, kept)
        with partial_output(file, overwrite=parsed.overwrite) as scratch:
            write_plan(made, file, scratch)
        return made

    def _decide(
        self,
        files: tuple[Location | PreparedSource | None, Location],
        cast: CastLike | Cast | None,
        parameters: Mapping[str, object],
        *,
        analysis: Location | FilmAnalysis | None,
        observe: Observe | None,
    ) -> tuple[TrackDecision, ...]:
        """Return what would be done; `files` are source and target."""
        source, target = files
        request, parsed, own = self._swap_request((source, target, target), cast, parameters)
        with ExitStack() as kept:
            tools = self._swap_tools(
                request,
                parsed,
                own,
                kept,
                analysis=analysis,
                check=_check_nothing,
                observe=observe,
            )
            return dry_run(request, tools, observe)

    def _swap_request(
        self,
        files: tuple[Location | PreparedSource | None, Location, Location],
        cast: CastLike | Cast | None,
        parameters: Mapping[str, object],
    ) -> tuple[Request, SwapParameters, Swapper[Any] | None]:
        """Return the request of a swap from file to file, its parameters and the user's swapper.

        `files` are source, target and output.
        """
        source, target, output = files
        parsed, own = self._parse(_with_prepared(source, parameters))
        people = None if cast is None else _cast_of(cast)
        request = Request(
            sources=_sources(source, people, parsed),
            target=path_of("target", target),
            output=path_of("output", output),
            options=parsed.options(),
            parameters=parsed.model_dump(mode="json"),
            cast=people,
        )
        return request, parsed, own

    def _swap_tools(
        self,
        request: Request,
        parsed: SwapParameters,
        own: Swapper[Any] | None,
        kept: ExitStack,
        *,
        analysis: Location | FilmAnalysis | None,
        check: Callable[[Request], object],
        observe: Observe | None,
        always: bool = False,
    ) -> Tools:
        """Return the networks of a request with what is known of its target.

        `check` raises an error if the request's files cannot serve; it is called before a film is
        analysed for a cast, or in any case if `always`. That analysis is among the work files; if
        none are kept, in a temporary folder, which `kept` removes.
        """
        if observe is not None:
            observe(Progress(0, None, "loading networks"))
        tools = self._tools(request, parsed, own)
        if analysis is not None:
            known = self._known_analysis(analysis, request)
            note = f"faces, tracks and hands of the target were read from {known.path}."
            tools = replace(tools, analysis=known, notes=(*tools.notes, note))
        elif always or (request.cast is not None and needs_analysis(request.cast)):
            check(request)
            if request.work is None:
                folder = kept.enter_context(TemporaryDirectory(prefix="faceswap-engine-"))
                known = self._analyse_for(request, Path(folder) / "faces", parsed, observe)
            else:
                known = self._kept_analysis(request.work, request, parsed, kept, observe)
            tools = replace(tools, analysis=known)
        if tools.analysis is not None and (always or request.cast is not None):
            tools = replace(tools, people=self.people(tools.analysis))
        return tools

    @documented
    def swap_many(
        self,
        source_image: Location | PreparedSource,
        targets: Location | Sequence[Location],
        output: Location,
        *,
        skip_existing: bool = False,
        work_dir: Location | None = None,
        work_limit: float | None = None,
        fresh: bool = False,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> Generator[BatchResult]:
        """Put one source onto many pictures and videos, and go on after an error.

        Outputs get their targets' names. A target that is a folder stands for all pictures and
        videos in it and its folders; they keep their places. Two targets whose outputs would have
        one name are refused.

        Args:
            source_image: As in `swap`.
            targets: Videos, pictures and folders.
            output: Folder of the outputs; it is made if it is missing.
            skip_existing: Leave out targets whose output is there.
            work_dir: As in `swap`, as are `work_limit` and `fresh`.
            work_limit: Most that all work files may take, in GiB.
            fresh: Ignore what interrupted swaps finished.
            observe: As in `swap`; it is told of one target after the other.
            {parameters}

        Returns:
            A generator of a result for each target, in order, with its report or its error.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range; or two
                outputs have one name, or an output is also a source or target.
            MediaError: A folder cannot be read, or holds no picture and no video.
        """
        several = [targets] if isinstance(targets, str | os.PathLike) else targets
        person = _source_of(source_image)
        parse(_with_prepared(person, parameters))
        rows = rows_of_targets(person, several, path_of("output", output), dict(parameters))
        return self.swap_batch(
            rows,
            skip_existing=skip_existing,
            work_dir=work_dir,
            work_limit=work_limit,
            fresh=fresh,
            observe=observe,
        )

    def swap_batch(
        self,
        rows: Location | Iterable[BatchRow],
        *,
        skip_existing: bool = False,
        work_dir: Location | None = None,
        work_limit: float | None = None,
        fresh: bool = False,
        observe: Observe | None = None,
    ) -> Generator[BatchResult]:
        """Swap the rows of a batch, and go on after an error.

        Args:
            rows: Rows, or a list of them: a file in CSV or TOML, see docs/batch.md.
            skip_existing: Leave out rows whose output is there.
            work_dir: As in `swap`, as are `work_limit` and `fresh`.
            work_limit: Most that all work files may take, in GiB.
            fresh: Ignore what interrupted swaps finished.
            observe: As in `swap`; it is told of one row after the other.

        Returns:
            A generator of a result for each row, in order, with its report or its error.

        Raises:
            ParameterError: The list is not valid, and every problem is named with its row; or two
                outputs have one name, or an output is also a source or target.
            MediaError: The list cannot be read.
        """
        if isinstance(rows, str | os.PathLike):
            listed = read_rows(path_of("rows", rows), source=None, folder=None, parameters={})
        else:
            listed = list(rows)
        check_rows(listed)
        swap = partial(self.swap, work_dir=work_dir, work_limit=work_limit, fresh=fresh)
        return _swap_rows(swap, listed, skip_existing=skip_existing, observe=observe)

    @documented
    def swap_image(
        self,
        source_image: Picture | PreparedSource,
        target: Picture,
        **parameters: Unpack[SwapKeywords],
    ) -> Bytes:
        """Put the face of a source onto faces of a picture, and return the swapped picture.

        The pixels are those that `swap` writes to a PNG file. The content check runs as it does
        there. No statement that the picture is synthetic goes with an array: add one where you
        publish it. What is in memory of the source lies in a private temporary file meanwhile.

        Args:
            source_image: Picture of the person to put in: an RGB array (h, w, 3) of uint8, a PIL
                image, the bytes of an image file, or a path. A path or bytes may also be a clip.
                Or what `prepare` made of it.
            target: Picture to change, in one of the same forms. Alpha is left out.
            {parameters}

        Returns:
            The swapped picture as displayed: (h, w, 3) RGB, uint8.

        Raises:
            ParameterError: An argument is no picture, or a parameter is unknown, of the wrong
                type, out of range or about files, of which none is written.
            MediaError: A file or its bytes cannot be decoded.
            NoFaceFound: The source or the reference shows no face.
            SourceUnfit: The source hides a part of its face that the swapper needs.
            WeightsError: A network that the swap needs is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
            ContentBlocked: The content check refused the source or the target.
        """
        frames = [picture_frame("target", target)]
        (swapped,) = self._swap_in_memory(source_image, "target", frames, parameters, still=True)
        return swapped.to_rgb()

    @documented
    def swap_frames(
        self,
        source_image: Picture | PreparedSource,
        frames: Iterable[Bytes | PILImage],
        *,
        frame_rate: float | Fraction = 25,
        **parameters: Unpack[SwapKeywords],
    ) -> Generator[Bytes]:
        """Put the face of a source onto faces of video frames, and yield the swapped frames.

        Faces are tracked from frame to frame, as in a video file. The source and the reference
        are read at once; frames up to the reference frame are kept in memory for that.

        Args:
            source_image: As in `swap_image`.
            frames: RGB arrays (h, w, 3) of uint8 or PIL images, all of one size and in order. They
                are read in another thread, some frames ahead, and copied: a buffer may be used
                again for the next frame.
            frame_rate: Frames per second; the content check looks at one frame in every second.
            {parameters}

        Returns:
            A generator of the swapped frames, (h, w, 3) RGB, uint8. It raises as `swap_image`
            does, also for a frame. Its `close()` ends the threads; it waits for the frame that is
            being read, and closes `frames` if that is a generator.
        """
        number = isinstance(frame_rate, Real) and not isinstance(frame_rate, bool)
        if not number or not frame_rate > 0 or not math.isfinite(frame_rate):
            raise ParameterError(f"frame_rate is {frame_rate!r}; allowed: a number above 0.")
        if not isinstance(frames, Iterable) or isinstance(frames, str | bytes):
            raise ParameterError(
                f"frames is {frames!r:.80}; allowed: an iterable of RGB arrays or PIL images; swap "
                "a file by engine.swap."
            )
        shown = video_frames(frames, frame_rate)
        swapped = self._swap_in_memory(source_image, "frames", shown, parameters, still=False)
        pictures = _pictures(frames, shown, swapped)
        next(pictures)
        return pictures

    def _swap_in_memory(
        self,
        source: Picture | PreparedSource,
        name: str,
        frames: Iterable[Frame],
        parameters: Mapping[str, object],
        *,
        still: bool,
    ) -> Generator[Frame]:
        """Yield swapped frames; `name` is that of their argument."""
        parsed, own = self._parse(_with_prepared(source, parameters))
        fields = SwapParameters.model_fields
        of_files = [each for each in parameters if panel(fields[each]) == FILES]
        if of_files:
            raise ParameterError(
                f"{', '.join(of_files)} cannot be used on pictures in memory, of which no file is "
                "written; leave it out."
            )
        with ExitStack() as files:
            if not isinstance(source, PreparedSource):
                source = files.enter_context(picture_file("source_image", source))
            request = Request(
                sources={0: Source(source, parsed.options().extra_sources)},
                target=Path(name),
                output=Path(name),
                options=parsed.options(),
                parameters=parsed.model_dump(mode="json"),
            )
            return swap_in_memory(request, self._tools(request, parsed, own), frames, still=still)

    def analyse(
        self,
        target: Location,
        output: Location,
        *,
        observe: Observe | None = None,
        **parameters: Unpack[SwapKeywords],
    ) -> FilmAnalysis:
        """Find all faces of a film once, and keep them in a file for any number of swaps.

        Args:
            target: The film.
            output: The file to write. It holds embeddings, which are biometric data; only its
                owner may read it.
            observe: Called in this thread after each frame; what it raises ends the run.
            **parameters: As those of `swap`. The faces depend on `device`, `detector`, `embedder`,
                `landmarker`, `detect_rotated` and `detect_every`; `overwrite` replaces a file.

        Returns:
            The analysis, with the tracks of the film. Age, gender and, where fairface is imported,
            race are read, so that it serves a swap with any filter.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range.
            MediaError: A file cannot be read or written, or the target is a picture.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
        """
        _require_analysing(parameters, (*ANALYSING, "overwrite"))
        parsed, _ = self._parse(parameters)
        options = parsed.options().analysis
        networks = self._networks.on(parsed.compute())
        film = path_of("target", target)
        reads: set[Need] = {"embedding", *networks.analysis.readable}
        return analyse_film(
            film,
            path_of("output", output),
            lambda: self._analysis_key(film, reads, options),
            networks.analyser(reads, options),
            networks.hand_finder(options),
            overwrite=parsed.overwrite,
            observe=observe,
        )

    def open_analysis(
        self, target: Location, analysis: Location, **parameters: Unpack[SwapKeywords]
    ) -> FilmAnalysis:
        """Return the analysis that `analyse` made of a film; the parameters are those of `analyse`.

        Raises:
            ParameterError: It is of another film, or was made by other networks or parameters.
            MediaError: A file cannot be read.
        """
        _require_analysing(parameters, ANALYSING)
        parsed, _ = self._parse(parameters)
        key = self._analysis_key(
            path_of("target", target), {"embedding"}, parsed.options().analysis
        )
        return open_analysis(path_of("analysis", analysis), key)

    def people(self, analysis: FilmAnalysis) -> tuple[Person, ...]:
        """Return the people of an analysed film, those in most frames first.

        Tracks are gathered by their embeddings. Two faces of one frame are never one person, and
        where it is unsure two groups are kept.
        """
        embedder = next(iter(analysis.key.networks.get("embedder", ())), None)
        if embedder is None:
            raise ParameterError("The analysis holds no embeddings; analyse the film again.")
        options = AnalysisOptions(embedder=embedder)
        scale = self._networks.on(Compute("cpu")).analysis.distance_scale(options)
        return find_people(analysis, scale)

    @documented
    def faces(
        self,
        target: Location,
        frame: int = 1,
        references: Sequence[Location] = (),
        **parameters: Unpack[SwapKeywords],
    ) -> FoundFaces:
        """Detect the faces of one frame, with age, gender and, if fairface is imported, race.

        The index of a face is the `reference_face_position` that a swap with the same filters,
        order and `detect_rotated` takes.

        Args:
            target: Video or picture to analyse.
            frame: Number of the frame; 1 is the first, and so is 0.
            references: Pictures of people. Distances are those to the largest face of each.
            {parameters}

        Returns:
            The frame and its faces.

        Raises:
            ParameterError: A parameter is unknown, of the wrong type or out of range, or the
                target has no such frame.
            MediaError: A file cannot be read.
            NoFaceFound: A picture in `references` shows no face.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: The device cannot be used.
        """
        if frame < 0:
            raise ParameterError(f"frame is {frame}; allowed: a whole number from 0.")
        parsed, _ = self._parse({**parameters, "reference_frame_number": frame})
        rule, analysis = parsed.options().selection, parsed.options().analysis
        pictures = [path_of("references", picture) for picture in references]
        shown = read_frame(path_of("target", target), rule.reference_frame)
        networks = self._networks.on(parsed.compute())
        with_embedding: set[Need] = {"embedding"} if pictures else set()
        knower = networks.analyser(with_embedding, analysis)
        known = [
            require_embedding(largest_face(read_image(path), knower, "references", path)[0])
            for path in pictures
        ]
        wanted = needs(rule) - {"embedding"} | with_embedding | networks.analysis.readable
        found = networks.analyser(wanted, analysis).analyse_picture(shown)
        kept = filter_faces(sort_faces(found, rule.order), rule)
        scale = networks.analysis.distance_scale(analysis)
        distances = tuple(nearest_distance(face, known, scale) if known else None for face in kept)
        return FoundFaces(shown, kept, distances)

    def calibrate(
        self,
        name: str,
        pictures: Location | Sequence[Location],
        *,
        observe: Observe | None = None,
    ) -> Calibrated:
        """Make the int8 graph of a swapper or restorer, calibrated on faces of pictures and videos.

        Loaded networks are unloaded.

        Args:
            name: Name of the imported network.
            pictures: File or folder, or several of them, that show faces like those to swap.
            observe: Called in this thread after each face that went through the network.

        Returns:
            The samples that were used, and the PSNR of int8 against fp32 on faces held out.

        Raises:
            ParameterError: The network is of another role, or no file is named.
            MediaError: A file cannot be read.
            NoFaceFound: Too few faces were found.
            WeightsError: The network is missing or corrupt, or int8 is too far from fp32.
            RuntimeUnavailable: The package onnx is not installed.
        """
        several = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
        if not isinstance(several, Iterable):
            raise ParameterError(f"pictures is {pictures!r}; allowed: a path or a list of paths.")
        paths = [path_of("pictures", picture) for picture in several]
        if not paths:
            raise ParameterError("pictures is empty; allowed: at least one file or folder.")
        networks = self._networks.on(Compute("cpu"))
        feed = networks.swapping.sample_maker(name)
        arcface = networks.arcface() if feed.needs_embedding else None
        analyser = networks.analyser((), AnalysisOptions(), arcface)
        try:
            return calibrate_network(feed, paths, self._networks.store, analyser, observe)
        finally:
            self._networks.clear()

    def _known_analysis(self, analysis: Location | FilmAnalysis, request: Request) -> FilmAnalysis:
        """Return the analysis, or that in a file, if it holds what the request needs."""
        known = analysis if isinstance(analysis, FilmAnalysis) else path_of("analysis", analysis)
        if is_image(request.target):
            raise ParameterError(
                f"analysis is of a film, and the target {request.target} is a picture; leave "
                "analysis out."
            )
        options, reads = self._analysing(request)
        return open_analysis(known, self._analysis_key(request.target, reads, options))

    def _analyse_for(
        self,
        request: Request,
        output: Path,
        parsed: SwapParameters,
        observe: Observe | None,
        *,
        overwrite: bool = False,
    ) -> FilmAnalysis:
        """Analyse the target of a request that came without an analysis."""
        networks = self._networks.on(parsed.compute())
        options, reads = self._analysing(request)
        return analyse_film(
            request.target,
            output,
            lambda: self._analysis_key(request.target, reads, options),
            networks.analyser(reads, options),
            networks.hand_finder(options),
            overwrite=overwrite,
            observe=observe,
        )

    def _analysing(self, request: Request) -> tuple[AnalysisOptions, set[Need]]:
        """Return how the target of a request is analysed, and what is read of its faces."""
        options, reads = request.options.analysis, set(frame_needs(request.options.selection))
        if request.options.source_weight != 1:  # the targets' identities are weighed, too
            options = replace(options, embedder=EMBEDDER)
            reads.add("embedding")
        return options, reads

    def _analysis_key(
        self, target: Path, reads: Collection[Need], options: AnalysisOptions
    ) -> AnalysisKey:
        """Return what an analysis that serves these needs depends on."""
        networks = self._networks.on(Compute("cpu")).analysis
        roles = {**dict(networks.names(reads, options)), "hands": HAND_NETWORKS}
        sha256 = {role: self._networks.sha256(names) for role, names in roles.items()}
        return make_key(target, options, sha256)

    def _calibration(self, names: Iterable[str]) -> str:
        """Return the records of the int8 graphs of networks."""
        store = self._networks.store
        known = {weight.name for weight in store.weights()}
        return repr([(name, calibration(store, name)) for name in names if name in known])

    def _parse(
        self, parameters: Mapping[str, object]
    ) -> tuple[SwapParameters, Swapper[Any] | None]:
        """Return the parameters, with the engine's defaults, and the user's swapper if in use."""
        if isinstance(self._swapper, str):
            own = {"device": self._device, "swapper": self._swapper}
            return parse({**own, **parameters}), None
        if "swapper" in parameters:
            return parse({"device": self._device, **parameters}), None
        own = {"device": self._device, "swapper": self._swapper.name}
        return parse({**own, **parameters}), self._swapper

    def _tools(self, request: Request, parsed: SwapParameters, own: Swapper[Any] | None) -> Tools:
        """The networks that a request needs, and no others; `own` is the caller's swapper."""
        compute, options = parsed.compute(), request.options
        networks = self._networks.on(compute)
        rule, analysis = options.selection, options.analysis
        from_clip = any(
            source.is_clip or (source.role is not None and source.extra)
            for source in request.sources.values()
        )
        chosen = networks.swapping.choose(
            parsed.swapper if own is None else own, options, from_clip=from_clip
        )
        _require_network(compute, chosen)
        if chosen.needs_target_embedding:
            _require_arcface(analysis)
        arcface = chosen.needs_embedding or chosen.needs_target_embedding
        embedder = networks.arcface() if arcface else None
        wanted = needs(rule) | frame_needs(rule)
        if chosen.compares_portraits:
            wanted |= {"embedding"}
        readers = dict(networks.analysis.names(wanted, analysis))
        if arcface:
            asked = readers.get("embedder", ())
            readers["embedder"] = tuple(dict.fromkeys((*asked, EMBEDDER)))
        used = (
            *chain.from_iterable(readers.values()),
            *chosen.names.values(),
            *networks.swapping.needed(chosen.choice.name),
        )
        scale = networks.analysis.distance_scale(analysis)
        return Tools(
            chosen=chosen,
            setup=Setup(
                swapper=chosen.choice,
                networks=chosen.names,
                readers=readers,
                weights=self._networks.sha256(used),
                device=networks.name,
            ),
            source_analyser=networks.analyser(
                ("embedding",) if chosen.compares_portraits else (),
                analysis,
                embedder if chosen.needs_embedding else None,
            ),
            reference_analyser=networks.analyser(needs(rule), analysis),
            frame_analyser=networks.analyser(
                frame_needs(rule), analysis, embedder if chosen.needs_target_embedding else None
            ),
            source_scale=DistanceScale() if chosen.needs_embedding else scale,
            source_settings=self._source_settings(parsed, own, chosen, networks),
            sources=self._sources,
            scale=scale,
            hands=networks.hand_finder(analysis),
            classifier=networks.session(CLASSIFIER) if options.content_check else None,
            threads=self._threads,
            calibration=self._calibration(used) if compute.precision == "int8" else "",
            notes=(
                *_note_unused_imports(self._networks.store),
                *chosen.notes,
                *_note_no_effect(compute, networks.name),
            ),
        )

    def _source_settings(
        self,
        parsed: SwapParameters,
        own: Swapper[Any] | None,
        chosen: ChosenNetworks,
        networks: DeviceNetworks,
    ) -> SourceSettings:
        """Return what a request's prepared source depends on besides its files."""
        options = parsed.options()
        wanted: set[Need] = {"embedding"} if chosen.compares_portraits else set()
        readers = dict(networks.analysis.names(wanted, options.analysis))
        if chosen.needs_embedding:
            readers["embedder"] = (EMBEDDER,)
        draws, name = chosen.swapper.draws_source, chosen.choice.name
        occluder = chosen.names.get("occluder") if draws else None
        checked = (CLASSIFIER,) if options.content_check else ()
        used = (
            *chain.from_iterable(readers.values()),
            *networks.swapping.needed(name),
            *(() if occluder is None else (occluder,)),
            *checked,
        )
        values: dict[str, Any] = {
            "swapper": name if own is None else OwnSwapper(own),
            "device": networks.name,
            **readers,
            "detect_rotated": options.analysis.detect_rotated,
            "occluder": occluder,
            "source_weight": options.source_weight,
            "any_source": options.any_source or not draws,
            "content_check": options.content_check,
        }
        return SourceSettings(tuple(values.items()), tuple(self._networks.sha256(used).items()))


@documented_as(Engine.swap)
def swap(
    source_image: Location | PreparedSource | None,
    target: Location,
    output: Location,
    *,
    cast: CastLike | None = None,
    analysis: Location | FilmAnalysis | None = None,
    trace: Location | None = None,
    review: Location | None = None,
    work_dir: Location | None = None,
    work_limit: float | None = None,
    fresh: bool = False,
    executor: Executor | None = None,
    observe: Observe | None = None,
    **parameters: Unpack[SwapKeywords],
) -> SwapReport:
    """Swap once, by an engine of its own; see `Engine.swap`."""
    with Engine() as engine:
        return engine.swap(
            source_image,
            target,
            output,
            cast=cast,
            analysis=analysis,
            trace=trace,
            review=review,
            work_dir=work_dir,
            work_limit=work_limit,
            fresh=fresh,
            executor=executor,
            observe=observe,
            **parameters,
        )


@documented_as(Engine.swap_image)
def swap_image(
    source_image: Picture | PreparedSource, target: Picture, **parameters: Unpack[SwapKeywords]
) -> Bytes:
    """Swap one picture in memory, by an engine of its own; see `Engine.swap_image`."""
    with Engine() as engine:
        return engine.swap_image(source_image, target, **parameters)


def _moment(frame: int | None, time: float | str | None) -> float | None:
    """Return a time in seconds; None if the frame is given by its number, or not at all.

    Raises:
        ParameterError: Both are given, or one is no such number.
    """
    if frame is not None and time is not None:
        raise ParameterError(f"frame is {frame} and time is {time}; allowed: one of them.")
    if frame is not None and (not isinstance(frame, int) or isinstance(frame, bool) or frame < 1):
        raise ParameterError(f"frame is {frame!r}; allowed: a whole number from 1.")
    if time is None:
        return None
    seconds: object = None
    with suppress(ValueError):
        seconds = parse_seconds(time)
    if (
        not isinstance(seconds, int | float)
        or isinstance(seconds, bool)
        or not 0 <= seconds < math.inf
    ):
        raise ParameterError(
            f'time is {time!r}; allowed: seconds from 0, as a number or as "HH:MM:SS.mmm".'
        )
    return float(seconds)


@lru_cache(maxsize=1)
def _worker(
    device: Device, swapper: str, threads: int, folders: tuple[Path, Path] | None
) -> Engine:
    """Return the engine of this process, whose networks stay loaded from one task to the next."""
    store = None if folders is None else WeightStore(*folders)
    return Engine(device=device, swapper=swapper, weights=store, threads=threads)


def _absolute_call(request: Request, parameters: Mapping[str, object]) -> _Call:
    """Return a call that means the same in any folder."""
    own = request.sources.get(0)
    source = None
    if request.cast is None and own is not None and isinstance(own.first, Path):
        source = own.first.absolute()
    pictures = {
        "reference_image": request.options.selection.reference_images,
        "extra_source_image": () if own is None or request.cast is not None else own.extra,
    }
    absolute = {name: [path.absolute() for path in paths] for name, paths in pictures.items()}
    given = {**parameters, **{name: paths for name, paths in absolute.items() if paths}}
    files = source, request.target.absolute(), request.output.absolute()
    cast = None if request.cast is None else request.cast.absolute()
    return files, cast, given


def render_segment(task: SegmentTask) -> None:
    """Swap one segment of a video; executors call it in their processes."""
    _worker(*task.setup)._render_segment(task)  # noqa: SLF001 - of this module


def _work_store(folder: Location | None, limit: float | None) -> WorkStore | None:
    """Return the store of work files; None to keep none.

    Raises:
        ParameterError: The limit is no number from 0.
    """
    if limit is None:
        limit = DEFAULT_LIMIT / GIB
    number = isinstance(limit, Real) and not isinstance(limit, bool)
    if not number or not limit >= 0:
        raise ParameterError(f"work_limit is {limit!r}; allowed: a number of GiB from 0.")
    if limit == 0:
        return None
    path = None if folder is None else path_of("work_dir", folder)
    return WorkStore(path, limit=round(min(limit, 2**33) * GIB))


def _pictures(
    frames: Iterable[Bytes | PILImage], shown: Generator[Frame], swapped: Generator[Frame]
) -> Generator[Bytes]:
    """Yield an empty picture, then those of swapped frames; at the end, close what they come from.

    From the first `next` on, `close` does that, too.
    """
    with ExitStack() as stages:
        if isinstance(frames, Generator):
            stages.enter_context(closing(frames))
        stages.enter_context(closing(shown))
        stages.enter_context(closing(swapped))  # first, as its threads read the others
        yield np.empty((0, 0, 3), np.uint8)
        for frame in swapped:
            yield frame.to_rgb()


def _swap_rows(
    swap: Callable[..., SwapReport],
    rows: Sequence[BatchRow],
    *,
    skip_existing: bool,
    observe: Observe | None,
) -> Generator[BatchResult]:
    raised: list[BaseException] = []

    def observe_row(progress: Progress) -> None:
        try:
            if observe is not None:
                observe(progress)
        except BaseException as stop:
            raised.append(stop)
            raise

    for row in rows:
        if skip_existing and os.path.lexists(row.output):
            yield BatchResult(row, "skipped")
            continue
        try:
            make_folder(row.output)
            report = swap(row.source, row.target, row.output, observe=observe_row, **row.parameters)
        except Exception as error:
            if raised:  # by the observer, who ends the whole run
                raise
            yield BatchResult(row, "failed", error=error)
        else:
            yield BatchResult(row, "swapped", report)


def _source_of(source: Location | PreparedSource) -> Path | PreparedSource:
    return source if isinstance(source, PreparedSource) else path_of("source_image", source)


def _with_prepared(
    source: Picture | PreparedSource | None, parameters: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the parameters, with those of a prepared source for what they do not name."""
    return {**source.parameters, **parameters} if isinstance(source, PreparedSource) else parameters


def _check_nothing(_: Request) -> None:
    """Check no file: none is written."""


def _read_plan(plan: Location) -> Plan:
    """Return a plan.

    Raises:
        ParameterError: It is not as `Plan` says, or the film is not the plan's.
        MediaError: The plan or the film cannot be read.
    """
    path = path_of("plan", plan)
    made = read_plan(path)
    if file_sha256(Path(made.film)) != made.sha256:
        raise ParameterError(
            f"{path} is a plan of another film than {made.film}: its sha256 is not that of the "
            "file. Correct film in the plan, or make the plan again with --cast PLAN."
        )
    return made


def _cast_of(cast: CastLike | Cast) -> Cast:
    """Return a cast; paths in a file are relative to its folder.

    Raises:
        ParameterError: It is not as `Cast` says.
        MediaError: The file cannot be read.
    """
    if isinstance(cast, str | os.PathLike):
        return read_cast(path_of("cast", cast))
    if isinstance(cast, Cast):
        return cast
    if isinstance(cast, Mapping):
        return validate(cast, Cast, "cast")
    if not isinstance(cast, Sequence) or isinstance(cast, bytes):
        raise ParameterError(f"cast is {cast!r:.80}; allowed: a list of roles, or a path.")
    return validate({"role": list(cast)}, Cast, "cast")


def _sources(
    source_image: Location | PreparedSource | None, cast: Cast | None, parsed: SwapParameters
) -> dict[int, Source]:
    """Return the source of each role that has one.

    Raises:
        ParameterError: There is neither a source nor a cast, or both; or a parameter has no effect
            with a cast; or a location is no path.
    """
    for picture in parsed.reference_image:
        path_of("reference_image", picture)
    extra = tuple(path_of("extra_source_image", one) for one in parsed.extra_source_image)
    if cast is None:
        if source_image is None:
            raise ParameterError(
                "source_image is None; allowed: the path of a file, or None with a cast."
            )
        if isinstance(source_image, PreparedSource):
            return {0: Source(source_image, extra)}
        return {0: Source(path_of("source_image", source_image), extra)}
    if source_image is not None:
        raise ParameterError(
            f"source_image is {source_image!r}, and a cast names the sources; leave one out."
        )
    fields = SwapParameters.model_fields
    choosing = [
        name
        for name in parsed.model_fields_set
        if panel(fields[name]) in (SELECTION, REFERENCE) and name != "reference_face_distance"
    ]
    choosing += ["extra_source_image"] if extra else []
    if choosing:
        raise ParameterError(
            f"{', '.join(sorted(choosing))} cannot be used with a cast, whose roles name people "
            "and sources; leave it out."
        )
    return {number: _role_source(role) for number, role in enumerate(cast.role) if role.source}


def _role_source(role: Role) -> Source:
    first, *extra = (path_of(f"source of {role.name}", one) for one in role.source)
    return Source(first, tuple(extra), role.name)


def _require_analysing(parameters: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Refuse parameters that have no effect on an analysis.

    Raises:
        ParameterError: One is among them.
    """
    others = sorted(set(parameters) - set(allowed))
    if others:
        raise ParameterError(
            f"{', '.join(others)} cannot be chosen for an analysis; allowed: {', '.join(allowed)}."
        )


def _require_network(compute: Compute, chosen: ChosenNetworks) -> None:
    """Raise a ParameterError if no network of the swap can run at the precision."""
    if compute.precision != Compute().precision and not chosen.takes_precision:
        raise ParameterError(
            f"precision is {compute.precision!r}, but the swapper {chosen.choice.name} has no "
            f"network to run at it; allowed: {Compute().precision}, or any with a swapper or an "
            "enhance that is a network."
        )


def _note_no_effect(compute: Compute, device: Device) -> Iterator[str]:
    if compute.precision == "fp16" and device == "cpu":
        yield "precision fp16 is no faster here: the CPU computes in fp32."
    if compute.vram is not None and device == "cpu":
        yield f"vram has no effect: the device {compute.device} is the CPU here."


def _note_unused_imports(store: WeightStore) -> Iterator[str]:
    record_error = store.import_record_error()
    if record_error:
        yield f"no imported network is used: {record_error}"


def _require_arcface(options: AnalysisOptions) -> None:
    """Raise a ParameterError if another embedder is named; source_weight needs ArcFace's."""
    if options.embedder not in (AUTO, EMBEDDER):
        raise ParameterError(
            f"source_weight blends identities as {EMBEDDER} sees them, and embedder is "
            f"{options.embedder!r}; allowed with it: {AUTO}, {EMBEDDER}."
        )
