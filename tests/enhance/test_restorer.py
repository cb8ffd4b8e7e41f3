"""Stand-ins of the packs' restorers: they get the crop, and their output is in the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto
from people import person, read

from engine.compose.paste import paste
from engine.enhance.restorer import Restorer
from engine.errors import RuntimeUnavailable, WeightsError
from engine.geometry import affine
from engine.optimise import prepare
from engine.pixels.align import frame_crop
from engine.pixels.box_mask import box_mask
from engine.pixels.patch_warp import patch_extent
from engine.pixels.planes import region_bytes
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session
from engine.values import Aligned, Colour, Frame, PixelFormat, Rect
from engine.weights.weight_store import WeightStore
from tests.enhance import restorers
from tests.enhance.restorers import CODEFORMER, GFPGAN, KINDS, Kind, Setting

BLEND = 0.8
STORE = WeightStore()


def restorer(
    make: Callable[[Path, Kind], Path],
    folder: Path,
    kind: Kind = GFPGAN,
    *,
    sizes: tuple[int, ...] | None = None,
    blend: float = BLEND,
    fidelity: float = 0.5,
) -> Restorer:
    batches = Batches(Session(make(folder, kind)), sizes)
    return Restorer(STORE.network(kind.name), batches, blend=blend, fidelity=fidelity)


def crops(side: int, count: int = 1) -> list[Aligned]:
    """Noise, each crop brighter than the one before it."""
    rng = np.random.default_rng(1)
    return [
        Aligned(
            (0.05 * n + 0.3 * rng.random((side, side, 3))).astype(np.float32),
            affine.shift(n, 0),
            np.zeros((468, 3), np.float32),
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """All restorers, imported from a folder of files named as they were published."""
    folder = tmp_path_factory.mktemp("restorers")
    for kind in KINDS:
        restorers.identity(folder, kind)
    imported = WeightStore(user_folder=folder / "weights")
    assert imported.import_path(folder).skipped == ()
    return imported


def test_every_restorer_of_the_packs_is_held_to_this() -> None:
    rows = [network for network in STORE.installable() if network.role == "restorer"]
    assert {row.name for row in rows} == {kind.name for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_drawn_as_it_was_comes_back_as_it_was(store: WeightStore, kind: Kind) -> None:
    """Each is recognised, shown a crop of its side at its template, and understood."""
    session = Session(store.path(kind.name))
    whole = Restorer(store.network(kind.name), Batches(session), blend=1)
    assert (whole.name, whole.size, whole.template.name) == (kind.name, kind.side, kind.template)
    assert whole.takes_fidelity == (kind.setting is not None)
    (target,) = crops(kind.side)
    (patch,) = whole.enhance([target])
    assert patch.to_crop is target.to_crop
    np.testing.assert_allclose(patch.pixels, target.pixels, atol=1e-5)
    np.testing.assert_array_equal(patch.mask, box_mask(kind.side))


@pytest.mark.parametrize("blend", [0.0, 0.3, 1.0])
def test_a_restorer_shows_by_its_blend(tmp_path: Path, blend: float) -> None:
    (target,) = crops(512)
    (patch,) = restorer(restorers.tinted, tmp_path, blend=blend).enhance([target])
    shown = target.pixels + patch.mask[..., None] * (patch.pixels - target.pixels)
    expected = (1 - blend / 2) * target.pixels + blend * restorers.TINT
    middle = slice(150, 362)
    np.testing.assert_allclose(shown[middle, middle], expected[middle, middle], atol=1e-5)
    np.testing.assert_array_equal(shown[0], target.pixels[0])
    with pytest.raises(ValueError, match="read-only"):
        patch.mask[0, 0] = 1


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT])
@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("first", [False, True])
def test_the_fidelity_arrives(
    tmp_path: Path, kind: int, shape: tuple[int, ...], *, first: bool
) -> None:
    published = replace(CODEFORMER, setting=Setting(kind, shape, first))
    (target,) = crops(512)
    for fidelity in (0.0, 0.7, 1.0):
        network = restorer(restorers.dimmed, tmp_path, published, fidelity=fidelity)
        assert network.takes_fidelity
        (patch,) = network.enhance([target])
        np.testing.assert_allclose(patch.pixels, fidelity * target.pixels, atol=1e-5)


@pytest.mark.parametrize("make", [restorers.tinted, restorers.dimmed])
def test_faces_of_a_call_keep_their_order_in_batches(
    tmp_path: Path, make: Callable[[Path, Kind], Path]
) -> None:
    targets = crops(512, 7)
    kind = restorers.batched(CODEFORMER)
    together = restorer(make, tmp_path, kind, sizes=SIZES).enhance(targets)
    alone = restorer(make, tmp_path, CODEFORMER)
    for target, patch in zip(targets, together, strict=True):
        assert patch.to_crop is target.to_crop
        np.testing.assert_allclose(patch.pixels, alone.enhance([target])[0].pixels, atol=1e-6)


def test_a_graph_with_a_fidelity_can_be_prepared_for_batches(store: WeightStore) -> None:
    graph = prepare.prepare(store, CODEFORMER.name)
    session = Session(graph.path)
    assert session.batchable
    network = Restorer(store.network(CODEFORMER.name), Batches(session, SIZES))
    targets = crops(512, 2)
    for target, patch in zip(targets, network.enhance(targets), strict=True):
        np.testing.assert_allclose(patch.pixels, target.pixels, atol=1e-5)


def test_a_restored_face_is_pasted_where_it_was(tmp_path: Path) -> None:
    whole = read(person("P006").portrait)
    picture = cv2.resize(whole, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    planes = tuple(picture[..., channel].astype(np.uint8) for channel in (1, 2, 0))
    colour = Colour("rgb", full_range=True)
    frame = Frame(0, 0, Fraction(1, 25), planes, PixelFormat("gbrp", "rgb", 8), colour)
    turn = 1.3 * np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    middle = np.array(frame.size) * (0.5, 0.4)
    to_crop = np.column_stack([turn, 255.5 - turn @ middle])
    target = replace(crops(512)[0], pixels=frame_crop(frame, to_crop, 512), to_crop=to_crop)
    patches = restorer(restorers.identity, tmp_path, blend=1).enhance([target])
    after = region_bytes(paste(frame, patches), Rect(0, 0, *frame.size)).astype(np.float64)
    before = region_bytes(frame, Rect(0, 0, *frame.size))
    reached = np.zeros(before.shape[:2], bool)
    rect = patch_extent(patches[0], frame.size)
    assert rect is not None
    reached[rect.top : rect.bottom, rect.left : rect.right] = True
    np.testing.assert_array_equal(after[~reached], before[~reached])
    error = float(np.mean((after - before)[reached] ** 2))
    assert 10 * np.log10(255**2 / error) >= 45


def test_nobody_to_restore_is_no_work(tmp_path: Path) -> None:
    assert restorer(restorers.failing, tmp_path).enhance([]) == []


def test_a_crop_of_another_side_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gfpgan_1\.4\.onnx takes input of shape"):
        restorer(restorers.identity, tmp_path).enhance(crops(256))


def test_a_network_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"gfpgan_1\.4\.onnx failed"):
        restorer(restorers.failing, tmp_path).enhance(crops(512))


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    network = restorer(restorers.blind, tmp_path)
    (target,) = crops(512)
    assert network.enhance([target])[0].pixels.max() == 1
    target.pixels[100, 100] = 0.5
    with pytest.raises(RuntimeUnavailable, match=r"output of gfpgan_1\.4 is not finite.*fp32"):
        network.enhance([target])


def test_another_network_is_refused(tmp_path: Path) -> None:
    batches = Batches(Session(restorers.identity(tmp_path, GFPGAN)))
    with pytest.raises(WeightsError, match=r"bisenet_resnet_18 cannot .* role is parser"):
        Restorer(STORE.network("bisenet_resnet_18"), batches)
