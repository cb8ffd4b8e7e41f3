"""Pictures of the person to put in, from stills and from clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import NoFaceFound, SourceUnfit
from engine.faces.analyser import FaceAnalyser
from engine.faces.source_crop import cut_portrait
from engine.geometry.mesh_topology import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
)
from engine.geometry.shape import facing, frontal, turned
from engine.media.decode import read_image
from engine.media.probe import is_image, probe
from engine.media.sampling import spread_frames
from engine.swappers.mesh.source_faults import Fault, portrait_faults, sharpness
from engine.trust.content import Classifier, ContentCheck
from engine.values import DistanceScale, Embedding, Face, Frame, Points, Portrait

MAX_PERSON_DISTANCE: Final = (
    0.8  # in ArcFace's space two pictures of one person are hardly ever further apart
)

_MAX_PICTURES = 24  # pictures of a clip, at most
_MAX_VIEWS = 6  # of them, at most
_MAX_FACES = 8  # faces of a picture of a clip, among whom the person is looked for
_MAX_SAME_DISTANCE = 0.6  # distance up to which a face of a clip is taken for the person's
_MIN_PERSON_SHARE = (
    0.5  # of a clip's pictures whose faces tell people apart, that must show the person
)
_MAX_TELLING_TURN = 35.0  # degrees up to which a face's embedding tells people apart
_FRONT_TOLERANCE = (
    10.0  # degrees beyond the least turned view, within which the first one is chosen
)
_FULL_ANGLE = 25.0  # degrees between two views that show different sides of a face
_MIN_WORTH = 0.4  # of the first view's quality, that a further one must add
_FULL_SHARPNESS = 0.9  # sharpness that is as good as any
_FULL_WIDTH = 256.0  # pixels of a face's width that are as good as any
_EXPRESSION_POINTS = (*LEFT_BROW, *RIGHT_BROW, *LEFT_EYE, *RIGHT_EYE, *OUTER_LIPS, *INNER_LIPS)
_CALM_MOTION = 0.012  # of the template's side, by which they move in a calm face
_FAULT_FACTOR = 0.5  # of a view's quality that each fault leaves


@dataclass(frozen=True, slots=True, eq=False)
class SourceView:
    """A picture of the person: the file it is of, and what is wrong with it.

    `seconds` tells where in a clip it is, `leads` whether it is the best of its file.
    """

    field: str
    path: Path
    portrait: Portrait
    faults: tuple[Fault, ...]
    seconds: float | None = None
    leads: bool = True

    @property
    def where(self) -> str:
        """The file, and the place in it, in words."""
        at = "" if self.seconds is None else f" (at its best at {self.seconds:.2f} s)"
        return f"{self.field} {self.path}{at}"

    @property
    def hides(self) -> bool:
        """Whether it hides a part of the face that a swapper which draws it needs."""
        return any(fault.hides for fault in self.faults)


@dataclass(frozen=True, slots=True, eq=False)
class SourceViews:
    """The views that one or more files gave, and what is to be said of these."""

    views: tuple[SourceView, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    score: float | None = None  # the content check's highest, if it ran


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReader:
    """Reads views of the person from files.

    `uncovered` adds what covers a portrait's face. `several` tells whether more than one view of a
    clip is of use. `each` is called at every picture; what it raises ends the reading.
    """

    analyser: FaceAnalyser
    calibration: DistanceScale
    uncovered: Callable[[Portrait], Portrait]
    classifier: Classifier | None
    several: bool
    each: Callable[[], None]

    def read(self, given: Sequence[tuple[str, Path]]) -> SourceViews:
        """The views of all files, in their order.

        Stills are read first: the person of the first is the one whom clips are searched for.

        Raises:
            MediaError: A file cannot be read.
            NoFaceFound: A file shows none.
            SourceUnfit: A clip shows several people, and nobody in most of its pictures.
            ContentBlocked: The content check refused a picture.
        """
        stills = {place: is_image(path) for place, (_, path) in enumerate(given)}
        found: dict[int, SourceViews] = {}
        known: Embedding | None = None
        for place in sorted(stills, key=lambda place: (not stills[place], place)):
            field, path = given[place]
            if stills[place]:
                found[place] = self._still(field, path)
            else:
                found[place] = self._clip(field, path, known)
            if known is None:
                known = found[place].views[0].portrait.face.embedding
        read = [found[place] for place in range(len(given))]
        return SourceViews(
            tuple(view for one in read for view in one.views),
            tuple(note for one in read for note in one.notes),
            tuple(sentence for one in read for sentence in one.warnings),
            max((one.score for one in read if one.score is not None), default=None),
        )

    def _still(self, field: str, path: Path) -> SourceViews:
        damage: list[str] = []
        picture = read_image(path, warn=damage.append)
        score = self._checked(path, [picture])
        face, several = largest_face(picture, self.analyser, field, path)
        portrait = self.uncovered(cut_portrait(path.stem, picture, face))
        view = SourceView(field, path, portrait, portrait_faults(portrait))
        return SourceViews((view,), several, tuple(damage), score)

    def _clip(self, field: str, path: Path, known: Embedding | None) -> SourceViews:
        damage: list[str] = []
        frames = spread_frames(path, probe(path), _MAX_PICTURES, warn=damage.append)
        score = self._checked(path, frames)
        looked_at = "1 picture" if len(frames) == 1 else f"{len(frames)} pictures"
        shots = [shot for frame in frames if (shot := self._shot(frame, frames[0])).faces]
        if not shots:
            raise NoFaceFound(
                f"No face was found in {field} {path}, in {looked_at} spread over it; choose a "
                "clip that shows one clearly."
            )
        person, others = find_person(shots, known, self.calibration, f"{field} {path}")
        sights = rate_expressions([self._sight(field, path, shot, face) for shot, face in person])
        chosen = choose_views(sights, _MAX_VIEWS if self.several else 1)
        views = tuple(replace(sight.view, leads=sight is chosen[0]) for sight in chosen)
        at = ", ".join(f"{view.seconds:.2f} s" for view in views)
        notes = [f"{path} is a video: of {looked_at} that were looked at, taken: {at}."]
        if others:
            notes.append(f"{path} shows other people beside the one who is taken.")
        return SourceViews(views, tuple(notes), tuple(damage), score)

    def _checked(self, path: Path, pictures: Sequence[Frame]) -> float | None:
        """The content check's highest score of some pictures; None where it is off."""
        if self.classifier is None:
            return None
        check = ContentCheck(self.classifier, str(path))
        for picture in pictures:
            self.each()
            check.look(picture)
        return check.highest

    def _shot(self, frame: Frame, first: Frame) -> ClipPicture:
        self.each()
        seconds = round(float((frame.pts - first.pts) * frame.time_base), 3)
        faces = self.analyser.analyse_picture(frame)
        foremost = sorted(faces, key=lambda face: visible_area(face, frame), reverse=True)
        return ClipPicture(frame, seconds, tuple(foremost[:_MAX_FACES]))

    def _sight(self, field: str, path: Path, shot: ClipPicture, face: Face) -> RatedView:
        self.each()
        name = f"{path.stem} at {shot.seconds:.2f} s"
        portrait = self.uncovered(cut_portrait(name, shot.frame, face))
        return RatedView.of(
            SourceView(field, path, portrait, portrait_faults(portrait), shot.seconds)
        )


