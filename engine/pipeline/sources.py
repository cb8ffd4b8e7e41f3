"""Read the source person from stills and clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Never

from engine.errors import NoFaceFound, SourceUnfit
from engine.faces.analyser import FaceAnalyser
from engine.faces.source_crop import cut_portrait
from engine.media.decode import read_image
from engine.media.probe import is_image, probe
from engine.media.sampling import spread_frames
from engine.pipeline.remarks import (
    note_several_faces,
    rotated_remedy,
    warn_of_faults,
    warn_of_other_people,
)
from engine.pipeline.source_views import (
    ClipPicture,
    RatedView,
    SourceView,
    choose_views,
    find_person,
    rate_expressions,
    visible_area,
)
from engine.pipeline.tools import Request, Tools
from engine.swappers.mesh.source_faults import portrait_faults
from engine.trust.content import Classifier, ContentCheck
from engine.values import DistanceScale, Embedding, Face, Frame, Portrait

_MAX_PICTURES = 24  # pictures of a clip that are analysed
_MAX_VIEWS = 6  # views of a clip that are used
_MAX_FACES = 8  # faces of a clip's picture among which the person is looked for


@dataclass(frozen=True, slots=True, eq=False)
class SourceViews:
    """Views of the person read from one or more files, with notes and warnings about them.

    `score` is the highest score of the content check; None if it is off.
    """

    views: tuple[SourceView, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    score: float | None = None


def read_sources(request: Request, tools: Tools, report: Callable[[], None]) -> SourceViews:
    """Read the source and, if the swapper uses several portraits, the extra sources.

    `report` is called at each picture of a clip; an exception that it raises ends the reading.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: A file shows no face.
        SourceUnfit: All views hide a part of the face that the swapper needs, and `any_source` is
            False; or a clip shows several people.
        ContentBlocked: The content check refused a picture.
    """
    swapper = tools.chosen.swapper
    files = [("source_image", request.source)]
    if swapper.averages:
        files += (("extra_source_image", path) for path in request.options.extra_sources)
    reader = SourceReader(
        analyser=tools.source_analyser,
        scale=tools.source_scale,
        add_bare_face=tools.add_bare_face,
        classifier=tools.classifier,
        several=swapper.averages,
        report=report,
    )
    read = reader.read(files)
    read = replace(
        read,
        warnings=(
            *read.warnings,
            *warn_of_other_people(read.views, tools.source_scale),
            *warn_of_faults(read.views),
        ),
    )
    if not swapper.draws_source:
        return read
    # A view that hides a part of the face adds nothing to one that shows all of it.
    fit = tuple(view for view in read.views if not view.hides)
    if not fit and not request.options.any_source:
        _refuse_source(read.views[0], rotated_remedy(request.options.analysis))
    return replace(read, views=fit or read.views)


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
        report: called at each picture; an exception that it raises ends the reading.
    """

    analyser: FaceAnalyser
    scale: DistanceScale
    add_bare_face: Callable[[Portrait], Portrait]
    classifier: Classifier | None
    several: bool
    report: Callable[[], None]

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
        for place in sorted(stills, key=lambda place: (not stills[place], place)):
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
            tuple(warning for file in read for warning in file.warnings),
            max((file.score for file in read if file.score is not None), default=None),
        )

    def _read_still(self, field: str, path: Path) -> SourceViews:
        damage: list[str] = []
        frame = read_image(path, warn=damage.append)
        score = self._check_content(path, [frame])
        face, notes = largest_face(frame, self.analyser, field, path)
        portrait = self.add_bare_face(cut_portrait(path.stem, frame, face))
        view = SourceView(field, path, portrait, portrait_faults(portrait))
        return SourceViews((view,), notes, tuple(damage), score)

    def _read_clip(self, field: str, path: Path, known: Embedding | None) -> SourceViews:
        damage: list[str] = []
        frames = spread_frames(path, probe(path), _MAX_PICTURES, warn=damage.append)
        score = self._check_content(path, frames)
        count = "1 picture" if len(frames) == 1 else f"{len(frames)} pictures"
        analysed = [self._analyse_picture(frame, frames[0]) for frame in frames]
        pictures = [picture for picture in analysed if picture.faces]
        if not pictures:
            raise NoFaceFound(
                f"No face was found in {field} {path}, in {count} spread over it; choose a "
                f"clip that shows one clearly{rotated_remedy(self.analyser.options)}."
            )
        person, others = find_person(pictures, known, self.scale, f"{field} {path}")
        rated = [self._rate_view(field, path, picture, face) for picture, face in person]
        chosen = choose_views(rate_expressions(rated), _MAX_VIEWS if self.several else 1)
        views = tuple(replace(one.view, leads=one is chosen[0]) for one in chosen)
        at = ", ".join(f"{view.seconds:.2f} s" for view in views)
        notes = [f"{path} is a video: of {count} that were looked at, taken: {at}."]
        if others:
            notes.append(f"{path} shows other people beside the one who is taken.")
        return SourceViews(views, tuple(notes), tuple(damage), score)

    def _check_content(self, path: Path, frames: Sequence[Frame]) -> float | None:
        """Return the content check's highest score of some frames; None if it is off."""
        if self.classifier is None:
            return None
        check = ContentCheck(self.classifier, str(path))
        for frame in frames:
            self.report()
            check.check_frame(frame)
        return check.highest

    def _analyse_picture(self, frame: Frame, first: Frame) -> ClipPicture:
        self.report()
        seconds = round(float((frame.pts - first.pts) * frame.time_base), 3)
        faces = self.analyser.analyse_picture(frame)
        largest = sorted(faces, key=lambda face: visible_area(face, frame), reverse=True)
        return ClipPicture(frame, seconds, tuple(largest[:_MAX_FACES]))

    def _rate_view(self, field: str, path: Path, picture: ClipPicture, face: Face) -> RatedView:
        self.report()
        name = f"{path.stem} at {picture.seconds:.2f} s"
        portrait = self.add_bare_face(cut_portrait(name, picture.frame, face))
        faults = portrait_faults(portrait)
        return RatedView.of(SourceView(field, path, portrait, faults, picture.seconds))


def largest_face(
    frame: Frame, analyser: FaceAnalyser, field: str, path: Path
) -> tuple[Face, tuple[str, ...]]:
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
