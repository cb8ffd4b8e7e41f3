"""Roles that a cast gives to faces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.plan.decide import Casting, KnownPerson, Span, decide, match_roles
from engine.values import Assignment, DistanceScale, Embedding, Face
from tests.people import at_distance, embedding, face

SCALE = DistanceScale()
ANNA = KnownPerson((embedding(1),), 0.6)
BEN = KnownPerson((embedding(0, 0, 1),), 0.6)
BY_TRACK = KnownPerson((), 0.6)


def roles(
    *faces: Embedding | None, cast: tuple[KnownPerson, ...] = (ANNA, BEN)
) -> list[int | None]:
    return [one.role for one in decisions(*faces, cast=cast)]


def decisions(
    *faces: Embedding | None, cast: tuple[KnownPerson, ...] = (ANNA, BEN)
) -> tuple[Assignment, ...]:
    return match_roles(faces, cast, {}, lambda *_: True, SCALE)


def between(anna: float, ben: float) -> Embedding:
    """Return an embedding at these distances from both."""
    rest = 1 - (1 - anna) ** 2 - (1 - ben) ** 2
    return embedding(1 - anna, rest**0.5, 1 - ben)


def test_a_face_gets_the_nearest_role_within_its_distance() -> None:
    assert roles(between(0.5, 0.4), between(0.2, 0.7), between(0.7, 0.8)) == [1, 0, None]
    assert roles(at_distance(0.6 - 1e-6)) == [0]
    assert roles(at_distance(0.6 + 1e-6)) == [None]


def test_each_role_has_its_own_distance_and_any_of_its_references_counts() -> None:
    strict = replace(ANNA, limit=0.1)
    assert roles(between(0.2, 0.5), cast=(strict, BEN)) == [1]
    both = KnownPerson((embedding(0, 1), embedding(1)), 0.6)
    assert roles(at_distance(0.2), cast=(both,)) == [0]


def test_of_two_faces_of_a_frame_the_nearer_one_gets_the_role() -> None:
    near, far = decisions(at_distance(0.3), at_distance(0.5))
    assert (near.role, near.reason) == (0, "nearest")
    assert near.distance == pytest.approx(0.3)
    assert (far.role, far.reason) == (None, "another face is nearer")
    assert far.distance == pytest.approx(0.5)
    assert roles(at_distance(0.5), at_distance(0.3)) == [None, 0]


def test_the_farther_one_gets_another_role_that_fits() -> None:
    assert roles(between(0.45, 0.55), at_distance(0.1)) == [1, 0]


def test_two_faces_that_are_clearly_one_person_both_get_the_role() -> None:
    assert roles(at_distance(0.1), at_distance(0.39)) == [0, 0]


def test_faces_that_are_never_seen_together_may_have_one_role() -> None:
    found = match_roles([at_distance(0.3), at_distance(0.5)], (ANNA,), {}, lambda *_: False, SCALE)
    assert [one.role for one in found] == [0, 0]


def test_what_stands_already_goes_first() -> None:
    known = {1: Assignment(0, "correction")}
    found = match_roles(
        [at_distance(0.45), at_distance(0.9)], (ANNA, BEN), known, lambda *_: True, SCALE
    )
    assert [(one.role, one.reason) for one in found] == [
        (None, "another face is nearer"),
        (0, "correction"),
    ]


def test_the_reason_of_a_face_that_is_kept_is_told() -> None:
    assert [one.reason for one in decisions(None, at_distance(0.9))] == ["no embedding", "too far"]
    assert decisions(embedding(1), cast=(BY_TRACK,)) == (Assignment(None, "nobody of the cast"),)


def casting(*spans: Span, tracks: dict[int, Assignment] | None = None) -> Casting:
    return Casting((ANNA, BEN), SCALE, tracks or {}, spans)


def tracked(track: int, who: Embedding) -> Face:
    return replace(face(who=who), track=track)


FACES = (tracked(3, embedding(1)), tracked(5, embedding(0, 0, 1)), tracked(7, embedding(0, 1)))


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(None), [None, None, None]),
        (Span(None, first=10, last=20), [None, None, None]),
        (Span(None, first=11), [0, 1, None]),
        (Span(None, last=9), [0, 1, None]),
        (Span(None, tracks=frozenset({5})), [0, None, None]),
        (Span(None, of=0), [None, 1, None]),
        (Span(1, of=0), [1, 1, None]),
        (Span(0, tracks=frozenset({7})), [0, 1, 0]),
    ],
)
def test_corrections_go_before_distances(span: Span, expected: list[int | None]) -> None:
    assert [one.role for one in decide(FACES, 10, casting(span))] == expected


def test_a_later_correction_goes_before_an_earlier() -> None:
    spans = (Span(None), Span(1, tracks=frozenset({3})))
    assert [one.role for one in decide(FACES, 0, casting(*spans))] == [1, None, None]


def test_tracks_that_are_decided_are_not_measured() -> None:
    tracks = {3: Assignment(None, "person"), 7: Assignment(0, "person")}
    first, second, third = decide(FACES, 0, casting(tracks=tracks))
    assert (first, third) == (tracks[3], tracks[7])
    assert (second.role, second.reason) == (1, "nearest")
