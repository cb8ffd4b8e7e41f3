"""Portions hold every crop once, in order, and no more than fits."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from engine.runtime.portions import MAX_PIXELS, portions


@pytest.mark.parametrize("seed", range(5))
def test_every_crop_is_in_one_portion_that_is_full_and_not_too_large(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = [int(side) for side in rng.choice([128, 256, 384, 768, 1024, 2500], 60)]
    parts = [sides[part] for part in portions(sides)]
    assert list(chain(*parts)) == sides
    held = [sum(side**2 for side in part) for part in parts]
    assert all(many <= MAX_PIXELS or len(part) == 1 for many, part in zip(held, parts, strict=True))
    for many, (following, *_) in zip(held, parts[1:], strict=False):
        assert many + following**2 > MAX_PIXELS


@pytest.mark.parametrize(("side", "most"), [(128, 256), (256, 64), (512, 16), (1024, 4)])
def test_crops_of_one_size_are_whole_batches(side: int, most: int) -> None:
    counts = [len(range(100)[part]) for part in portions([side] * 100)]
    assert set(counts[:-1]) <= {most}
    assert sum(counts) == 100


def test_no_crops_are_no_portion() -> None:
    assert list(portions([])) == []
