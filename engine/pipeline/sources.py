"""Read the source person from stills and clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Never, TypeAlias

from engine.errors import NoFaceFound, SourceUnfit
from engine.faces.analyser import FaceAnalyser
from engine.faces.source_crop import cut_portrait
from engine.media.decode import read_image
from engine.media.os_errors import explain_read_errors
from engine.media.probe import is_image, probe
from engine.media.sampling import spread_frames
from engine.pipeline.prepared_source import (
    PreparedSource,
    SourceFile,
    SourceKey,
    SourceSettings,
)
from engine.pipeline.remarks import Note, note_several_faces, rotated_remedy
from engine.pipeline.report import SourcePicture
from engine.pipeline.source_views import (
    ClipPicture,
    RatedView,
    SourceView,
    choose_views,
    find_person,
    rate_expressions,
    visible_area,
)
from engine.pipeline.tools import Request, Source, Tools
from engine.swappers.mesh.source_faults import portrait_faults
from engine.trust.content import Classifier, ContentCheck
from engine.values import DistanceScale, Embedding, Face, Frame, Portrait
from engine.weights.atomic_files import sha256_of

ReportPicture: TypeAlias = Callable[[int, int | None], None]

_MAX_PICTURES = 24  # pictures of a clip that are analysed
_MAX_VIEWS = 6  # views of a clip that are used
_MAX_FACES = 8  # faces of a clip's picture among which the person is looked for


@dataclass(frozen=True, slots=True, eq=False)
class SourceViews:
    """Views of the person read from one or more files, with notes and damage of the files.

    `score` is the highest score of the content check; None if it is off.
    """

    views: tuple[SourceView, ...]
    notes: tuple[Note, ...] = ()
    damage: tuple[Note, ...] = ()
    score: float | None = None


def prepare_source(
    source: Source, request: Request, tools: Tools, report: ReportPicture
) -> PreparedSource:
    """Return the prepared source of a role: the given one, or one that is kept or made now.

    `report` is called at the beginning with (0, None), and while a clip or several files are read
    with how many of how many steps are done; an exception that it raises ends the reading.

    Raises:
        ParameterError: The given one was prepared in another way.
        MediaError: A file cannot be read.
        NoFaceFound: A file shows no face.
        SourceUnfit: All views hide a part of the face that the swapper needs, and `any_source` is
            False; or a clip shows several people.
        ContentBlocked: The content check refused a picture.
    """
    swapper = tools.chosen.swapper
    extra = source.extra if swapper.averages else ()
    report(0, None)
    if isinstance(source.first, PreparedSource):
        source.first.require_fit(tools.source_settings, extra)
        return source.first
    first, further = source.fields
    files = [(first, source.first), *((further, path) for path in extra)]
    paths = [path for _, path in files]
    key = _key(files, tools.source_settings)
    kept = tools.sources.get(key)
    if kept is not None:
        return kept.at(paths)
    made = _read_source(files, request, tools, report)
    # A file that was replaced while it was read is not the one of the key.
    if _key(files, tools.source_settings) == key:
        tools.sources.keep(key, made)
    return made


def _key(files: Sequence[tuple[str, Path]], settings: SourceSettings) -> SourceKey:
    return SourceKey(
        tuple(SourceFile(name, path.stem, _sha256(path)) for name, path in files), settings
    )


def _sha256(path: Path) -> str:
    with explain_read_errors(path):
        return sha256_of(path)


def _read_source(
    files: Sequence[tuple[str, Path]], request: Request, tools: Tools, report: ReportPicture
) -> PreparedSource:
    swapper = tools.chosen.swapper
    reader = SourceReader(
        analyser=tools.source_analyser,
        scale=tools.source_scale,
        add_bare_face=tools.add_bare_face,
        classifier=tools.classifier,
        several=swapper.averages,
        report=report,
    )
    read = reader.read(files)
    used = read.views
    if swapper.draws_source:
        # A view that hides a part of the face adds nothing to one that shows all of it.
        used = tuple(view for view in read.views if not view.hides)
        if not used and not request.options.any_source:
            _refuse_source(read.views[0], rotated_remedy(request.options.analysis))
        used = used or read.views
    return PreparedSource(
        paths=tuple(path for _, path in files),
        parameters={},
        from_clip=not is_image(files[0][1]),
        pictures=tuple(SourcePicture(view.field, view.path, view.seconds) for view in used),
        settings=tools.source_settings,
        encoded=swapper.prepare([view.portrait for view in used]),
        views=tuple(view.without_pixels() for view in read.views if view.leads),
        scale=tools.source_scale,
        score=read.score,
        file_notes=read.notes,
        damage=read.damage,
    )


def _refuse_source(view: SourceView, rotated: str) -> Never:
    fault = view.faults[0]
    raise SourceUnfit(
        f"{view.where} {fault.words}; {fault.remedy}{rotated}, or go on with this one "
        "by any_source."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReader:
    """Reads views of the source person from files.

    Attributes:
        analyser: finds faces.
        scale: distance scale of the analyser's embedder.
        add_bare_face: returns a portrait with the mask of its bare face.
        classifier: content check; None if it is off.
        several: use several views of a clip.
        report: called with the steps that are done and their number; an exception that it raises
            ends the reading.
    """

    analyser: FaceAnalyser
    scale: DistanceScale
    add_bare_face: Callable[[Portrait], Portrait]
    classifier: Classifier | None
    several: bool
    report: ReportPicture

    def read(self, files: Sequence[tuple[str, Path]]) -> SourceViews:
        """Return the views of all files in the order of `files`, pairs of parameter and path.

        Stills are read first: clips are searched for the person of the first still.

        Raises:
            MediaError: A file cannot be read.
            NoFaceFound: A file shows no face.
            SourceUnfit: A clip shows several people, and nobody in most of its pictures.
            ContentBlocked: The content check refused a picture.
        """
        stills = {place: is_image(path) for place, (_, path) in enumerate(files)}
        by_place: dict[int, SourceViews] = {}
        known: Embedding | None = None
        for done, place in enumerate(sorted(stills, key=lambda place: (not stills[place], place))):
            if done:
                self.report(done, len(files))
            field, path = files[place]
            if stills[place]:
                by_place[place] = self._read_still(field, path)
            else:
                by_place[place] = self._read_clip(field, path, known)
            if known is None:
                known = by_place[place].views[0].portrait.face.embedding
        read = [by_place[place] for place in range(len(files))]
        return SourceViews(
            tuple(view for file in read for view in file.views),
            tuple(note for file in read for note in file.notes),
            tuple(damage for file in read for damage in file.damage),
            max((file.score for file in read if file.score is not None), default=None),
        )

    def _read_still(self, field: str, path: Path) -> SourceViews:
        damage: list[Note] = []
        frame = read_image(path, warn=partial(_note, damage, path))
        check = self._content_check(path)
        if check is not None:
            check.check_frame(frame)
        face, notes = largest_face(frame, self.analyser, field, path)
        portrait = self.add_bare_face(cut_portrait(path.stem, frame, face))
        view = SourceView(field, path, portrait, portrait_faults(portrait))
        return SourceViews((view,), notes, tuple(damage), _highest(check))

    def _read_clip(self, field: str, path: Path, known: Embedding | None) -> SourceViews:
        damage: list[Note] = []
        frames = spread_frames(path, probe(path), _MAX_PICTURES, warn=partial(_note, damage, path))
        check = self._content_check(path)
        count = "1 picture" if len(frames) == 1 else f"{len(frames)} pictures"
        analysed: list[ClipPicture] = []
        steps = 2 * len(frames)  # Each picture is analysed, and each of the person rated.
        for frame in frames:
            if check is not None:
                check.check_frame(frame)
            analysed.append(self._analyse_picture(frame, frames[0]))
            self.report(len(analysed), steps)
        pictures = [picture for picture in analysed if picture.faces]
        if not pictures:
            raise NoFaceFound(
                f"No face was found in {field} {path}, in {count} spread over it; choose a "
                f"clip that shows one clearly{rotated_remedy(self.analyser.options)}."
            )
        person, others = find_person(pictures, known, self.scale, f"{field} {path}")
        rated: list[RatedView] = []
        for picture, face in person:
            rated.append(self._rate_view(field, path, picture, face))
            self.report(steps - len(person) + len(rated), steps)
        chosen = choose_views(rate_expressions(rated), _MAX_VIEWS if self.several else 1)
        views = tuple(replace(one.view, leads=one is chosen[0]) for one in chosen)
        at = ", ".join(f"{view.seconds:.2f} s" for view in views)
        notes = [Note(path, f"is a video: of {count} that were looked at, taken: {at}.")]
        if others:
            notes.append(Note(path, "shows other people beside the one who is taken."))
        return SourceViews(views, tuple(notes), tuple(damage), _highest(check))

    def _content_check(self, path: Path) -> ContentCheck | None:
        return None if self.classifier is None else ContentCheck(self.classifier, str(path))

    def _analyse_picture(self, frame: Frame, first: Frame) -> ClipPicture:
        seconds = round(float((frame.pts - first.pts) * frame.time_base), 3)
        faces = self.analyser.analyse_picture(frame)
        largest = sorted(faces, key=lambda face: visible_area(face, frame), reverse=True)
        return ClipPicture(frame, seconds, tuple(largest[:_MAX_FACES]))

    def _rate_view(self, field: str, path: Path, picture: ClipPicture, face: Face) -> RatedView:
        name = f"{path.stem} at {picture.seconds:.2f} s"
        portrait = self.add_bare_face(cut_portrait(name, picture.frame, face))
        faults = portrait_faults(portrait)
        return RatedView.of(SourceView(field, path, portrait, faults, picture.seconds))


def _highest(check: ContentCheck | None) -> float | None:
    return None if check is None else check.highest


def _note(notes: list[Note], path: Path, sentence: str) -> None:
    """Add the note of a sentence that begins with the path."""
    notes.append(Note(path, sentence.removeprefix(f"{path} ")))


def largest_face(
    frame: Frame, analyser: FaceAnalyser, field: str, path: Path
) -> tuple[Face, tuple[Note, ...]]:
    """Return the clearest large face of a picture, and a note if there are several faces.

    Raises:
        NoFaceFound: There is none; `field` and `path` name the picture.
    """
    faces = analyser.analyse_picture(frame)
    if not faces:
        raise NoFaceFound(
            f"No face was found in {field} {path}; choose a picture that shows one "
            f"clearly{rotated_remedy(analyser.options)}."
        )
    face = max(faces, key=lambda face: visible_area(face, frame))
    return face, tuple(note_several_faces(path, face, faces, "the largest clear one is taken,"))
