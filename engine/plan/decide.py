"""Decide which role each face gets: pure functions of embeddings and a cast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.selection import distance
from engine.values import Assignment, DistanceScale, Embedding, Face

# Distance up to which a face is clearly a person: two faces of one frame may then both be that
# person, as in a mirror. Beyond, the nearer one is. It is the limit up to which tracks are gathered
# into people.
CLEAR: Final = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class KnownPerson:
    """The person of a role: embeddings of reference faces, and the greatest distance of a match.

    A person without embeddings is found by tracks alone.
    """

    embeddings: tuple[Embedding, ...]
    limit: float


@dataclass(frozen=True, slots=True)
class Span:
    """A correction of a part of the film; None stands for no limit.

    Attributes:
        role: index of the role that the faces get; None keeps them.
        first: pts of the first frame.
        last: pts of the last frame, included.
        tracks: tracks of the faces.
        of: index of the role that the faces would get.
    """

    role: int | None
    first: int | None = None
    last: int | None = None
    tracks: frozenset[int] | None = None
    of: int | None = None

    def holds(self, face: Face, decision: Assignment, pts: int) -> bool:
        """Tell whether the correction is about a face for which a decision stands."""
        return (
            (self.first is None or self.first <= pts)
            and (self.last is None or pts <= self.last)
            and (self.tracks is None or face.track in self.tracks)
            and (self.of is None or decision.role == self.of)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Casting:
    """All that decides which role a face gets.

    Attributes:
        people: person of each role.
        scale: distance scale of the embedder.
        tracks: decisions on tracks that stand already.
        spans: corrections; a later one goes before an earlier.
    """

    people: tuple[KnownPerson, ...]
    scale: DistanceScale
    tracks: Mapping[int, Assignment]
    spans: tuple[Span, ...] = ()


def decide(faces: Sequence[Face], pts: int, casting: Casting) -> tuple[Assignment, ...]:
    """Return the assignment of each face of one frame."""
    known = {
        index: casting.tracks[face.track]
        for index, face in enumerate(faces)
        if face.track is not None and face.track in casting.tracks
    }
    decisions = list(
        match_roles(
            [face.embedding for face in faces],
            casting.people,
            known,
            lambda *_: True,
            casting.scale,
        )
    )
    for span in casting.spans:
        for index, face in enumerate(faces):
            if span.holds(face, decisions[index], pts):
                decisions[index] = Assignment(span.role, "correction", decisions[index].distance)
    return tuple(decisions)


def match_roles(
    faces: Sequence[Embedding | None],
    cast: Sequence[KnownPerson],
    known: Mapping[int, Assignment],
    together: Callable[[int, int], bool],
    scale: DistanceScale,
) -> tuple[Assignment, ...]:
    """Decide the role of each face by its distance to the people of the roles.

    The nearest pairs of face and role are decided first. A face gets no role that a face seen
    together with it has, unless it is at most `CLEAR` from the person itself.

    Args:
        faces: embeddings, of the faces of one frame or of the tracks of a film.
        cast: person of each role.
        known: decisions that stand already, by the index of the face.
        together: tells of two indexes whether these faces are seen in one frame.
        scale: distance scale of the embedder.
    """
    apart = [
        {} if index in known or embedding is None else _distances(embedding, cast, scale)
        for index, embedding in enumerate(faces)
    ]
    pairs = sorted(
        (near, index, role)
        for index, found in enumerate(apart)
        for role, near in found.items()
        if near <= cast[role].limit
    )
    decided, displaced = dict(known), set[int]()
    for near, index, role in pairs:
        if index in decided:
            continue
        taken = any(one.role == role and together(index, other) for other, one in decided.items())
        if taken and near > CLEAR:
            displaced.add(index)
        else:
            decided[index] = Assignment(role, "nearest", near)
    return tuple(
        decided.get(index)
        or _kept(embedding, min(apart[index].values(), default=None), displaced=index in displaced)
        for index, embedding in enumerate(faces)
    )


def _distances(
    embedding: Embedding, cast: Sequence[KnownPerson], scale: DistanceScale
) -> dict[int, float]:
    """Return the distance of a face to the nearest reference of each role that has any."""
    return {
        role: min(distance(embedding, one, scale) for one in person.embeddings)
        for role, person in enumerate(cast)
        if person.embeddings
    }


def _kept(embedding: Embedding | None, apart: float | None, *, displaced: bool) -> Assignment:
    if displaced:
        return Assignment(None, "another face is nearer", apart)
    if embedding is None:
        return Assignment(None, "no embedding")
    return Assignment(None, "nobody of the cast" if apart is None else "too far", apart)
