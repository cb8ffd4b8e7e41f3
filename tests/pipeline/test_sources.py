"""Whom a clip shows, and which of its pictures serve as sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SourceUnfit
from engine.geometry.mesh_topology import OUTER_LIPS, face_mesh
from engine.pipeline.remarks import warn_of_other_people
from engine.pipeline.source_views import (
    ClipPicture,
    RatedView,
    SourceView,
    choose_views,
    find_person,
    rate_expressions,
)
from engine.swappers.mesh.source_faults import Fault
from engine.values import DistanceScale, Embedding, Face, Mesh, Portrait
from tests import people
from tests.faces.pictures import frame_of

CLIP = Path("clip.mp4")
SHADE = Fault("shows a face in the dark", "choose a brighter picture")
AWAY = Fault("shows a face turned away", "choose another", hides=True)


def rated_view(
    yaw: float, quality: float, pitch: float = 0.0, faults: tuple[Fault, ...] = ()
) -> RatedView:
    """A view of a head that is turned by so many degrees."""
    across, up = np.radians(yaw), np.radians(pitch)
    looks = np.array(
        (np.sin(across) * np.cos(up), np.sin(up), -np.cos(across) * np.cos(up)), np.float64
    )
    portrait = Portrait("somebody", np.zeros((8, 8, 3), np.float32), people.face())
    turned = float(np.degrees(np.arccos(-looks[2])))
    return RatedView(
        SourceView("source_image", CLIP, portrait, faults, seconds=yaw), looks, turned, quality
    )


def test_the_best_of_those_that_look_at_the_camera_comes_first() -> None:
    blurred, sharp, turned = rated_view(0, 0.2), rated_view(6, 0.8), rated_view(30, 1.0)
    chosen = choose_views([blurred, sharp, turned], 6)
    assert chosen[0] is sharp
    assert blurred not in chosen


def test_further_views_show_other_sides_and_are_turned_more_than_the_first() -> None:
    first = rated_view(3, 0.9)
    left, right, up = rated_view(-30, 0.7), rated_view(35, 0.7), rated_view(0, 0.7, pitch=30)
    alike, poor = rated_view(5, 0.9), rated_view(60, 0.2)
    chosen = choose_views([alike, left, poor, first, right, up], 6)
    assert chosen[0] in (first, alike)
    assert set(map(id, chosen[1:])) == set(map(id, (left, right, up)))
    assert all(view.turned > chosen[0].turned for view in chosen[1:])
    assert len(choose_views([first, left, right, up], 3)) == 3
    assert choose_views([first, left, right, up], 1) == [first]


def test_views_that_hide_a_part_are_taken_only_where_all_do() -> None:
    hidden, dark = rated_view(0, 1.0, faults=(AWAY,)), rated_view(2, 0.1, faults=(SHADE,))
    assert choose_views([hidden, dark], 6) == [dark]
    worse = rated_view(1, 0.5, faults=(AWAY,))
    assert choose_views([worse, hidden, rated_view(40, 0.9, faults=(AWAY,))], 6) == [hidden]


def test_a_calm_face_is_worth_more_than_one_that_pulls_its_mouth() -> None:
    calm = somebody(ANN)
    moved = calm.mesh.points.copy()
    moved[list(OUTER_LIPS), :2] *= np.array((1.4, 0.7), np.float32)
    pulled = replace(calm, mesh=Mesh(moved, 1.0))
    views = [rated_view(0, 0.9) for _ in range(3)]
    shown = [
        replace(one, view=replace(one.view, portrait=replace(one.view.portrait, face=face)))
        for one, face in zip(views, (calm, pulled, calm), strict=True)
    ]
    found = [one.quality for one in rate_expressions(shown)]
    assert found[0] == found[2] == pytest.approx(0.9, rel=1e-3)
    assert found[1] < 0.6
    assert [one.quality for one in rate_expressions(shown[1:2])] == pytest.approx([0.9])


def at(seconds: float, *faces: Face) -> ClipPicture:
    return ClipPicture(frame_of(np.zeros((100, 200, 3), np.uint8)), seconds, faces)


def somebody(distance: float, size: float = 40, left: float = 0) -> Face:
    """Return a face that looks at the camera, at this distance from the one at 0."""
    found = people.face(left, 0, size, who=people.at_distance(distance, length=512))
    upright = face_mesh().vertices * np.array((1, -1, -1), np.float32)
    return replace(found, mesh=Mesh(upright, 1.0))


ANN, BOB = 0.0, 1.4


def find_in_pictures(
    shots: Sequence[ClipPicture], known: Embedding | None = None
) -> tuple[list[tuple[float, float]], bool]:
    """Return times and face widths of the person found, and True if there are others."""
    found, others = find_person(shots, known, DistanceScale(), "source_image clip.mp4")
    return [(shot.seconds, face.box.width) for shot, face in found], others


def test_the_person_is_the_one_who_is_shown_most() -> None:
    shots = [
        at(0, somebody(ANN, 30), somebody(BOB, 50, left=90)),
        at(1, somebody(ANN + 0.2, 60)),
        at(2, somebody(ANN, 60)),
    ]
    assert find_in_pictures(shots) == ([(0, 30), (1, 60), (2, 60)], True)
    assert find_in_pictures(shots[1:]) == ([(1, 60), (2, 60)], False)


def test_a_person_who_is_known_is_taken_however_small() -> None:
    shots = [at(n, somebody(ANN, 60), somebody(BOB, 20, left=90)) for n in range(3)]
    known = people.at_distance(BOB, length=512)
    assert find_in_pictures(shots, known) == ([(0, 20), (1, 20), (2, 20)], True)
    nobody = people.embedding(0, 0, 1, length=512)
    assert find_in_pictures(shots, nobody) == ([(0, 60), (1, 60), (2, 60)], True)


def test_a_clip_of_many_people_is_refused_unless_the_person_is_known() -> None:
    crowd = [at(n, somebody(0, 30 + n)) for n in range(4)]
    for n, shot in enumerate(crowd):
        stranger = replace(shot.faces[0], embedding=people.embedding(*[0] * n, 1, length=512))
        crowd[n] = replace(shot, faces=(stranger,))
    with pytest.raises(SourceUnfit, match=r"clip\.mp4 shows several people.*only 1 of 4.*cut it"):
        find_in_pictures(crowd)
    assert find_in_pictures(crowd, people.embedding(0, 1, length=512)) == ([(1, 31)], False)


@pytest.mark.parametrize(("distance", "warned"), [(0.0, 0), (0.75, 0), (0.85, 1), (1.2, 1)])
def test_a_picture_that_is_far_from_the_first_is_warned_of(distance: float, warned: int) -> None:
    """Two pictures of one person are hardly ever further apart than 0.8 in ArcFace's space."""
    pixels = np.zeros((8, 8, 3), np.float32)
    same, other = (
        Portrait("somebody", pixels, people.face(who=people.at_distance(one, length=512)))
        for one in (0.0, distance)
    )
    views = [
        SourceView(field, Path(f"{number}.jpg"), portrait, ())
        for number, (field, portrait) in enumerate(zip("abc", (same, same, other), strict=True))
    ]
    sentences = list(warn_of_other_people(views, DistanceScale()))
    assert len(sentences) == warned
    assert all(sentence.startswith("c 2.jpg may show another person") for sentence in sentences)
    of_a_clip = replace(views[2], leads=False)
    assert not list(warn_of_other_people([*views[:2], of_a_clip], DistanceScale()))
