"""Stand-ins of the packs' swappers: their inputs arrive, and their outputs are in the patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.compose.paste import paste
from engine.errors import ParameterError, RuntimeUnavailable, WeightsError, WeightsMissing
from engine.faces.landmarks import alignment_points
from engine.geometry import affine
from engine.geometry.mesh_topology import OVAL
from engine.options import PIXEL_BOOSTS
from engine.pixels.planes import region_bytes
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session, Tensor
from engine.swappers.neural.network import NeuralSwapper
from engine.swappers.neural.source_encoding import (
    EMBEDDER,
    EMBEDDING_ENCODER,
    CropEncoder,
    EmapEncoder,
)
from engine.values import Aligned, Bytes, Frame, Portrait, Rect
from engine.weights.weight_store import WeightStore
from tests.swappers import stand_ins
from tests.swappers.stage import Shot, Stage, aligned, installed
from tests.swappers.stand_ins import KINDS, Kind

# Every size of the smallest network's, and of the others one that takes several phases.
ALL = [
    *((KINDS[0], boost) for boost in PIXEL_BOOSTS),
    *((kind, 1024 if kind.side == 512 else 512) for kind in KINDS[1:]),
]
IDS = [f"{kind.name}-{boost}" for kind, boost in ALL]
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
WEIGHABLE = [kind for kind in KINDS if kind.source == (512,)]


@pytest.fixture(scope="module")
def tinted(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    return stand_ins.family(tmp_path_factory.mktemp("tinted"), stand_ins.tinted)


def neural(
    store: WeightStore, name: str = "inswapper_128", source_weight: float = 1.0
) -> NeuralSwapper:
    swapper = installed(store, name, source_weight)
    assert isinstance(swapper, NeuralSwapper)
    return swapper


def unit(vector: Tensor) -> Tensor:
    return vector / np.linalg.norm(vector)


def direction(seed: int, length: int = 512) -> Tensor:
    return unit(np.random.default_rng(seed).normal(size=length).astype(np.float32))


def with_embedding(shot: Shot, seed: int = 0, length: int = 512) -> Portrait:
    return replace(shot.portrait, face=replace(shot.face, embedding=direction(seed, length)))


def identity_of(store: WeightStore, kind: Kind, portraits: Sequence[Portrait]) -> Tensor:
    """Return the embedding of the person shown; its length is 1 unless a converter reads it."""
    if not kind.converter:
        known = [one.face.embedding for one in portraits if one.face.embedding is not None]
        return unit(np.sum(known, axis=0))
    crop = CropEncoder(store.network(EMBEDDER).input, alignment_points)
    embedder = Session(store.path(EMBEDDER))
    answers = [embedder.run(crop.picture(one)[None])[0][0] for one in portraits]
    mean: Tensor = np.mean(answers, axis=0)
    return mean


def code_of(kind: Kind, identity: Tensor) -> Tensor:
    """Return the identity as the network takes it."""
    if kind.converter:
        converted = 2 * identity + stand_ins.LEAN
        return converted if kind.name.startswith("ghost") else unit(converted)
    return unit(identity @ stand_ins.EMAP) if kind.name == "inswapper_128" else identity


def colours_of(store: WeightStore, kind: Kind, portrait: Portrait) -> Tensor:
    """Return the mean colours of the portrait's face, as the network's input has them."""
    source = store.network(kind.name).source
    assert source is not None
    assert source.input is not None
    colours: Tensor = (
        CropEncoder(source.input, alignment_points).picture(portrait).mean(axis=(1, 2))
    )
    return colours


def network_input(swapper: NeuralSwapper, source: Tensor, target: Tensor | None = None) -> Tensor:
    """Return the first three numbers of a tinted network's input, read from its output."""
    side = swapper.side
    grey = np.full((side, side, 3), 0.5, np.float32)
    crop = Aligned(grey, np.eye(2, 3), np.zeros((468, 3), np.float32), 0, target)
    (patch,) = swapper.swap([crop], [source])
    plain = 0.5 * grey + stand_ins.SHADE * stand_ins.ramp(side)[None, :, None]
    tint: Tensor = (patch.pixels - plain).mean(axis=(0, 1), dtype=np.float64)
    return tint / stand_ins.TINT