@dataclass(frozen=True, slots=True, eq=False)
class RatedView:
    """A view with its head's pose, and its quality from 0 to 1."""

    view: SourceView
    looks: NDArray[np.float64]  # where the face looks, a unit vector
    turned: float  # degrees from the camera
    quality: float

    @classmethod
    def of(cls, view: SourceView) -> RatedView:
        """Judge a view: how sure its face is, how sharp, how large, and how free of faults."""
        face = view.portrait.face
        sure = min(face.score, face.mesh.score, 1.0)
        sharp = min(sharpness(view.portrait) / _FULL_SHARPNESS, 1.0)
        wide = min(face.box.width / _FULL_WIDTH, 1.0)
        return cls(
            view,
            facing(face.mesh.points),
            turned(face),
            sure * sharp * float(np.sqrt(wide)) * _FAULT_FACTOR ** len(view.faults),
        )

    def apart(self, other: RatedView) -> float:
        """Degrees between where two faces look."""
        return float(np.degrees(np.arccos(np.clip(self.looks @ other.looks, -1, 1))))


def rate_expressions(sights: Sequence[RatedView]) -> list[RatedView]:
    """The sights of one person, of lower quality the further a face is from its usual expression.

    The usual one is the median of the meshes, turned to the front.
    """
    faces = np.stack([_expression(sight.view.portrait.face) for sight in sights])
    off = np.sqrt(((faces - np.median(faces, axis=0)) ** 2).sum(axis=2).mean(axis=1))
    calm = 1 / (1 + (off / _CALM_MOTION) ** 2)
    return [
        replace(sight, quality=sight.quality * float(share))
        for sight, share in zip(sights, calm, strict=True)
    ]


