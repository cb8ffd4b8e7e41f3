from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from engine.errors import NoFaceFound
from engine.options import SelectionRule, SelectorOrder
from engine.selection import (
    Need,
    choose_faces,
    describe,
    distance,
    filter_faces,
    find_reference_face,
    frame_needs,
    nearest_distance,
    needs,
    sort_faces,
)
from engine.values import Face
from tests.people import at_distance, embedding, face

# Left, top, area and score each rank the three in their own way.
ADA = face(left=10, top=300, size=50, score=0.8, age=29, gender="female", race="black")
BEN = face(left=200, top=20, size=20, score=0.99, age=62, gender="male", race="white")
CLEO = face(left=90, top=100, size=90, score=0.7, age=8, gender="female", race="middle eastern")
PEOPLE = (BEN, ADA, CLEO)  # best score first, as an analyser gives them
NAMES = {id(ADA): "Ada", id(BEN): "Ben", id(CLEO): "Cleo"}

EVERYBODY = SelectionRule(mode="many")


def names(faces: tuple[Face, ...]) -> list[str]:
    return [NAMES[id(one)] for one in faces]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("left-right", ["Ada", "Cleo", "Ben"]),
        ("right-left", ["Ben", "Cleo", "Ada"]),
        ("top-bottom", ["Ben", "Cleo", "Ada"]),
        ("bottom-top", ["Ada", "Cleo", "Ben"]),
        ("small-large", ["Ben", "Ada", "Cleo"]),
        ("large-small", ["Cleo", "Ada", "Ben"]),
        ("best-worst", ["Ben", "Ada", "Cleo"]),
        ("worst-best", ["Cleo", "Ada", "Ben"]),
    ],
)
def test_each_order_ranks_by_its_own_measure(order: SelectorOrder, expected: list[str]) -> None:
    assert names(sort_faces(PEOPLE, order)) == expected


@pytest.mark.parametrize("order", get_args(SelectorOrder))
def test_faces_that_tie_keep_their_order(order: SelectorOrder) -> None:
    twins = (face(), face(), face())
    assert [id(one) for one in sort_faces(twins, order)] == [id(one) for one in twins]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (EVERYBODY, ["Ben", "Ada", "Cleo"]),
        (replace(EVERYBODY, gender="female"), ["Ada", "Cleo"]),
        (replace(EVERYBODY, gender="male"), ["Ben"]),
        (replace(EVERYBODY, race="middle eastern"), ["Cleo"]),
        (replace(EVERYBODY, race="asian"), []),
        (replace(EVERYBODY, gender="female", race="black"), ["Ada"]),
        (replace(EVERYBODY, gender="male", race="black"), []),
        (replace(EVERYBODY, age_start=29), ["Ben", "Ada"]),
        (replace(EVERYBODY, age_end=29), ["Ada", "Cleo"]),
        (replace(EVERYBODY, age_start=29, age_end=29), ["Ada"]),
        (replace(EVERYBODY, age_start=30, age_end=61), []),
        (replace(EVERYBODY, age_start=8, age_end=62), ["Ben", "Ada", "Cleo"]),
        (replace(EVERYBODY, age_start=0, age_end=0), []),
    ],
)
def test_filters_keep_who_they_name(rule: SelectionRule, expected: list[str]) -> None:
    assert names(filter_faces(PEOPLE, rule)) == expected


@pytest.mark.parametrize("age", range(101))
def test_every_age_passes_the_interval_of_itself(age: int) -> None:
    rule = replace(EVERYBODY, age_start=age, age_end=age)
    assert filter_faces([face(age=age)], rule)


@pytest.mark.parametrize(
    "rule",
    [
        replace(EVERYBODY, gender="male"),
        replace(EVERYBODY, race="white"),
        replace(EVERYBODY, age_end=50),
    ],
)
def test_a_filter_on_what_was_not_read_is_an_error(rule: SelectionRule) -> None:
    with pytest.raises(ValueError, match="analyse it with needs"):
        filter_faces([face()], rule)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SelectionRule(mode="many"), ["Cleo", "Ada", "Ben"]),
        (SelectionRule(mode="many", order="left-right", gender="female"), ["Ada", "Cleo"]),
        (SelectionRule(mode="many", race="asian"), []),
        (SelectionRule(mode="one"), ["Cleo"]),
        (SelectionRule(mode="one", order="best-worst"), ["Ben"]),
        (SelectionRule(mode="one", order="best-worst", gender="female"), ["Ada"]),
        (SelectionRule(mode="one", race="asian"), []),
    ],
)
def test_many_and_one_choose_by_order_and_filters(rule: SelectionRule, expected: list[str]) -> None:
    assert names(choose_faces(PEOPLE, rule)) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0.0, [0.0]), (0.25, [0.0, 0.25]), (0.6, [0.0, 0.25, 0.6]), (1.0, [0.0, 0.25, 0.6, 1.0])],
)
def test_reference_mode_takes_every_face_within_the_distance(
    limit: float, expected: list[float]
) -> None:
    # The distances leave room for float32, and the bound itself is a match.
    faces = [face(who=at_distance(value)) for value in (1.0, 0.6, 0.25, 0.0, 1.3)]
    rule = SelectionRule(reference_distance=limit + 1e-6)
    chosen = choose_faces(faces, rule, [embedding(1)])
    assert sorted(round(nearest_distance(one, [embedding(1)]), 4) for one in chosen) == expected


