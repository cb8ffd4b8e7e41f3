"""Whole swaps with imported swappers, using small stand-ins for the packs' networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import ParameterError, RuntimeUnavailable, WeightsError, WeightsMissing
from engine.media.decode import read_image
from engine.networks.pool import NetworkPool
from engine.options import Compute
from engine.values import Choice
from engine.weights.weight_store import RECORD, WeightStore
from tests.footage import MAN, STRANGER, TWO, asset, picture, write_clip, write_png
from tests.swappers import stand_ins

SOURCE = asset(STRANGER)
QUICK: dict[str, Any] = {"content_check": False, "face_selector_mode": "many"}


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO))


@pytest.fixture(scope="module")
def tinted(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    return stand_ins.inswapper(tmp_path_factory.mktemp("tinted"), stand_ins.tinted)


@pytest.fixture(scope="module")
def warm(tinted: WeightStore) -> Iterator[Engine]:
    with Engine(device="cpu", weights=tinted) as engine:
        yield engine


def apart(one: Path, other: Path) -> float:
    """Return the RMS difference of two pictures' samples."""
    first, second = (np.stack(read_image(path).planes).astype(np.float64) for path in (one, other))
    return float(np.sqrt(np.mean((first - second) ** 2)))


def choice(store: WeightStore, asked: str, boost: int) -> Choice:
    return NetworkPool(store, 1).on(Compute("cpu")).swapping.choice(asked, boost)


def test_the_first_installed_swapper_is_taken_and_the_source_is_read_for_it(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    report = warm.swap(SOURCE, still, one, pixel_boost="256x256", **QUICK)
    assert report.setup.swapper.name == "inswapper_128"
    assert "256x256" in report.setup.swapper.reason
    assert report.faces_swapped == 2
    assert apart(still, one) > 5
    # The tint is the source's; and whatever the selection compares faces by, the swapper reads
    # the source with its own embedder.
    settings = {**QUICK, "face_selector_mode": "reference", "embedder": "sface"}
    report = warm.swap(asset(MAN), still, other, pixel_boost="256x256", **settings)
    assert (report.faces_seen, report.faces_swapped) == (2, 1)
    assert apart(one, other) > 1


def test_an_identity_swapper_gives_the_picture_back(still: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.png"
    with Engine(device="cpu", weights=stand_ins.identities(tmp_path)) as engine:
        report = engine.swap(
            SOURCE, still, result, swapper="hyperswap_1a_256", pixel_boost="512x512", **QUICK
        )
    assert report.setup.swapper == Choice("hyperswap_1a_256", "it was asked for")
    assert report.faces_swapped == 2
    assert apart(still, result) < 255 / 10 ** (45 / 20)


def test_a_swapper_without_its_embedder_is_passed_over_and_says_so(
    still: Path, tmp_path: Path
) -> None:
    store = WeightStore(user_folder=tmp_path / "weights")
    store.import_path(stand_ins.identity(tmp_path / "inswapper_128.onnx"))
    found = choice(store, "auto", 384)
    assert found.name == "mesh"
    assert "inswapper_128 is installed, but w600k_r50" in found.reason
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(
            WeightsMissing,
            match=r"inswapper_128 needs w600k_r50, which is not installed; bring it in with .*imp",
        ),
    ):
        engine.swap(SOURCE, still, tmp_path / "no.png", swapper="inswapper_128", **QUICK)
    assert not (tmp_path / "no.png").exists()


def test_a_damaged_record_of_imports_stops_the_embedded_swapper_not(
    still: Path, tmp_path: Path
) -> None:
    store = WeightStore(user_folder=tmp_path / "weights")
    store.import_path(stand_ins.identity(tmp_path / "inswapper_128.onnx"))
    (store.user_folder / RECORD).write_text("")
    with Engine(device="cpu", weights=store) as engine:
        report = engine.swap(SOURCE, still, tmp_path / "out.png", swapper="mesh", **QUICK)
        assert any("imported.json" in note and "weights import" in note for note in report.notes)
        for swapper in ("auto", "inswapper_128"):
            with pytest.raises(WeightsError, match=r"imported\.json.* is damaged"):
                engine.swap(SOURCE, still, tmp_path / "no.png", swapper=swapper, **QUICK)


def test_what_cannot_do_the_pixel_boost_is_passed_over_or_refused(
    still: Path, tmp_path: Path
) -> None:
    stand_ins.identity(tmp_path / "hyperswap_1a_256.onnx")
    stand_ins.embedder(tmp_path / "w600k_r50.onnx")
    store = WeightStore(user_folder=tmp_path / "weights")
    store.import_path(tmp_path)
    assert choice(store, "auto", 384) == Choice(
        "mesh",
        "none of those installed swaps at 384x384: hyperswap_1a_256 at whole multiples of 256x256",
    )
    assert choice(store, "auto", 512).name == "hyperswap_1a_256"
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(ParameterError, match=r"384x384.*hyperswap_1a_256.*512x512"),
    ):
        engine.swap(
            SOURCE,
            still,
            tmp_path / "no.png",
            swapper="hyperswap_1a_256",
            pixel_boost="384x384",
            **QUICK,
        )
    assert not (tmp_path / "no.png").exists()


def test_a_network_that_fails_leaves_no_file(tmp_path: Path) -> None:
    store = stand_ins.inswapper(tmp_path, stand_ins.failing)
    clip = write_clip(tmp_path / "two people.mkv", (0, 40, 80))
    folder = tmp_path / "results"
    folder.mkdir()
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(RuntimeUnavailable, match=r"inswapper_128\.onnx failed on CPU"),
    ):
        engine.swap(SOURCE, clip, folder / "result.mkv", video_codec="ffv1", **QUICK)
    assert list(folder.iterdir()) == []
