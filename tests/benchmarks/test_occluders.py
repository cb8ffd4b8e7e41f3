"""Things before faces, drawn with exact masks, and how far they are kept."""

from __future__ import annotations

import numpy as np
import occluders
import pytest

from tests.benchmarks.test_appearance import as_bytes, mesh, skin

POINTS = mesh().points
KINDS = ("dark bar", "light bar", "spectacles", "fingers", "microphone")


def test_each_kind_covers_a_part_of_the_face_and_nothing_else() -> None:
    items = list(occluders.covered(skin(), POINTS))
    assert tuple(item.kind for item in items) == KINDS
    for item in items:
        assert 0.002 < (item.mask > 0.99).mean() < 0.2
        assert item.mask.min() == 0
        untouched = item.mask == 0
        assert (item.picture[untouched] == skin()[untouched]).all()
        assert np.abs(item.picture.astype(float) - skin())[item.mask > 0.99].mean() > 5


def test_they_are_drawn_alike_every_time() -> None:
    one, other = (list(occluders.covered(skin(), POINTS)) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        assert (first.picture == second.picture).all()
        assert (first.mask == second.mask).all()


@pytest.mark.parametrize("number", range(len(KINDS)), ids=KINDS)
def test_what_is_kept_is_not_changed_and_what_is_painted_over_is(number: int) -> None:
    item = list(occluders.covered(skin(), POINTS))[number]
    assert occluders.change(item, item.picture, POINTS) == 0
    beside = item.mask[..., None] == 0
    around = np.where(beside, as_bytes(item.picture * 0.5), item.picture)
    assert occluders.change(item, around.astype(np.uint8), POINTS) == 0
    assert (occluders.change(item, skin(), POINTS) or 0) > 5


def test_a_face_elsewhere_has_nothing_before_it() -> None:
    item = next(iter(occluders.covered(skin(), POINTS)))
    away = POINTS + np.array((4000, 0, 0), np.float32)
    assert occluders.change(item, item.picture, away) is None