def frame_pixels(frame: Frame) -> Bytes:
    return region_bytes(frame, Rect(0, 0, *frame.size))


def crops(*sides: int) -> list[Aligned]:
    rng = np.random.default_rng(1)
    mesh = np.zeros((468, 3), np.float32)
    return [
        Aligned(rng.random((side, side, 3), np.float32), np.eye(2, 3), mesh, 0, direction(n))
        for n, side in enumerate(sides)
    ]


@pytest.mark.parametrize(("kind", "boost"), ALL, ids=IDS)
def test_what_comes_back_as_it_was_is_shown_as_it_was(
    packs: WeightStore, stage: Stage, kind: Kind, boost: int
) -> None:
    swapper, shot = neural(packs, kind.name), stage.shot("P006")
    target = aligned(swapper, shot, boost)
    (patch,) = swapper.swap([target], [swapper.prepare([with_embedding(shot)])])
    np.testing.assert_allclose(patch.pixels, target.pixels, atol=1e-6)
    after = frame_pixels(paste(shot.frame, [patch]))
    oval = np.rint(shot.face.mesh.points[list(OVAL), :2]).astype(np.int32)
    inside = cv2.fillPoly(np.zeros(after.shape[:2], np.uint8), [oval], 1)
    around = cv2.dilate(inside, np.ones((15, 15), np.uint8))
    np.testing.assert_array_equal(after[around == 0], shot.picture[around == 0])
    error = (after.astype(np.float64) - shot.picture)[inside == 1]
    psnr = 10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-9))
    assert psnr >= (45 if affine.scale_of(target.to_crop) >= 1 else 32)


