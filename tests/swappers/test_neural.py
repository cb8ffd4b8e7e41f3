"""Stand-ins of the packs' swappers: what they are given arrives, and what they answer is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.compose.paste import paste
from engine.errors import ParameterError, RuntimeUnavailable, WeightsError, WeightsMissing
from engine.geometry import affine
from engine.geometry.face_mesh import OVAL
from engine.pixels.planes import region_bytes
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session
from engine.runtime.weights import WeightStore
from engine.swappers.neural import NeuralSwapper
from engine.swappers.polyphase import PIXEL_BOOSTS
from engine.swappers.sources import Latent
from engine.values import Aligned, Bytes, Frame, Portrait, Rect
from tests.swappers import stand_ins
from tests.swappers.stage import Shot, Stage, aligned, installed

OTHERS = ("hyperswap_1a_256", "hififace_unofficial_256", "uniface_256")
ALL = [*(("inswapper_128", boost) for boost in PIXEL_BOOSTS), *((name, 512) for name in OTHERS)]


@pytest.fixture(scope="module")
def tinted(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    return stand_ins.inswapper(tmp_path_factory.mktemp("tinted"), stand_ins.tinted)


def neural(store: WeightStore, name: str = "inswapper_128") -> NeuralSwapper:
    swapper = installed(store, name)
    assert isinstance(swapper, NeuralSwapper)
    return swapper


def with_embedding(shot: Shot, seed: int = 0, length: int = 512) -> Portrait:
    vector = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    face = replace(shot.face, embedding=vector / np.linalg.norm(vector))
    return replace(shot.portrait, face=face)


def shown(frame: Frame) -> Bytes:
    return region_bytes(frame, Rect(0, 0, *frame.size))


def crops(*sizes: int) -> list[Aligned]:
    rng = np.random.default_rng(1)
    return [
        Aligned(rng.random((n, n, 3), np.float32), np.eye(2, 3), np.zeros((468, 3), np.float32), 0)
        for n in sizes
    ]


@pytest.mark.parametrize(("name", "boost"), ALL)
def test_what_comes_back_as_it_was_is_shown_as_it_was(
    packs: WeightStore, stage: Stage, name: str, boost: int
) -> None:
    swapper, shot = neural(packs, name), stage.shot("P006")
    target = aligned(swapper, shot, boost)
    (patch,) = swapper.swap([target], [swapper.prepare([with_embedding(shot)])])
    np.testing.assert_allclose(patch.pixels, target.pixels, atol=1e-6)
    after = shown(paste(shot.frame, [patch]))
    oval = np.rint(shot.face.mesh.points[list(OVAL), :2]).astype(np.int32)
    inside = cv2.fillPoly(np.zeros(after.shape[:2], np.uint8), [oval], 1)
    around = cv2.dilate(inside, np.ones((15, 15), np.uint8))
    np.testing.assert_array_equal(after[around == 0], shot.picture[around == 0])
    error = (after.astype(np.float64) - shot.picture)[inside == 1]
    psnr = 10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-9))
    # Where a pixel of the crop is hardly less than one of this sharp picture, the finest detail
    # is at the limit of what it can hold.
    density = affine.scale_of(target.to_crop)
    assert psnr >= (45 if density > 1.1 else 44 if density > 1 else 25)


@pytest.mark.parametrize("boost", PIXEL_BOOSTS)
def test_latent_and_phases_arrive(tinted: WeightStore, stage: Stage, boost: int) -> None:
    swapper, shot = neural(tinted), stage.shot("P006")
    target = aligned(swapper, shot, boost)
    for seed in (1, 2):
        portrait = with_embedding(shot, seed)
        (patch,) = swapper.swap([target], [swapper.prepare([portrait])])
        embedding = portrait.face.embedding
        assert embedding is not None
        latent = embedding @ stand_ins.EMAP
        latent /= np.linalg.norm(latent)
        ramp = np.repeat(stand_ins.RAMP, boost // 128)[None, :, None]
        tint = stand_ins.TINT * latent[:3]
        expected = 0.5 * target.pixels + stand_ins.SHADE * ramp + tint
        np.testing.assert_allclose(patch.pixels, np.clip(expected, 0, 1), atol=1e-5)


def test_faces_of_all_sizes_share_batches(tinted: WeightStore, tmp_path: Path) -> None:
    """Each of a call's faces gets its own answer, made with its own source."""
    network = tinted.network("inswapper_128")
    graph = stand_ins.tinted(tmp_path / "free.onnx", batch="N")
    batched = NeuralSwapper(network, Batches(Session(graph), SIZES), Latent(stand_ins.EMAP))
    alone = neural(tinted)
    sources = np.random.default_rng(2).normal(scale=0.1, size=(4, 512)).astype(np.float32)
    targets = crops(128, 384, 256, 128)
    for one, other in zip(
        batched.swap(targets, list(sources)), alone.swap(targets, list(sources)), strict=True
    ):
        np.testing.assert_allclose(one.pixels, other.pixels, atol=1e-6)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_a_picture_for_a_source_is_cut_as_the_network_wants_it(
    packs: WeightStore, stage: Stage
) -> None:
    cut = neural(packs, "uniface_256").prepare([stage.shot("P001").portrait])
    assert cut.shape == (3, 256, 256)
    assert cut.dtype == np.float32
    assert 0 <= cut.min() < 0.2 < 0.6 < cut.max() <= 1


