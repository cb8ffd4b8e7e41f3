"""Occluders and parsers get the inputs of their rows, and their outputs limit the swap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from engine.compose.limiter import Limiter
from engine.compose.mask_networks import soften_mask
from engine.compose.occluder import Occluder
from engine.compose.parsing import RegionLimiter
from engine.errors import ParameterError, RuntimeUnavailable, WeightsError
from engine.options import FaceRegion
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session, Tensor
from engine.values import Mask, Pixels
from engine.weights.manifest import Network
from engine.weights.weight_store import WeightStore
from tests.compose.crops import patch_of, plain, target_of
from tests.compose.mask_networks import (
    CLASSES,
    COLOURS,
    save_blind_occluder,
    save_occluder,
    save_parser,
)

SIDES = (128, 256, 384, 1024)
BLUE, YELLOW, BLACK = (0.2, 0.5, 1.0), (1.0, 0.9, 0.0), (0.0, 0.0, 0.0)
# Labels of the parser's classes, in its order, as the data set CelebAMask-HQ abbreviates them.
LABELS = """
    background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck
    neck_l cloth hair hat
"""
LONG = {"l_brow": "left-eyebrow", "l_eye": "left-eye", "u_lip": "upper-lip", "eye_g": "glasses"}
LONG |= {"r_brow": "right-eyebrow", "r_eye": "right-eye", "l_lip": "lower-lip"}
REGIONS: tuple[FaceRegion, ...] = get_args(FaceRegion)


def class_of(region: FaceRegion) -> int:
    return [LONG.get(label, label) for label in LABELS.split()].index(region)


def network(name: str) -> Network:
    return WeightStore().network(name)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_occluder(tmp_path_factory.mktemp("occluder") / "xseg_1.onnx")


@pytest.fixture(scope="module")
def occluder(graph: Path) -> Occluder:
    return Occluder(network("xseg_1"), Batches(Session(graph)))


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Batches:
    path = tmp_path_factory.mktemp("parser") / "bisenet_resnet_34.onnx"
    return Batches(Session(save_parser(path)))


def regions(parser: Batches, *chosen: FaceRegion) -> RegionLimiter:
    return RegionLimiter(network("bisenet_resnet_34"), parser, chosen)


def bare(occluder: Occluder, target: Pixels) -> Mask:
    (mask,) = occluder.bare_masks([target_of(target)])
    return checked(mask, target)


def seen(limiter: Limiter, target: Pixels, patch: Pixels) -> Mask:
    (mask,) = limiter.masks([target_of(target)], [patch_of(patch)])
    return checked(mask, target)


def checked(mask: Mask, target: Pixels) -> Mask:
    assert mask.shape == target.shape[:2]
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    return mask


def block(mask: Mask, left: float, top: float, right: float, bottom: float) -> Mask:
    """Return a part of a mask, in fractions of its side."""
    size = len(mask)
    rows = slice(round(top * size), round(bottom * size))
    return mask[rows, round(left * size) : round(right * size)]


@pytest.mark.parametrize("side", SIDES)
def test_an_occluder_sees_the_target_in_its_place_and_colours(
    occluder: Occluder, side: int
) -> None:
    target = plain(side, YELLOW)
    target[:, : side // 2] = BLUE
    mask = bare(occluder, target)
    assert block(mask, 0, 0, 0.45, 0.7).min() > 0.97
    assert block(mask, 0.5, 0, 1, 1).max() < 0.03
    assert block(mask, 0, 0.76, 1, 1).max() < 0.03


@pytest.mark.parametrize(("blue", "shown"), [(0.0, 0), (0.5, 0), (0.75, 0.5), (1.0, 1)])
def test_of_an_occluder_s_answer_the_upper_half_counts(
    occluder: Occluder, blue: float, shown: float
) -> None:
    mask = bare(occluder, plain(256, (1, 1, blue)))
    np.testing.assert_allclose(block(mask, 0, 0, 1, 0.6), shown, atol=1e-3)


def test_at_the_network_s_side_the_edge_is_facefusion_s(occluder: Occluder) -> None:
    rng = np.random.default_rng(0)
    target = np.repeat(np.repeat(rng.random((8, 8, 3), np.float32), 32, axis=0), 32, axis=1)
    blue = target[..., 2].copy()
    blue[192:] = 0
    theirs = (cv2.GaussianBlur(blue, (0, 0), 5).clip(0.5, 1) - 0.5) * 2
    np.testing.assert_allclose(bare(occluder, target)[16:-16], theirs[16:-16], atol=1e-5)


def test_an_edge_is_as_wide_in_every_crop() -> None:
    """Measured by the face, not by the pixel."""
    widths = []
    for side in SIDES:
        half = np.zeros((side, side), np.float32)
        half[:, side // 2 :] = 1
        row = soften_mask(half, side)[side // 2]
        widths.append(float(((row > 0.05) & (row < 0.95)).mean()))
    assert max(widths) - min(widths) < 0.015


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_s_name_means_its_class(parser: Batches, region: FaceRegion) -> None:
    """The patch shows each class in a field of its own, and the target says nothing."""
    field = 100
    board = np.zeros((25, 3), np.float32)
    board[:CLASSES] = COLOURS
    patch = board.reshape(5, 5, 3).repeat(field, axis=0).repeat(field, axis=1)
    mask = seen(regions(parser, region), plain(len(patch), COLOURS[class_of(region)]), patch)
    middles = mask[field // 2 :: field, field // 2 :: field].ravel()
    np.testing.assert_allclose(middles, np.arange(25) == class_of(region), atol=0.01)


@pytest.mark.parametrize("side", SIDES)
def test_regions_are_where_the_patch_shows_them(parser: Batches, side: int) -> None:
    patch = plain(side, COLOURS[17])
    patch[: side // 2] = COLOURS[1]
    patch[: side // 2, side // 2 :] = COLOURS[10]
    both = seen(regions(parser, "skin", "nose"), plain(side, BLACK), patch)
    assert block(both, 0, 0, 1, 0.45).min() > 0.97
    assert block(both, 0, 0.5, 1, 1).max() < 0.03
    nose = seen(regions(parser, "nose"), plain(side, BLACK), patch)
    assert block(nose, 0.55, 0, 1, 0.45).min() > 0.97
    assert block(nose, 0, 0, 0.5, 1).max() < 0.03
    assert (nose <= both).all()


def test_each_crop_of_a_call_gets_its_own_answer(
    graph: Path, occluder: Occluder, parser: Batches
) -> None:
    rng = np.random.default_rng(3)
    sizes = (128, 512, 256, 128, 384)
    coarse = [rng.random((8, 8, 3), np.float32) for _ in sizes]
    pictures = [
        np.asarray(cv2.resize(small, (size, size)), np.float32)
        for small, size in zip(coarse, sizes, strict=True)
    ]
    targets, patches = [*map(target_of, pictures)], [*map(patch_of, pictures)]
    batched = Occluder(network("xseg_2"), Batches(Session(graph), SIZES))
    for mask, picture in zip(batched.bare_masks(targets), pictures, strict=True):
        np.testing.assert_allclose(mask, bare(occluder, picture), atol=1e-6)
    limiter = regions(parser, "skin", "mouth", "lower-lip")
    for mask, target, patch in zip(limiter.masks(targets, patches), targets, patches, strict=True):
        (alone,) = limiter.masks([target], [patch])
        np.testing.assert_allclose(mask, alone, atol=1e-6)


class Counted(Batches):
    """Remembers how many pictures each call brought."""

    counts: list[int]

    def run(self, *arrays: Tensor) -> Tensor:
        self.counts.append(len(arrays[0]))
        return super().run(*arrays)


def test_many_crops_go_through_in_portions(parser: Batches) -> None:
    batches = Counted(parser.session)
    batches.counts = []
    patches = [patch_of(plain(128, colour)) for colour in COLOURS[:18]]
    masks = regions(batches, "nose").masks([], patches)
    assert batches.counts == [16, 2]
    shown = [n for n, mask in enumerate(masks) if mask.max() > 0]
    assert shown == [class_of("nose")]


def test_of_no_crops_there_are_no_masks(occluder: Occluder, parser: Batches) -> None:
    assert occluder.bare_masks([]) == []
    assert regions(parser, "skin").masks([], []) == []


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    graph = save_blind_occluder(tmp_path / "xseg_3.onnx")
    limiter = Occluder(network("xseg_3"), Batches(Session(graph)))
    assert bare(limiter, plain(256, YELLOW)).min() == 1
    with pytest.raises(RuntimeUnavailable, match=r"xseg_3 returned a mask that is not finite"):
        bare(limiter, plain(256, BLACK))


def test_a_network_of_another_role_is_refused(graph: Path, parser: Batches) -> None:
    with pytest.raises(WeightsError, match=r"bisenet_resnet_18 is not a .* role occluder.*parser"):
        Occluder(network("bisenet_resnet_18"), parser)
    with pytest.raises(WeightsError, match=r"xseg_1 is not a .* role parser.*occluder"):
        RegionLimiter(network("xseg_1"), Batches(Session(graph)), ["skin"])


def test_no_region_at_all_is_refused(parser: Batches) -> None:
    with pytest.raises(ParameterError, match=r"regions is empty.*skin.*lower-lip"):
        regions(parser)


def test_an_occluder_that_is_more_than_sure_has_its_edge_in_the_same_place(
    graph: Path, occluder: Occluder
) -> None:
    """Networks answer a little below 0 and above 1."""

    class Loud(Session):
        def run(self, *arrays: Tensor) -> list[Tensor]:
            return [3 * answer - 1 for answer in super().run(*arrays)]

    target = plain(256, YELLOW)
    target[:, :128] = BLUE
    loud = Occluder(network("xseg_1"), Batches(Loud(graph)))
    np.testing.assert_array_equal(bare(loud, target), bare(occluder, target))


def test_beyond_a_known_face_the_answer_of_the_embedded_network_does_not_count(graph: Path) -> None:
    """The stand-in sees a face in blue alone."""
    occluder = Occluder(network("xseg_1"), Batches(Session(graph)), within_face=True)
    target = target_of(plain(256, YELLOW))
    (mask,) = occluder.bare_masks([target])
    x, y = np.rint(target.mesh[1, :2]).astype(int)
    assert mask[y, x] == 0
    assert mask[0, 0] == 1
    (lost,) = occluder.bare_masks([replace(target, score=0.0)])
    assert lost.min() == 1
