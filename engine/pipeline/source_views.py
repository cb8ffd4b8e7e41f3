"""Views of the source: find the person of a clip, and choose the clip's best views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import SourceUnfit
from engine.geometry.mesh_topology import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
)
from engine.geometry.shape import face_angle, face_direction, to_frontal
from engine.selection import distance, require_embedding
from engine.swappers.mesh.source_faults import Fault, sharpness
from engine.values import DistanceScale, Embedding, Face, Frame, Points, Portrait

# On the reference scale, two pictures of one person are hardly ever further apart.
MAX_PERSON_DISTANCE: Final = 0.8

_MAX_SAME_DISTANCE = 0.6  # distance up to which a face of a clip is the person's
_MIN_PERSON_SHARE = 0.5  # of the pictures with faces seen from the front: the person is in them
_MAX_FRONT_TURN = 35.0  # degrees; beyond, an embedding does not tell people apart
_FRONT_TOLERANCE = 10.0  # degrees beyond the least turned view, for the first view
_FULL_ANGLE = 25.0  # degrees between two views that show different sides of a face
_MIN_WORTH = 0.4  # of the first view's quality, which a further view must add
_FULL_SHARPNESS = 0.9  # sharpness of full quality
_FULL_WIDTH = 256.0  # width of a face in pixels of full quality
_EXPRESSION_POINTS = (*LEFT_BROW, *RIGHT_BROW, *LEFT_EYE, *RIGHT_EYE, *OUTER_LIPS, *INNER_LIPS)
_CALM_MOTION = 0.012  # of the template's side: RMS motion of these points that halves the quality
_FAULT_FACTOR = 0.5  # quality that each fault leaves


@dataclass(frozen=True, slots=True, eq=False)
class SourceView:
    """Picture of the source person, with its faults.

    Attributes:
        field: parameter that named the file.
        path: the file.
        portrait: the face and its surroundings.
        faults: faults of the picture as a source, worst first.
        seconds: time in a clip; None for a still.
        leads: True for the best view of its file.
    """

    field: str
    path: Path
    portrait: Portrait
    faults: tuple[Fault, ...]
    seconds: float | None = None
    leads: bool = True

    @property
    def where(self) -> str:
        """Parameter, file and time, in words."""
        at = "" if self.seconds is None else f" (at its best at {self.seconds:.2f} s)"
        return f"{self.field} {self.path}{at}"

    @property
    def hides(self) -> bool:
        """True if the view hides a part of the face that a swapper which draws it needs."""
        return any(fault.hides for fault in self.faults)

    def without_pixels(self) -> SourceView:
        """Return the view without the pixels of its portrait, which take most of its memory."""
        empty = np.empty((0, 0, 3), np.float32)
        return replace(self, portrait=replace(self.portrait, pixels=empty, bare=None))


@dataclass(frozen=True, slots=True, eq=False)
class ClipPicture:
    """Picture of a clip: the frame, its time in seconds, and its largest faces."""

    frame: Frame
    seconds: float
    faces: tuple[Face, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RatedView:
    """View with the pose of its head and a quality from 0 to 1.

    `direction` is the unit vector (3,) in which the face looks; `turned` is the angle in degrees
    between it and the camera.
    """

    view: SourceView
    direction: NDArray[np.float64]
    turned: float
    quality: float

    @classmethod
    def of(cls, view: SourceView) -> RatedView:
        """Rate a view by its scores, its sharpness, the face's width, and its faults."""
        face = view.portrait.face
        score = min(face.score, face.mesh.score, 1.0)
        sharp = min(sharpness(view.portrait) / _FULL_SHARPNESS, 1.0)
        wide = min(face.box.width / _FULL_WIDTH, 1.0)
        return cls(
            view,
            face_direction(face.mesh.points),
            face_angle(face),
            score * sharp * float(np.sqrt(wide)) * _FAULT_FACTOR ** len(view.faults),
        )

    def angle_to(self, other: RatedView) -> float:
        """Return the angle in degrees between the directions of two faces."""
        cosine = np.clip(self.direction @ other.direction, -1, 1)
        return float(np.degrees(np.arccos(cosine)))


def rate_expressions(views: Sequence[RatedView]) -> list[RatedView]:
    """Lower the quality of views whose expression differs from the person's usual one.

    The usual expression is the median of the meshes, turned to the front.
    """
    faces = np.stack([_expression(rated.view.portrait.face) for rated in views])
    motion = np.sqrt(((faces - np.median(faces, axis=0)) ** 2).sum(axis=2).mean(axis=1))
    factors = 1 / (1 + (motion / _CALM_MOTION) ** 2)
    return [
        replace(rated, quality=rated.quality * float(factor))
        for rated, factor in zip(views, factors, strict=True)
    ]


