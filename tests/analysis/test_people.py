"""Tracks are gathered into people, and nobody is taken for somebody else seen beside him."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.analysis.film_analysis import BestFace, Track
from engine.analysis.people import Person, group
from engine.selection import distance
from engine.values import Attributes, Box, DistanceScale, Embedding

RNG = np.random.default_rng(11)
SCALE = DistanceScale()


def as_unit(vector: NDArray[Any]) -> Embedding:
    unit: Embedding = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def around(person: Embedding, spread: float) -> Embedding:
    moved = person + spread * RNG.normal(size=person.size).astype(np.float32) / np.sqrt(person.size)
    return as_unit(moved)


def somebody() -> Embedding:
    vector = RNG.normal(size=128)
    return as_unit(vector)


def track(
    number: int, embedding: Embedding | None, *, weight: float = 90.0, frames: int = 50
) -> Track:
    first = 100 * number
    best = (BestFace(first, first, Box(0, 0, 100, 120), weight),)
    return Track(number, first, first + frames, frames, best, embedding)


def known(one: Track) -> Embedding:
    assert one.embedding is not None
    return one.embedding


def numbers(groups: list[list[Track]]) -> set[frozenset[int]]:
    return {frozenset(one.number for one in members) for members in groups}


def test_tracks_of_one_person_are_one_group_and_others_are_not() -> None:
    anna, ben = somebody(), somebody()
    tracks = [track(n, around(anna if n % 2 else ben, 0.4)) for n in range(12)]
    assert numbers(group(tracks, (), SCALE)) == {
        frozenset(range(0, 12, 2)),
        frozenset(range(1, 12, 2)),
    }


def test_two_faces_of_one_frame_are_two_people_however_alike() -> None:
    twin = somebody()
    tracks = [track(n, around(twin, 0.1)) for n in range(6)]
    groups = group(tracks, [(0, 1), (2, 3)], SCALE)
    for members in groups:
        inside = {one.number for one in members}
        assert not {0, 1} <= inside
        assert not {2, 3} <= inside
    assert sum(map(len, groups)) == 6


@pytest.mark.parametrize("unclear", [track(1, None), track(1, somebody(), weight=3.0)])
def test_a_track_that_does_not_tell_stays_alone(unclear: Track) -> None:
    known = track(0, unclear.embedding if unclear.embedding is not None else somebody())
    assert numbers(group([known, unclear], (), SCALE)) == {frozenset({0}), frozenset({1})}


def test_a_mean_beyond_the_limit_keeps_two_groups() -> None:
    one, other = somebody(), somebody()
    assert len(group([track(0, one), track(1, other)], (), SCALE)) == 2
    assert len(group([track(0, one), track(1, other)], (), SCALE, limit=2.0)) == 1


def test_groups_are_those_of_a_plain_average_linkage() -> None:
    scale = DistanceScale(((0.2, 0.1), (0.5, 0.7)))
    people = [somebody() for _ in range(6)]
    tracks = [track(n, around(people[n % 6], 1.1)) for n in range(60)]
    together = {(n, n + 6) for n in range(0, 40, 5)}
    groups = [[one] for one in tracks]

    def mean(one: list[Track], other: list[Track]) -> float:
        pairs = [(a, b) for a in one for b in other]
        if any(tuple(sorted((a.number, b.number))) in together for a, b in pairs):
            return float("inf")
        return float(np.mean([distance(known(a), known(b), scale) for a, b in pairs]))

    while len(groups) > 1:
        pairs = [(mean(a, b), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups[:i])]
        least, i, j = min(pairs)
        if least > 0.5:
            break
        groups[j] += groups.pop(i)
    assert 6 <= len(groups) < 40
    assert numbers(group(tracks, together, scale, 0.5)) == numbers(groups)


def test_a_long_film_is_gathered_soon() -> None:
    people = [somebody() for _ in range(40)]
    tracks = [track(n, around(people[n % 40], 0.4)) for n in range(2000)]
    began = time.process_time()
    groups = group(tracks, {(n, n + 1) for n in range(0, 2000, 2)}, DistanceScale(((0.3, 0.2),)))
    assert time.process_time() - began < 4
    assert len(groups) == 40


def test_a_person_adds_up_its_tracks() -> None:
    first = track(0, somebody(), frames=30, weight=50)
    second = Track(
        4, 700, 760, 60, (BestFace(700, 700, Box(0, 0, 9, 9), 70.0),), None, Attributes(40)
    )
    person = Person(0, (first, second))
    assert (person.frames, person.first, person.last) == (90, 0, 760)
    assert [one.weight for one in person.best] == [70.0, 50.0]
    assert person.attributes == Attributes(40)
