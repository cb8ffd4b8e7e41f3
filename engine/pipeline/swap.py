"""One swap from its files to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Never, TypeAlias

from engine.analysis.film_analysis import FilmAnalysis
from engine.compose.limiter import BareFaceFinder, Limiter
from engine.enhance.enhancer import Enhancer
from engine.errors import MediaError, SourceUnfit
from engine.faces.analyser import FaceAnalyser
from engine.faces.hands import HandFinder
from engine.media.decode import read_frame, read_frames, read_image
from engine.media.encode import write_video
from engine.media.output_file import IMAGE_SUFFIXES, check_output
from engine.media.probe import is_image, probe
from engine.media.sampling import sampled_frames
from engine.media.still import write_image
from engine.options import SwapOptions, Trim
from engine.pipeline.crop_sizes import CropSizes
from engine.pipeline.report import (
    Content,
    Reference,
    Selection,
    SourcePicture,
    StageSeconds,
    SwapReport,
)
from engine.pipeline.sources import (
    SourceReader,
    SourceView,
    SourceViews,
    embedding_of,
    note_several_faces,
    warn_of_faults,
    warn_of_other_people,
)
from engine.pipeline.stages import FaceSwap, add_bare_face, plan_frames
from engine.pipeline.threads import Stopwatch
from engine.pipeline.unused_options import unused_option_notes
from engine.pipeline.video import Progress, Stage, SwapCounter, Threads, swapped_frames
from engine.selection import choose_faces, find_reference_face, nearest_distance
from engine.swappers.swapper import Swapper
from engine.trust.content import LIMIT, PREVIEWED, SAMPLE_SECONDS, Classifier, ContentCheck
from engine.trust.provenance import provenance_tags
from engine.values import (
    Analysed,
    Attributes,
    Choice,
    DistanceScale,
    Embedding,
    Face,
    Frame,
    Planned,
    Portrait,
    VideoInfo,
)

Observe: TypeAlias = Callable[[Progress], None]

_MAX_FADED = 0.1  # of the chosen faces: if more faded, the output will not be what was hoped for


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be swapped; `parameters` are the public ones, for the report."""

    source: Path
    target: Path
    output: Path
    options: SwapOptions
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What it is swapped with. The analysers differ in what they read off the faces.

    `portraits` finds faces and reads what the swapper takes of them, `references` reads what names
    the reference face, `frames` what each frame's selection needs; `hands` finds what is before
    them. `calibration` is that of the references' and the frames' embedder, `portrait_calibration`
    that of the portraits'. `classifier` is None where the content check is off.

    `analysis` holds the target's faces, where they were found before; the frames' are not found
    again then.

    `networks` names what works on faces besides the swapper, `readers` what finds and reads them,
    both by parameter; `weights` holds the sha256 of the networks among all of these. `sides` are
    the crops' sides that may be taken, `at_once` is how many frames are swapped together, and
    `notes` tell of the networks.
    """

    swapper: Swapper[Any]
    choice: Choice
    occluder: BareFaceFinder | None
    limiters: tuple[Limiter, ...]
    enhancer: Enhancer | None
    networks: Mapping[str, str]
    readers: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, str]
    sides: tuple[int, ...]
    at_once: int
    notes: tuple[str, ...]
    device: str
    portraits: FaceAnalyser
    references: FaceAnalyser
    frames: FaceAnalyser
    calibration: DistanceScale
    portrait_calibration: DistanceScale
    hands: HandFinder
    classifier: Classifier | None
    threads: Threads
    analysis: FilmAnalysis | None = None

    def uncovered(self, portrait: Portrait) -> Portrait:
        """Return the portrait with the mask of its bare face; as it is without an occluder."""
        if self.occluder is None or not self.swapper.draws_source:
            return portrait
        return add_bare_face(portrait, self.occluder, self.swapper.template)


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """The reference faces: their embeddings, and what the report says of them."""

    embeddings: tuple[Embedding, ...] = ()
    references: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()


def run_swap(request: Request, tools: Tools, observe: Observe | None = None) -> SwapReport:
    """Does the swap and reports on it; on any error there is no output.

    Raises:
        MediaError: A file cannot be read or written, or the output exists.
        NoFaceFound: The source or the reference shows no face.
        SourceUnfit: The source hides a part of its face that the swapper needs.
        ContentBlocked: The content check refused the source or the target.
    """
    began = time.perf_counter()
    options, rule = request.options, request.options.selection
    info = probe(request.target)
    check_output(
        request.output,
        overwrite=options.overwrite,
        inputs=(
            request.source,
            *options.extra_sources,
            request.target,
            *rule.reference_images,
        ),
    )
    _check_kind(request, info)
    begin = partial(_report_stage, observe)
    begin("reading the source")
    sources = read_sources(request, tools, observe)
    target_check = _content_check(tools.classifier, request.target)
    if target_check is not None and info.kind == "video":
        begin("checking content")
        target_check.preview(
            sampled_frames(
                request.target,
                options.trim,
                duration=info.duration,
                every=SAMPLE_SECONDS,
                most=PREVIEWED,
            )
        )
    if rule.mode == "reference":
        begin("finding the reference")
    known = find_references(request, tools.references)
    source = tools.swapper.prepare([view.portrait for view in sources.views])
    used = tuple(SourcePicture(view.field, view.path, view.seconds) for view in sources.views)
    sources = replace(sources, views=())  # their pictures are not to be held while all frames go by
    swap = FaceSwap(
        tools.swapper,
        source,
        tools.occluder,
        tools.limiters,
        options.limits.match_colour,
        tools.enhancer,
    )
    run = _Run(
        request=request,
        tools=tools,
        choose=partial(
            choose_faces, rule=rule, references=known.embeddings, calibration=tools.calibration
        ),
        swap=swap,
        check=target_check,
        tally=SwapCounter(
            partial(nearest_distance, references=known.embeddings, calibration=tools.calibration)
            if known.embeddings
            else None
        ),
        watch=Stopwatch(),
        provenance=provenance_tags(
            ", ".join((tools.choice.name, *tools.networks.values())),
            content_checked=target_check is not None,
        ),
    )
    warnings = run.picture(begin) if info.kind == "image" else run.video(info, observe)
    warnings = (*sources.warnings, *warnings)
    tally = run.tally
    if not tally.faces_chosen:
        warnings = (*warnings, _warn_of_nothing_swapped(tally, options))
    elif tally.faces_faded > _MAX_FADED * tally.faces_chosen:
        warnings = (*warnings, _warn_of_faded(tally, tools))
    return SwapReport(
        output=request.output,
        kind=info.kind,
        frames=tally.frames,
        faces_seen=tally.faces_seen,
        faces_swapped=tally.faces_swapped,
        faces_faded=tally.faces_faded,
        frames_with_swap=tally.frames_with_swap,
        seconds=time.perf_counter() - began,
        stage_seconds=StageSeconds(**run.watch.seconds),
        swapper=tools.choice,
        networks=tools.networks,
        readers=tools.readers,
        weights=tools.weights,
        device=tools.device,
        selection=Selection(
            mode=rule.mode,
            references=known.references,
            distance_limit=rule.reference_distance if known.embeddings else None,
            smallest_accepted=tally.smallest_accepted,
            mean_accepted=tally.mean_accepted,
            nearest_rejected=tally.nearest_rejected,
        ),
        sources=used,
        content=_content_report(sources.score, target_check),
        notes=tuple(
            dict.fromkeys(
                (
                    *tools.notes,
                    *sources.notes,
                    *known.notes,
                    *unused_option_notes(
                        options,
                        info.kind,
                        averages=tools.swapper.averages,
                        draws_source=tools.swapper.draws_source,
                    ),
                )
            )
        ),
        warnings=warnings,
        parameters=_effective_parameters(request, tools),
    )


def _report_stage(
    observe: Observe | None, stage: Stage, done: int = 0, total: int | None = None
) -> None:
    if observe is not None:
        observe(Progress(done, total, stage))


def read_sources(request: Request, tools: Tools, observe: Observe | None = None) -> SourceViews:
    """The views of the source and, if the swapper averages, those of the extra pictures.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: A file shows none.
        SourceUnfit: The swapper needs what all views hide, and `any_source` is False; or a clip
            does not tell whom it shows.
        ContentBlocked: The content check refused a picture.
    """
    given = [("source_image", request.source)]
    if tools.swapper.averages:
        given += (("extra_source_image", path) for path in request.options.extra_sources)
    reader = SourceReader(
        analyser=tools.portraits,
        calibration=tools.portrait_calibration,
        uncovered=tools.uncovered,
        classifier=tools.classifier,
        several=tools.swapper.averages,
        each=partial(_report_stage, observe, "reading the source"),
    )
    seen = reader.read(given)
    warned = (
        *warn_of_other_people(seen.views, tools.portrait_calibration),
        *warn_of_faults(seen.views),
    )
    seen = replace(seen, warnings=(*seen.warnings, *warned))
    if not tools.swapper.draws_source:
        return seen
    # Beside a view that hides no part of the face, one that does is of no use.
    fit = tuple(view for view in seen.views if not view.hides)
    if not fit and not request.options.any_source:
        _refuse_source(seen.views[0])
    return replace(seen, views=fit or seen.views)


def _effective_parameters(request: Request, tools: Tools) -> Mapping[str, Any]:
    """The public parameters, with the boost that was taken where none was asked for."""
    if request.options.pixel_boost in (None, *tools.sides):
        return request.parameters
    (side,) = tools.sides
    return {**request.parameters, "pixel_boost": f"{side}x{side}"}


def _refuse_source(view: SourceView) -> Never:
    fault = view.faults[0]
    raise SourceUnfit(
        f"{view.where} {fault.words}; {fault.remedy}, or go on with this one by any_source "
        "(`--any-source`)."
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    """The part of a swap that touches every frame."""

    request: Request
    tools: Tools
    choose: Callable[[tuple[Face, ...]], tuple[Face, ...]]
    swap: FaceSwap[Any]
    check: ContentCheck | None
    tally: SwapCounter
    watch: Stopwatch
    provenance: Mapping[str, str]

    def plan(self, stream: Iterable[Analysed]) -> Iterator[Planned]:
        """The frames with the faces that are chosen, and how large each is swapped."""
        sizes = CropSizes(self.tools.sides, self.tools.swapper.template)
        return sizes.assign(plan_frames(stream, self.choose))

    def video(self, info: VideoInfo, observe: Observe | None) -> tuple[str, ...]:
        """Swap a video; returns what to warn of."""
        request, options = self.request, self.request.options
        warnings: list[str] = []
        total = expected_frames(info, options.trim)

        def tell(done: int) -> None:
            if observe is not None:
                observe(Progress(done, total))

        def told_at_the_end(frames: Iterable[Frame]) -> Iterator[Frame]:
            yield from frames
            _report_stage(observe, "writing", self.tally.frames, total)

        tell(0)
        frames = swapped_frames(
            read_frames(request.target, options.trim, warn=warnings.append),
            self._analyse,
            self.plan,
            self.swap,
            tally=self.tally,
            watch=self.watch,
            workers=self.tools.threads.workers,
            at_once=self.tools.at_once,
        )
        with self.watch.stage("encode"), closing(frames):
            written = write_video(
                told_at_the_end(self.watch.timed(None, frames)),
                request.output,
                like=request.target,
                options=options.encode,
                trim=options.trim,
                overwrite=options.overwrite,
                observe=tell,
                provenance=self.provenance,
            )
        return (*warnings, *written.warnings)

    def picture(self, begin: Callable[[Stage], None]) -> tuple[str, ...]:
        """Swap a still picture; returns what to warn of."""
        request = self.request
        warnings: list[str] = []
        begin("swapping")
        with self.watch.stage("decode"):
            frame = read_image(request.target, warn=warnings.append)
        with self.watch.stage("analyse"):
            if self.check is not None:
                self.check.look(frame)
            faces = self.tools.frames.analyse_picture(frame)
            hands = self.tools.hands.find(frame, self.choose(faces))
        planned = [self.tally.count(shot) for shot in self.plan([Analysed(frame, faces, hands)])]
        with self.watch.stage("swap"):
            (result,) = map(self.tally.count_swapped, self.swap(planned))
        begin("writing")
        with self.watch.stage("encode"):
            written = write_image(
                result,
                request.output,
                like=request.target,
                overwrite=request.options.overwrite,
                provenance=self.provenance,
                metadata=request.options.encode.metadata,
            )
        return (*warnings, *written.warnings)

    def _analyse(self, frames: Iterable[Frame]) -> Iterator[Analysed]:
        guarded = frames if self.check is None else self.check.guard(frames)
        if self.tools.analysis is not None:
            return self.tools.analysis.replay(guarded)
        return self.tools.hands.add_hands(self.tools.frames.analyse(guarded), self.choose)


def find_references(request: Request, analyser: FaceAnalyser) -> References:
    """The reference faces of a request: one of each of its pictures, else of its reference frame.

    Order, filters and position name the face in either.

    Raises:
        NoFaceFound: A picture shows none, or the frame shows none that the rule accepts.
        ParameterError: The target has no such frame.
    """
    rule = request.options.selection
    if rule.mode != "reference":
        return References()
    if not rule.reference_images:
        number = rule.reference_frame
        frame = read_frame(request.target, number)
        where = f"frame {number} of {request.target}"
        face = find_reference_face(analyser.analyse_picture(frame), rule, where=where)
        return References((embedding_of(face),), (_reference(where, face),))
    known: list[Face] = []
    notes: list[str] = []
    for path in rule.reference_images:
        faces = analyser.analyse_picture(read_image(path, warn=notes.append))
        face = find_reference_face(faces, rule, where=f"reference_image {path}")
        known.append(face)
        notes += (*_note_video(path), *note_several_faces(path, face, faces, "the one taken is"))
    return References(
        tuple(map(embedding_of, known)),
        tuple(map(_reference, map(str, rule.reference_images), known)),
        tuple(notes),
    )


def expected_frames(info: VideoInfo, trim: Trim) -> int | None:
    """How many frames there will be, as far as the container tells; of a part, an estimate."""
    if info.frame_count is None or (trim.start is None and trim.end is None):
        return info.frame_count
    length = info.frame_count / float(info.frame_rate)
    start = min(trim.start or 0.0, length)
    end = length if trim.end is None else min(trim.end, length)
    return max(1, round((end - start) * float(info.frame_rate)))


def _check_kind(request: Request, info: VideoInfo) -> None:
    goes_to_picture = request.output.suffix.lower() in IMAGE_SUFFIXES
    if goes_to_picture and info.kind == "video":
        raise MediaError(
            f"The target {request.target} is a video, but the output {request.output} is named as "
            "a picture; choose a name that ends in .mp4 or .mkv, for example."
        )
    if not goes_to_picture and info.kind == "image":
        raise MediaError(
            f"The target {request.target} is a picture, but the output {request.output} is not "
            f"named as one; choose a name that ends in one of {', '.join(IMAGE_SUFFIXES)}."
        )


def _note_video(path: Path) -> tuple[str, ...]:
    """A note where a video was given for a picture."""
    return () if is_image(path) else (f"{path} is a video; its first picture is taken.",)


def _reference(where: str, face: Face) -> Reference:
    return Reference(where, face.box, face.score, face.attributes or Attributes())


def _content_check(classifier: Classifier | None, what: Path) -> ContentCheck | None:
    return None if classifier is None else ContentCheck(classifier, str(what))


def _content_report(source_score: float | None, target: ContentCheck | None) -> Content:
    if target is None:
        return Content(checked=False, limit=LIMIT, sample_seconds=SAMPLE_SECONDS)
    return Content(
        checked=True,
        limit=LIMIT,
        sample_seconds=SAMPLE_SECONDS,
        source_score=source_score,
        target_score=target.highest,
        target_previewed=target.looks_before,
        target_samples=target.looks - target.looks_before,
    )


def _warn_of_faded(tally: SwapCounter, tools: Tools) -> str:
    """Why the output shows chosen faces as they were."""
    lead = "" if tally.faces_swapped else "No face was swapped: "
    limiting = [name for field, name in tools.networks.items() if field != "enhance"]
    also = f", or {' and '.join(limiting)} leaves nothing of the swap" if limiting else ""
    return (
        f"{lead}{tally.faces_faded} of {tally.faces_chosen} chosen faces stay as they were, as "
        f"they are turned too far from the camera for the swapper {tools.choice.name}, their mesh "
        f"does not fit, or hands cover them{also}."
    )


def _warn_of_nothing_swapped(tally: SwapCounter, options: SwapOptions) -> str:
    """Why the output shows every face as it was."""
    frames = "the picture" if tally.frames == 1 else f"any of the {tally.frames} frames"
    if not tally.faces_seen:
        return f"No face was swapped: none was found in {frames}."
    if tally.nearest_rejected is not None:
        return (
            f"No face was swapped: the nearest in {frames} is at a distance of "
            f"{tally.nearest_rejected:.2f} to the reference, and reference_face_distance is "
            f"{options.selection.reference_distance:g}."
        )
    return f"No face was swapped: none in {frames} passes the filters."