def _expression(face: Face) -> Points:
    """Return the points that move with the expression, frontal, in the template's unit square."""
    to_front, _ = to_frontal(face.mesh.points)
    return to_front[list(_EXPRESSION_POINTS), :2]


def choose_views(views: Sequence[RatedView], most: int) -> list[RatedView]:
    """Choose up to `most` views: the best that looks at the camera, then views of other sides.

    Views that hide a part of the face are left out, unless all do.
    """
    fit = [rated for rated in views if not rated.view.hides] or list(views)
    front = min(rated.turned for rated in fit) + _FRONT_TOLERANCE
    first = max((rated for rated in fit if rated.turned <= front), key=_quality)
    if first.view.hides:
        return [first]
    chosen = [first]
    # A swapper that draws the portraits takes the least turned one as the main one.
    left = [rated for rated in fit if rated.turned > first.turned]

    def worth(rated: RatedView) -> float:
        apart = min(rated.angle_to(other) for other in chosen)
        return rated.quality * min(apart / _FULL_ANGLE, 1.0)

    while left and len(chosen) < most:
        best = max(left, key=worth)
        if worth(best) < _MIN_WORTH * first.quality:
            break
        chosen.append(best)
        left.remove(best)
    return chosen


def _quality(rated: RatedView) -> float:
    return rated.quality


def find_person(
    pictures: Sequence[ClipPicture], known: Embedding | None, scale: DistanceScale, where: str
) -> tuple[list[tuple[ClipPicture, Face]], bool]:
    """Find one person in the pictures of a clip.

    The person is the one whose embedding is `known`, if the clip shows them; else the one whose
    faces are the most, the largest and the least turned.

    Args:
        pictures: pictures with at least one face each.
        known: embedding of the person, from another file.
        scale: distance scale of the faces' embedder.
        where: the clip, for an error.

    Returns:
        The pictures that show the person with the person's face, at least one, and True if one of
        these pictures shows another person, too.

    Raises:
        SourceUnfit: `known` is None, and no person is in most of the pictures.
    """

    def distance_to(embedding: Embedding, face: Face) -> float:
        return distance(require_embedding(face), embedding, scale)

    def find(embedding: Embedding) -> list[tuple[ClipPicture, Face]]:
        measure = partial(distance_to, embedding)
        nearest = [(picture, min(picture.faces, key=measure)) for picture in pictures]
        return [(picture, face) for picture, face in nearest if measure(face) <= _MAX_SAME_DISTANCE]

    def prominence(face: Face) -> float:
        found = find(require_embedding(face))
        return sum(_prominence(one, picture.frame) for picture, one in found)

    everyone = [face for picture in pictures for face in picture.faces]
    person = None
    if known is not None:
        nearest = min(everyone, key=partial(distance_to, known))
        if distance_to(known, nearest) <= MAX_PERSON_DISTANCE:
            person = require_embedding(nearest)
    if person is None:
        person = require_embedding(max(everyone, key=prominence))
    # The mean of many views is nearer to each of them than a single one is.
    mean = np.mean([require_embedding(face) for _, face in find(person)], axis=0)
    found = find((mean / np.linalg.norm(mean)).astype(np.float32))
    from_front = sum(
        any(face_angle(face) < _MAX_FRONT_TURN for face in picture.faces) for picture in pictures
    )
    if known is None and len(found) < _MIN_PERSON_SHARE * from_front:
        raise SourceUnfit(
            f"{where} shows several people, and the one who is shown most is in only {len(found)} "
            f"of {from_front} pictures with faces; cut it to where one person is shown, or give a "
            "picture of that person instead."
        )
    # Two faces of one picture belong to two people, however alike.
    return found, any(len(picture.faces) > 1 for picture, _ in found)


def _prominence(face: Face, frame: Frame) -> float:
    """Return the visible area of a face, reduced as it turns away from the camera."""
    return visible_area(face, frame) * max(float(np.cos(np.radians(face_angle(face)))), 0.0)


def visible_area(face: Face, frame: Frame) -> float:
    """Return the area in pixels of a face's box within the frame, times the lower of its scores."""
    box, (width, height) = face.box, frame.size
    across = min(box.right, width) - max(box.left, 0)
    down = min(box.bottom, height) - max(box.top, 0)
    return max(across, 0) * max(down, 0) * min(face.score, face.mesh.score)
