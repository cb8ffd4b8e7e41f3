"""Faces chosen in a frame, by a rule and by a cast."""

from __future__ import annotations

import numpy as np

from engine.options import SelectionRule
from engine.pipeline.planners import CastPlanner, RulePlanner
from engine.plan.decide import Casting, KnownPerson, Span
from engine.values import Analysed, DistanceScale
from tests.faces.pictures import frame_of
from tests.people import at_distance, embedding, face

FRAME = frame_of(np.zeros((40, 40, 3), np.uint8))
SCALE = DistanceScale()
ANNA = KnownPerson((embedding(1),), 0.6)
BEN = KnownPerson((embedding(0, 0, 1),), 0.6)


def test_a_rule_keeps_the_frame_and_all_its_faces() -> None:
    shot = Analysed(FRAME, (face(0, who=at_distance(0.9)), face(20, who=at_distance(0.2))))
    planner = RulePlanner(SelectionRule(), (embedding(1),), SCALE)
    found = planner.plan(shot)
    assert found.frame is shot.frame
    assert found.faces == shot.faces
    assert found.chosen == shot.faces[1:] == planner.choose(shot.faces)
    assert found.roles == ()


def test_only_roles_with_a_source_are_chosen() -> None:
    anna, ben, other = (
        face(who=embedding(1)),
        face(who=embedding(0, 0, 1)),
        face(who=embedding(0, 1)),
    )
    shot = Analysed(FRAME, (other, ben, anna))
    planner = CastPlanner(Casting((ANNA, BEN), SCALE, {}), frozenset({1}))
    found = planner.plan(shot)
    assert (found.chosen, found.roles) == ((ben,), (1,))
    assert [one.role for one in found.assignments] == [None, 1, 0]
    assert planner.choose(shot.faces) == (ben,)


def test_hands_are_looked_for_wherever_a_correction_may_put_a_face() -> None:
    faces = (face(who=embedding(0, 1)),)
    spans = (Span(0, first=7, last=9),)
    planner = CastPlanner(Casting((ANNA,), SCALE, {}, spans), frozenset({0}))
    assert planner.choose(faces) == faces
    assert planner.plan(Analysed(FRAME, faces)).chosen == ()