def test_the_distance_itself_is_a_match() -> None:
    assert choose_faces(
        [face(who=embedding(1))], SelectionRule(reference_distance=0.0), [embedding(1)]
    )


def test_reference_mode_asks_neither_order_nor_filters_of_the_frame() -> None:
    rule = SelectionRule(order="left-right", gender="female", age_end=10)
    right = face(left=500, gender="male", age=80, who=embedding(1))
    left = face(left=0, gender="female", age=5, who=embedding(1))
    assert choose_faces([right, left], rule, [embedding(1)]) == (right, left)


def test_any_of_several_references_is_enough() -> None:
    faces = [face(who=embedding(0, 1)), face(who=embedding(0, 0, 1)), face(who=embedding(0, 0, -1))]
    chosen = choose_faces(
        faces, SelectionRule(), [embedding(1), embedding(0, 1), embedding(0, 0, 1)]
    )
    assert chosen == tuple(faces[:2])


@pytest.mark.parametrize("mode", ["many", "one", "reference"])
def test_a_frame_without_faces_is_no_error(mode: str) -> None:
    rule = SelectionRule(mode=mode)  # type: ignore[arg-type]
    assert choose_faces([], rule, [embedding(1)]) == ()


def test_embeddings_of_two_networks_are_never_compared() -> None:
    with pytest.raises(ValueError, match=r"length 128 .* length 512"):
        distance(embedding(1), embedding(1, length=512))
    with pytest.raises(ValueError, match="two different recognition networks"):
        choose_faces([face(who=embedding(1))], SelectionRule(), [embedding(1, length=512)])


def test_a_face_without_an_embedding_cannot_be_matched() -> None:
    with pytest.raises(ValueError, match="no embedding"):
        choose_faces([face()], SelectionRule(), [embedding(1)])
    with pytest.raises(ValueError, match="no reference"):
        choose_faces([face(who=embedding(1))], SelectionRule(), [])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SelectionRule(), "Cleo"),
        (SelectionRule(reference_position=1), "Ada"),
        (SelectionRule(reference_position=2), "Ben"),
        (SelectionRule(order="top-bottom"), "Ben"),
        (SelectionRule(order="left-right", gender="female", reference_position=1), "Cleo"),
        (SelectionRule(age_start=18, reference_position=1), "Ben"),
    ],
)
def test_the_reference_is_counted_among_ordered_and_filtered_faces(
    rule: SelectionRule, expected: str
) -> None:
    assert names((find_reference_face(PEOPLE, rule),)) == [expected]


def test_no_face_at_all_names_the_place_and_the_remedy() -> None:
    with pytest.raises(
        NoFaceFound,
        match=r"^No face was found in frame 7 of a.mp4; take frame 8, or turn it\.$",
    ):
        find_reference_face(
            [],
            SelectionRule(),
            where="frame 7 of a.mp4",
            elsewhere="take frame 8",
            rotated=", or turn it",
        )


def test_nobody_passing_shows_who_was_found() -> None:
    rule = SelectionRule(gender="male", age_start=70)
    with pytest.raises(
        NoFaceFound, match="Of 3 faces in the reference frame none passes"
    ) as raised:
        find_reference_face(PEOPLE, rule)
    message = str(raised.value)
    assert "male, age 70 to 100" in message
    assert "box 200,20 to 220,40, score 0.99, male, age 62, white" in message


def test_a_position_past_the_end_says_how_many_there_are() -> None:
    rule = SelectionRule(gender="female", reference_position=2)
    with pytest.raises(NoFaceFound, match=r"position is 2, .* offers 2 faces, counted from 0"):
        find_reference_face(PEOPLE, rule)
    with pytest.raises(NoFaceFound) as raised:
        find_reference_face(PEOPLE, rule)
    assert f"0: {describe(CLEO)}; 1: {describe(ADA)}." in str(raised.value)


@pytest.mark.parametrize(
    ("rule", "everything", "each_frame"),
    [
        (SelectionRule(), {"embedding"}, {"embedding"}),
        (SelectionRule(mode="many"), set(), set()),
        (SelectionRule(mode="one"), set(), set()),
        (SelectionRule(gender="male"), {"embedding", "gender"}, {"embedding"}),
        (SelectionRule(mode="many", gender="male"), {"gender"}, {"gender"}),
        (SelectionRule(mode="one", race="white", age_end=9), {"race", "age"}, {"race", "age"}),
        (SelectionRule(age_start=1), {"embedding", "age"}, {"embedding"}),
    ],
)
def test_only_what_the_rule_asks_is_needed(
    rule: SelectionRule, everything: set[Need], each_frame: set[Need]
) -> None:
    assert needs(rule) == everything
    assert frame_needs(rule) == each_frame


def test_a_description_leaves_out_what_was_not_read() -> None:
    assert describe(face(1, 2, 3)) == "box 1,2 to 4,5, score 0.90"
