"""The training pictures of the occluder."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import occluder_marks as marks
import occluder_objects as objects
import occluder_scenes as scenes
import pytest
from occluder_canvas import SIDE, Scene
from occluder_spectacles import spectacles

from engine.geometry.mesh_topology import face_mesh, frontal_points

Draw = Callable[[Scene], None]
COVERS: dict[str, Draw] = {
    "spectacles": partial(spectacles, sun=False),
    "sunglasses": partial(spectacles, sun=True),
    **{
        draw.__name__: draw
        for draw in (
            objects.hand,
            objects.cut_hand,
            objects.mask,
            objects.hair,
            objects.thing,
            objects.hat,
            objects.hood,
            objects.scarf,
            objects.another_head,
            objects.writing,
            objects.bars,
        )
    },
}
MARKS: tuple[Draw, ...] = (
    marks.make_up,
    marks.face_paint,
    marks.beard,
    marks.shadow,
    marks.glare,
    marks.tattoo,
    marks.tongue,
    marks.relief,
)


def scene(seed: int) -> Scene:
    """Return a face of one colour, so that all that is drawn is seen."""
    rng = np.random.default_rng(seed)
    other = rng.integers(0, 256, (320, 320, 3), dtype=np.uint8)
    image = np.full((SIDE, SIDE, 3), (0.6, 0.45, 0.35), np.float32)
    return Scene(image, frontal_points(face_mesh()) * SIDE, [other], rng)


@pytest.mark.parametrize("draw", COVERS.values(), ids=COVERS)
def test_a_cover_changes_the_picture_where_it_hides_the_face(draw: Draw) -> None:
    hidden = 0
    for seed in range(6):
        shown = scene(seed)
        before = shown.image.copy()
        draw(shown)
        covered = shown.seen < 0.5
        hidden += int(covered.sum())
        assert shown.seen.min() >= 0
        assert shown.seen.max() <= 1
        changed = np.abs(shown.image - before).max(axis=2) > 0.004
        assert (changed | ~covered).mean() > 0.99
    assert hidden > 100


@pytest.mark.parametrize("draw", MARKS, ids=lambda draw: draw.__name__)
def test_a_mark_leaves_the_face_seen(draw: Draw) -> None:
    changed = False
    for seed in range(6):
        shown = scene(seed)
        # Grain, as lines are made deeper where there are some.
        shown.image = shown.image + 0.1 * shown.rng.random((SIDE, SIDE, 1)).astype(np.float32)
        before = shown.image.copy()
        draw(shown)
        assert (shown.seen == 1).all()
        changed |= bool((shown.image != before).any())
    assert changed


def test_a_file_of_pictures_is_the_same_each_time(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "face.png"), noise)
    mesh = frontal_points(face_mesh()) * 300
    person = scenes.Person(tmp_path / "face.png", "bare", mesh)
    first, second = (
        scenes.make_shard(scenes.Library([person], [person]), "training", 3, 4) for _ in range(2)
    )
    assert (first == second).all()
    other = scenes.make_shard(scenes.Library([person], [person]), "training", 4, 4)
    assert (first != other).any()


def test_nobody_is_in_two_splits() -> None:
    with scenes.PEOPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == len(rows)
    assert {row["split"] for row in rows} == {"training", "validation", "test", "unused"}
    labels = {row["label"] for row in rows if row["split"] == "training"}
    assert labels == {"bare", "hair", "hat"}
