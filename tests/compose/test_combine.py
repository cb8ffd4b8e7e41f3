"""Of several masks the least counts, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.compose.combine import limit_patches
from engine.values import Aligned, Mask, Patch
from tests.compose.crops import patch_of, plain, target_of

SIZES = (64, 96, 64)


@dataclass
class Noise:
    """A limiter whose masks are noise, and remembered."""

    seed: int
    given: list[Mask] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)

    def masks(self, targets: Sequence[Aligned], patches: Sequence[Patch]) -> list[Mask]:
        rng = np.random.default_rng(self.seed)
        self.given = [rng.random(target.pixels.shape[:2], np.float32) for target in targets]
        self.patches = [*patches]
        return self.given


def noisy() -> tuple[list[Aligned], list[Patch]]:
    rng = np.random.default_rng(7)
    crops = [plain(size, (0.1, 0.2, 0.3)) for size in SIZES]
    patches = [patch_of(crop, rng.random(crop.shape[:2], np.float32)) for crop in crops]
    return [*map(target_of, crops)], patches


def test_the_least_of_all_masks_is_left() -> None:
    targets, patches = noisy()
    limiters = [Noise(1), Noise(2), Noise(3)]
    result = limit_patches(targets, patches, limiters)
    for index, (before, after) in enumerate(zip(patches, result, strict=True)):
        masks = [before.mask, *(limiter.given[index] for limiter in limiters)]
        np.testing.assert_array_equal(after.mask, np.min(masks, axis=0))
        assert after.pixels is before.pixels
        assert after.to_crop is before.to_crop
    for limiter in limiters:
        assert all(
            map(np.array_equal, (p.mask for p in limiter.patches), (p.mask for p in patches))
        )


def test_masks_that_were_given_are_not_written_to() -> None:
    targets, patches = noisy()
    before = [patch.mask.copy() for patch in patches]
    limiter = Noise(1)
    limit_patches(targets, patches, [limiter, Noise(2)])
    assert all(map(np.array_equal, before, (patch.mask for patch in patches)))
    again = Noise(1)
    again.masks(targets, patches)
    assert all(map(np.array_equal, limiter.given, again.given))


def test_what_is_before_a_face_limits_its_patch_alone() -> None:
    targets, patches = noisy()
    bare = np.full((SIZES[0],) * 2, 0.25, np.float32)
    result = limit_patches([replace(targets[0], bare=bare), *targets[1:]], patches, [])
    np.testing.assert_array_equal(result[0].mask, np.minimum(patches[0].mask, 0.25))
    assert [*map(id, result[1:])] == [*map(id, patches[1:])]


def test_without_limiters_the_very_patches_are_left() -> None:
    targets, patches = noisy()
    assert all(a is b for a, b in zip(limit_patches(targets, patches, []), patches, strict=True))
    assert limit_patches([], [], [Noise(1)]) == []