def _expression(face: Face) -> Points:
    """What moves with the expression, turned to the front, in the template's unit square."""
    to_front, _ = frontal(face.mesh.points)
    return to_front[list(_EXPRESSION_POINTS), :2]


def choose_views(sights: Sequence[RatedView], most: int) -> list[RatedView]:
    """Choose the best sight that looks at the camera, and then those that add other sides.

    Those that hide a part of the face are left out, unless all do.
    """
    fit = [sight for sight in sights if not sight.view.hides] or list(sights)
    front = min(sight.turned for sight in fit) + _FRONT_TOLERANCE
    first = max((sight for sight in fit if sight.turned <= front), key=_quality)
    if first.view.hides:
        return [first]
    chosen = [first]
    # Who draws the portraits takes the one that looks at the camera most for the main one.
    left = [sight for sight in fit if sight.turned > first.turned]

    def worth(sight: RatedView) -> float:
        apart = min(sight.apart(other) for other in chosen)
        return sight.quality * min(apart / _FULL_ANGLE, 1.0)

    while left and len(chosen) < most:
        best = max(left, key=worth)
        if worth(best) < _MIN_WORTH * first.quality:
            break
        chosen.append(best)
        left.remove(best)
    return chosen


def _quality(sight: RatedView) -> float:
    return sight.quality


@dataclass(frozen=True, slots=True, eq=False)
class ClipPicture:
    frame: Frame
    seconds: float
    faces: tuple[Face, ...]


