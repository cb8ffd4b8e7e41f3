"""Properties of every swapper; a new one joins by a line in `SWAPPERS`.

Of a pack's swapper there is a stand-in that gives its target back: what is to be seen of a source
is asked of `LIKENESSES` alone.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import cv2
import measures
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.swappers.swapper import Swapper
from engine.values import Patch
from engine.weights.weight_store import WeightStore
from tests.swappers.stage import Stage, aligned, blended, fitting, installed, patch_of
from tests.swappers.stand_ins import KINDS

LIKENESSES = ["mesh"]
SWAPPERS = [*LIKENESSES, *(kind.name for kind in KINDS)]
SIZES = (128, 192, 256, 384, 512, 768, 1024)
PAIRS = (
    ("P001", "P006", "surprised"),
    ("P003", "P010", "playful"),
    ("P005", "P008", "sad"),
    ("P007", "P002", "happy"),
    ("P009", "P004", "portrait"),
    ("P010", "P003", "confused"),
)


@pytest.fixture(scope="module", params=SWAPPERS)
def swapper(request: pytest.FixtureRequest, packs: WeightStore) -> Swapper[Any]:
    return installed(packs, request.param)


def arrays(value: object) -> list[NDArray[Any]]:
    """Every array within a prepared source, in a fixed order."""
    if isinstance(value, np.ndarray):
        return [value]
    if is_dataclass(value):
        return [found for field in fields(value) for found in arrays(getattr(value, field.name))]
    if isinstance(value, (tuple, list)):
        return [found for item in value for found in arrays(item)]
    return [np.asarray(value)]


def same(one: Patch, other: Patch) -> bool:
    return bool(np.array_equal(one.pixels, other.pixels) and np.array_equal(one.mask, other.mask))


@pytest.mark.parametrize("size", SIZES)
def test_a_patch_is_like_its_crop(swapper: Swapper[Any], stage: Stage, size: int) -> None:
    if fitting(swapper, size) != size:
        pytest.skip("no pixel boost of the network's")
    target = aligned(swapper, stage.shot("P006"), size)
    (patch,) = swapper.swap([target], [stage.source(swapper, "P001")])
    assert patch.pixels.shape == (size, size, 3)
    assert patch.mask.shape == (size, size)
    np.testing.assert_array_equal(patch.to_crop, target.to_crop)
    for values in (patch.pixels, patch.mask):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1
    assert patch.mask.max() > 0.99
    assert 0.15 < patch.mask.mean() < 0.9


@pytest.mark.parametrize("size", [128, 384])
@pytest.mark.parametrize(
    ("whom", "what"), [("P002", "portrait"), ("P002", "shocked"), ("P004", "turned")]
)
def test_the_mask_ends_inside_the_crop(
    swapper: Swapper[Any], stage: Stage, whom: str, what: str, size: int
) -> None:
    patch = patch_of(swapper, stage.source(swapper, "P003"), stage.shot(whom, what), size)
    assert patch.mask.max() > 0.99
    for edge in (patch.mask[0], patch.mask[-1], patch.mask[:, 0], patch.mask[:, -1]):
        assert edge.max() == 0


def test_past_its_mask_the_patch_goes_on_as_the_target(swapper: Swapper[Any], stage: Stage) -> None:
    """Pasting interpolates there, and a network that tells regions apart sees the whole crop."""
    target = aligned(swapper, stage.shot("P006"))
    patch = patch_of(swapper, stage.source(swapper, "P001"), stage.shot("P006"))
    inside = (patch.mask > 0).astype(np.uint8)
    rim = (cv2.dilate(inside, np.ones((5, 5), np.uint8)) > 0) & (patch.mask < 0.02)
    beyond = inside == 0
    for where in (rim, beyond):
        assert np.abs(patch.pixels - target.pixels)[where].mean() < 0.02


def test_preparing_and_swapping_depend_on_nothing_else(swapper: Swapper[Any], stage: Stage) -> None:
    portrait = stage.portrait(swapper, "P001")
    before = portrait.pixels.copy()
    one, other = swapper.prepare([portrait]), swapper.prepare([portrait])
    for first, second in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(portrait.pixels, before)
    target = aligned(swapper, stage.shot("P006"))
    given = target.pixels.copy(), target.mesh.copy(), target.to_crop.copy()
    kept = [array.copy() for array in arrays(one)]
    patches = [swapper.swap([target], [source])[0] for source in (one, other, one)]
    assert same(patches[0], patches[1])
    assert same(patches[0], patches[2])
    for now, then in zip((target.pixels, target.mesh, target.to_crop), given, strict=True):
        np.testing.assert_array_equal(now, then)
    for now, then in zip(arrays(one), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_many_at_once_are_as_one_by_one(swapper: Swapper[Any], stage: Stage) -> None:
    targets = [
        aligned(swapper, stage.shot("P006")),
        aligned(swapper, stage.shot("P002", "happy")),
        aligned(swapper, stage.shot("P006"), 512),
    ]
    sources = [stage.source(swapper, who) for who in ("P001", "P003", "P003")]
    together = swapper.swap(targets, sources)
    alone = [swapper.swap([a], [b])[0] for a, b in zip(targets, sources, strict=True)]
    assert len(together) == len(alone)
    assert all(same(*pair) for pair in zip(together, alone, strict=True))
    assert swapper.swap([], []) == []


def test_each_target_needs_its_source(swapper: Swapper[Any], stage: Stage) -> None:
    with pytest.raises(ValueError, match="zip"):
        swapper.swap([aligned(swapper, stage.shot("P006"))], [])


@pytest.mark.parametrize("swapper", LIKENESSES, indirect=True)
@pytest.mark.parametrize(("who", "whom", "what"), PAIRS)
def test_the_face_becomes_the_source_s(
    swapper: Swapper[Any], stage: Stage, who: str, whom: str, what: str
) -> None:
    source, target = stage.shot(who), stage.shot(whom, what)
    result = stage.result(swapper, who, target)
    before, after = source.embedding @ target.embedding, source.embedding @ result.embedding
    assert after > before + 0.25
    # SFace takes two pictures for one person's from 0.363.
    assert after > 0.45
    assert after > target.embedding @ result.embedding


@pytest.mark.parametrize(("who", "whom", "what"), PAIRS)
def test_pose_and_expression_stay_the_target_s(
    swapper: Swapper[Any], stage: Stage, who: str, whom: str, what: str
) -> None:
    target = stage.shot(whom, what)
    wanted, got = target.face.mesh.points, stage.result(swapper, who, target).face.mesh.points
    assert measures.landmark_error(wanted, got) < 0.04
    assert abs(measures.mouth_opening(wanted) - measures.mouth_opening(got)) < 0.15
    assert abs(measures.eye_opening(wanted) - measures.eye_opening(got)) < 0.15


@pytest.mark.parametrize("size", [256, 384])
def test_a_hardly_moving_target_gives_a_hardly_moving_face(
    swapper: Swapper[Any], stage: Stage, size: int
) -> None:
    target = aligned(swapper, stage.shot("P006", "happy"), size)
    source = stage.source(swapper, "P001")
    still = blended(target, swapper.swap([target], [source])[0])
    rng = np.random.default_rng(0)
    for _ in range(4):
        moved = target.mesh + rng.normal(scale=0.0005 * size, size=(468, 3)).astype(np.float32)
        jittered = replace(target, mesh=moved)
        shown = blended(jittered, swapper.swap([jittered], [source])[0])
        assert np.abs(shown - still).mean() < 0.0015


def test_a_shifted_target_gives_a_shifted_face(swapper: Swapper[Any], stage: Stage) -> None:
    target = aligned(swapper, stage.shot("P006"), 256)
    source = stage.source(swapper, "P001")
    still = blended(target, swapper.swap([target], [source])[0])
    for by in (1, 3, 7):
        moved = replace(
            target,
            pixels=np.roll(target.pixels, by, axis=1),
            mesh=target.mesh + np.array((by, 0, 0), np.float32),
        )
        shown = np.roll(blended(moved, swapper.swap([moved], [source])[0]), -by, axis=1)
        assert np.abs(shown - still).mean() < 0.002