def test_a_converted_source_is_made_of_the_portrait(packs: WeightStore, stage: Stage) -> None:
    swapper = neural(packs, "hififace_unofficial_256")
    assert not swapper.needs_embedding
    one, same, other = (
        swapper.prepare([stage.shot(who).portrait]) for who in ("P001", "P001", "P003")
    )
    assert one.shape == (512,)
    assert float(one @ one) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(one, same)
    assert float(one @ other) < 0.999


@pytest.mark.parametrize(("length", "has"), [(None, "has none"), (128, "has one of 128")])
@pytest.mark.parametrize("name", ["inswapper_128", "hyperswap_1a_256"])
def test_another_embedder_s_embedding_is_refused(
    packs: WeightStore, stage: Stage, name: str, length: int | None, has: str
) -> None:
    swapper, shot = neural(packs, name), stage.shot("P001")
    portrait = with_embedding(shot, length=length or 1)
    if length is None:
        portrait = replace(portrait, face=replace(shot.face, embedding=None))
    assert swapper.needs_embedding
    with pytest.raises(WeightsError, match=f"512 .*w600k_r50.*{has}"):
        swapper.prepare([portrait])


def test_a_size_that_cannot_be_done_is_refused(packs: WeightStore) -> None:
    swapper = neural(packs, "hyperswap_1a_256")
    with pytest.raises(ParameterError, match=r"384x384.*hyperswap_1a_256.*512x512"):
        swapper.swap(crops(384), [np.zeros(512, np.float32)])


def test_a_network_that_fails_says_so(tmp_path: Path) -> None:
    store = stand_ins.inswapper(tmp_path, stand_ins.failing)
    with pytest.raises(RuntimeUnavailable, match=r"inswapper_128\.onnx failed"):
        neural(store).swap(crops(128), [np.zeros(512, np.float32)])


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    swapper = neural(stand_ins.inswapper(tmp_path, stand_ins.blind))
    (target,) = crops(256)
    sources = [np.zeros(512, np.float32)]
    assert swapper.swap([target], sources)[0].pixels.max() == 1
    target.pixels[100, 100] = 0.0
    with pytest.raises(RuntimeUnavailable, match=r"inswapper_128 answered .* fp32"):
        swapper.swap([target], sources)


def test_a_network_that_is_not_there_is_named(packs: WeightStore) -> None:
    with pytest.raises(WeightsMissing, match=r"ghost_1_256 needs ghost_1_256, crossface_ghost"):
        installed(packs, "ghost_1_256")


@pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")
def test_insightface_s_own_swapper_agrees(tinted: WeightStore, stage: Stage) -> None:
    """Alignment, latent and answer are those of the package's `INSwapper` on the same file."""
    reason = "insightface is not installed"
    module = pytest.importorskip("insightface.model_zoo.inswapper", reason=reason)
    common = pytest.importorskip("insightface.app.common", reason=reason)
    theirs = module.INSwapper(str(tinted.path("inswapper_128")))
    swapper, shot = neural(tinted), stage.shot("P006")
    points = shot.face.detection.points
    for seed in range(3):
        portrait = with_embedding(shot, seed)
        target = common.Face(kps=points)
        source = common.Face(embedding=7 * np.asarray(portrait.face.embedding))
        picture = np.ascontiguousarray(shot.picture[..., ::-1])
        fake, to_crop = theirs.get(picture, target, source, paste_back=False)
        unsure = replace(shot.face, mesh=replace(shot.face.mesh, score=0.0))
        own = aligned(swapper, replace(shot, face=unsure), 128)
        np.testing.assert_allclose(own.to_crop, to_crop, atol=1e-4)
        # The same crop for both: theirs is sampled bilinearly, ours by area.
        crop = cv2.warpAffine(shot.picture, to_crop, (128, 128)) / np.float32(255)
        same = replace(own, pixels=crop.astype(np.float32))
        (patch,) = swapper.swap([same], [swapper.prepare([portrait])])
        np.testing.assert_allclose(255 * patch.pixels, fake[..., ::-1], atol=1.01)