@pytest.mark.parametrize(("kind", "boost"), ALL, ids=IDS)
def test_source_and_phases_arrive(
    tinted: WeightStore, stage: Stage, kind: Kind, boost: int
) -> None:
    swapper, shot = neural(tinted, kind.name), stage.shot("P006")
    target = aligned(swapper, shot, boost)
    for seed, who in enumerate(("P001", "P003")):
        portrait = with_embedding(stage.shot(who), seed)
        (patch,) = swapper.swap([target], [swapper.prepare([portrait])])
        if kind.source == (512,):
            code = code_of(kind, identity_of(tinted, kind, [portrait]))[:3]
        else:
            code = colours_of(tinted, kind, portrait)
        ramp = np.repeat(stand_ins.ramp(kind.side), boost // kind.side)[None, :, None]
        expected = 0.5 * target.pixels + stand_ins.SHADE * ramp + stand_ins.TINT * code
        np.testing.assert_allclose(patch.pixels, np.clip(expected, 0, 1), atol=1e-5)


@EACH
def test_several_portraits_are_averaged(tinted: WeightStore, stage: Stage, kind: Kind) -> None:
    """A network that takes the source as a picture gets the first one."""
    swapper = neural(tinted, kind.name)
    portraits = [with_embedding(stage.shot(who), n) for n, who in enumerate(("P001", "P003"))]
    together, first = swapper.prepare(portraits), swapper.prepare(portraits[:1])
    assert swapper.averages == (kind in WEIGHABLE)
    if swapper.averages:
        code = code_of(kind, identity_of(tinted, kind, portraits))
        np.testing.assert_allclose(network_input(swapper, together), code[:3], atol=1e-5)
        assert np.abs(together - first).max() > 0.01
    else:
        np.testing.assert_array_equal(together, first)


@pytest.mark.parametrize("weight", [0, 0.3, 0.65, 1.5])
@pytest.mark.parametrize("kind", WEIGHABLE, ids=lambda kind: kind.name)
def test_a_weighed_source_lies_between_it_and_the_target(
    tinted: WeightStore, stage: Stage, kind: Kind, weight: float
) -> None:
    """Blended where ArcFace's embeddings are, before the network's own space is entered."""
    swapper, other = neural(tinted, kind.name, weight), direction(7)
    assert swapper.needs_target_embedding
    portrait = with_embedding(stage.shot("P001"))
    own = identity_of(tinted, kind, [portrait])
    blend = np.linalg.norm(own) * unit(weight * unit(own) + (1 - weight) * other)
    told = network_input(swapper, swapper.prepare([portrait]), other)
    np.testing.assert_allclose(told, code_of(kind, blend)[:3], atol=1e-5)


@pytest.mark.parametrize("kind", WEIGHABLE, ids=lambda kind: kind.name)
def test_at_the_full_weight_a_target_s_embedding_does_not_matter(
    tinted: WeightStore, stage: Stage, kind: Kind
) -> None:
    swapper = neural(tinted, kind.name)
    assert not swapper.needs_target_embedding
    source = swapper.prepare([with_embedding(stage.shot("P001"))])
    np.testing.assert_array_equal(
        network_input(swapper, source), network_input(swapper, source, direction(7))
    )
    nearly = neural(tinted, kind.name, 1 - 1e-7)
    other = nearly.prepare([with_embedding(stage.shot("P001"))])
    np.testing.assert_allclose(
        network_input(nearly, other, direction(7)), network_input(swapper, source), atol=1e-5
    )


@pytest.mark.parametrize(("length", "has"), [(None, "has none"), (128, "has one of 128")])
def test_a_target_without_arcface_s_embedding_cannot_be_weighed(
    tinted: WeightStore, stage: Stage, length: int | None, has: str
) -> None:
    swapper = neural(tinted, source_weight=0.5)
    source = swapper.prepare([with_embedding(stage.shot("P001"))])
    other = None if length is None else direction(7, length)
    with pytest.raises(WeightsError, match=f"512 .*w600k_r50.*a target {has}.*source_weight"):
        network_input(swapper, source, other)


@EACH
def test_only_embeddings_can_be_weighed(packs: WeightStore, kind: Kind) -> None:
    if kind in WEIGHABLE:
        assert neural(packs, kind.name, 0.5).needs_target_embedding
        return
    able = ".*".join(dict.fromkeys(packs.network(one.name).pack for one in WEIGHABLE[1:]))
    with pytest.raises(
        ParameterError, match=rf"source_weight is 0\.5.*{kind.name}.*allowed: 1.*{able}"
    ):
        neural(packs, kind.name, 0.5)


@pytest.mark.parametrize(
    ("kind", "weight"), [*((kind, 1.0) for kind in KINDS), *((kind, 0.4) for kind in WEIGHABLE)]
)
def test_faces_of_all_sizes_share_batches(
    tinted: WeightStore, tmp_path: Path, kind: Kind, weight: float
) -> None:
    """Each of a call's faces gets its own output, made with its own source and its own identity."""
    graph = stand_ins.tinted(tmp_path / f"{kind.name}.onnx", batch="N")
    encode = EmapEncoder(stand_ins.EMAP) if kind.name == "inswapper_128" else EMBEDDING_ENCODER
    batched, alone = (
        NeuralSwapper(
            tinted.network(kind.name), Batches(session, sizes), encode, source_weight=weight
        )
        for session, sizes in ((Session(graph), SIZES), (Session(tinted.path(kind.name)), (1,)))
    )
    rng = np.random.default_rng(2)
    targets = crops(*(kind.side * n for n in ((1, 3, 2, 1) if kind.side < 512 else (1, 2, 1))))
    sources = list(rng.normal(scale=0.1, size=(len(targets), *kind.source)).astype(np.float32))
    together = batched.swap(targets, sources)
    for patch, target, source in zip(together, targets, sources, strict=True):
        (expected,) = alone.swap([target], [source])
        np.testing.assert_allclose(patch.pixels, expected.pixels, atol=1e-6)
        np.testing.assert_array_equal(patch.mask, expected.mask)


@EACH
def test_what_a_network_is_given_is_as_it_wants_it(tinted: WeightStore, kind: Kind) -> None:
    """Rows in the order of the phases, normalised as FaceFusion does, in the graph's own order."""
    swapper = neural(tinted, kind.name)
    targets = crops(2 * kind.side, kind.side)
    sources = list(np.random.default_rng(2).random((2, *kind.source), np.float32))
    arrays = swapper.inputs(targets, sources)
    codes, pictures = arrays if kind.source_first else arrays[::-1]
    assert pictures.dtype == codes.dtype == np.float32
    assert pictures.shape == (5, 3, kind.side, kind.side)
    np.testing.assert_array_equal(codes, np.stack([sources[0]] * 4 + [sources[1]]))
    parts = [targets[0].pixels[a::2, b::2] for a in (0, 1) for b in (0, 1)]
    for row, part in zip(pictures, [*parts, targets[1].pixels], strict=True):
        wanted = (part - np.array(kind.mean)) / np.array(kind.std)
        np.testing.assert_allclose(row.transpose(1, 2, 0), wanted, atol=1e-5)


def test_the_packs_rows_are_these_kinds(packs: WeightStore) -> None:
    rows = [network for network in packs.installable() if network.role == "swapper"]
    assert {kind.name for kind in KINDS} <= {row.name for row in rows}
    for row in rows:
        (kind,) = (
            kind
            for kind in KINDS
            if (packs.network(kind.name).pack, kind.side) == (row.pack, row.input.size)
        )
        assert row.source is not None
        assert row.input.template == kind.template
        assert row.source.converter == kind.converter
        assert row.output_range == kind.output_range
        np.testing.assert_allclose(row.input.mean, 255 * np.array(kind.mean), atol=1e-3)
        np.testing.assert_allclose(row.input.std, 255 * np.array(kind.std), atol=1e-3)
        shapes = {pattern.name: pattern.shape for pattern in row.inputs}
        assert shapes == {"target": (3, kind.side, kind.side), "source": kind.source}


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


def test_what_draws_but_takes_no_source_is_no_swapper(packs: WeightStore) -> None:
    batches = Batches(Session(packs.path("inswapper_128")))
    with pytest.raises(WeightsError, match=r"gfpgan_1\.4 cannot swap faces; its role is restorer"):
        NeuralSwapper(packs.network("gfpgan_1.4"), batches, EMBEDDING_ENCODER)


def test_a_network_that_fails_says_so(tmp_path: Path) -> None:
    store = stand_ins.family(tmp_path, stand_ins.failing)
    for kind in KINDS:
        with pytest.raises(RuntimeUnavailable, match=rf"{kind.name}\.onnx failed"):
            neural(store, kind.name).swap(crops(kind.side), [np.zeros(kind.source, np.float32)])


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    swapper = neural(stand_ins.inswapper(tmp_path, stand_ins.blind))
    (target,) = crops(256)
    sources = [np.zeros(512, np.float32)]
    assert swapper.swap([target], sources)[0].pixels.max() == 1
    target.pixels[100, 100] = 0.0
    with pytest.raises(RuntimeUnavailable, match=r"output of inswapper_128 is not finite.*fp32"):
        swapper.swap([target], sources)


def test_a_network_that_is_not_there_is_named(packs: WeightStore) -> None:
    with pytest.raises(WeightsMissing, match=r"ghost_2_256 is not installed; bring"):
        installed(packs, "ghost_2_256")


@pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")
def test_insightface_s_own_swapper_agrees(tinted: WeightStore, stage: Stage) -> None:
    """Alignment, latent and output are those of the package's `INSwapper` on the same file."""
    reason = "insightface is not installed"
    module = pytest.importorskip("insightface.model_zoo.inswapper", reason=reason)
    common = pytest.importorskip("insightface.app.common", reason=reason)
    theirs = module.INSwapper(str(tinted.path("inswapper_128")))
    swapper, shot = neural(tinted), stage.shot("P006")
    points = shot.face.detection.points
    for seed in range(3):
        portrait = with_embedding(shot, seed)
        target = common.Face(kps=points)
        source = common.Face(EMBEDDING_ENCODER=7 * np.asarray(portrait.face.embedding))
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