def find_person(
    shots: Sequence[ClipPicture], known: Embedding | None, calibration: DistanceScale, where: str
) -> tuple[list[tuple[ClipPicture, Face]], bool]:
    """The sightings of one person in a clip, at least one, and whether there are others.

    The person is the one who is `known`, else the one who is shown most and most clearly.

    Raises:
        SourceUnfit: Nobody is known, and no person is in most of the shots.
    """

    def distance(face: Face, to: Embedding) -> float:
        return 1 - calibration.reference(float(embedding_of(face) @ to))

    def sightings(who: Embedding) -> list[tuple[ClipPicture, Face]]:
        nearest = [(shot, min(shot.faces, key=partial(distance, to=who))) for shot in shots]
        return [(shot, face) for shot, face in nearest if distance(face, who) <= _MAX_SAME_DISTANCE]

    def prominence(who: Face) -> float:
        return sum(_prominence(face, shot.frame) for shot, face in sightings(embedding_of(who)))

    everyone = [face for shot in shots for face in shot.faces]
    own = None
    if known is not None:
        own = embedding_of(min(everyone, key=partial(distance, to=known)))
        if 1 - calibration.reference(float(own @ known)) > MAX_PERSON_DISTANCE:
            own = None
    if own is None:
        own = embedding_of(max(everyone, key=prominence))
    # The mean of many views is nearer to each of them than a single one is.
    mean = np.mean([embedding_of(face) for _, face in sightings(own)], axis=0)
    own = (mean / np.linalg.norm(mean)).astype(np.float32)
    taken = sightings(own)
    looking = [
        shot for shot in shots if any(turned(face) < _MAX_TELLING_TURN for face in shot.faces)
    ]
    showing = len(taken)
    if known is None and showing < _MIN_PERSON_SHARE * len(looking):
        raise SourceUnfit(
            f"{where} shows several people, and the one who is shown most is in only {showing} of "
            f"{len(looking)} pictures with faces; cut it to where one person is shown, or give a "
            "picture of that person instead."
        )
    # Two faces of one picture are two people's, however alike.
    return taken, any(len(shot.faces) > 1 for shot, _ in taken)


def _prominence(face: Face, picture: Frame) -> float:
    """The face's area within the picture, less where it is turned away or hardly a face."""
    return visible_area(face, picture) * max(float(np.cos(np.radians(turned(face)))), 0.0)


def largest_face(
    picture: Frame, analyser: FaceAnalyser, field: str, path: Path
) -> tuple[Face, tuple[str, ...]]:
    """The clearest large face of a picture, and a note where there are several.

    Raises:
        NoFaceFound: There is none; `field` and `path` name the picture.
    """
    faces = analyser.analyse_picture(picture)
    if not faces:
        raise NoFaceFound(
            f"No face was found in {field} {path}; choose a picture that shows one clearly."
        )
    face = max(faces, key=lambda face: visible_area(face, picture))
    return face, note_several_faces(path, face, faces, "the largest clear one is taken,")


def visible_area(face: Face, picture: Frame) -> float:
    """The face's area within the picture, less where it is hardly a face."""
    box, (width, height) = face.box, picture.size
    across = min(box.right, width) - max(box.left, 0)
    down = min(box.bottom, height) - max(box.top, 0)
    return max(across, 0) * max(down, 0) * min(face.score, face.mesh.score)


def note_several_faces(
    path: Path, face: Face, faces: Sequence[Face], taken: str
) -> tuple[str, ...]:
    """A note where a face is one of several; `taken` leads to its place."""
    note = (
        f"{path} shows {len(faces)} faces; {taken} {face.box.width:.0f} x "
        f"{face.box.height:.0f} pixels at {face.box.left:.0f}, {face.box.top:.0f}."
    )
    return (note,) if len(faces) > 1 else ()


def embedding_of(face: Face) -> Embedding:
    """The embedding of a face that was analysed for one."""
    if face.embedding is None:
        raise ValueError("This face has no embedding; analyse it with an embedder.")
    return face.embedding


def warn_of_other_people(views: Sequence[SourceView], calibration: DistanceScale) -> Iterator[str]:
    """A warning for each further file that may show somebody else than the first."""
    first, *others = [view for view in views if view.leads]
    own = first.portrait.face.embedding
    for view in others:
        other = view.portrait.face.embedding
        if own is None or other is None:
            continue
        distance = 1 - calibration.reference(float(own @ other))
        if distance > MAX_PERSON_DISTANCE:
            yield (
                f"{view.field} {view.path} may show another person than the source: it is at a "
                f"distance of {distance:.2f}, and all pictures of the source should show one."
            )


def warn_of_faults(views: Sequence[SourceView]) -> Iterator[str]:
    """Warnings of what is wrong with the best view of each file."""
    for view in views:
        if view.leads:
            yield from (f"{view.where} {fault.words}; {fault.remedy}." for fault in view.faults)
