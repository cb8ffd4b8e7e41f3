"""Precision and batch size of each network on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import WeightsCorrupt
from engine.networks import pool
from engine.networks.pool import DeviceNetworks, NetworkPool
from engine.optimise import prepare, validation
from engine.optimise.int8 import Int8Calibration
from engine.optimise.prepare import Prepared
from engine.options import Compute, Precision
from engine.runtime import providers
from engine.runtime.providers import Probe, Provider, choose
from engine.runtime.session import Session
from engine.swappers.neural.source_encoding import ConverterEncoder
from engine.weights.weight_store import WeightStore
from tests.runtime.tiny_models import Signature
from tests.swappers import stand_ins

GENDER_AGE = Signature({"data": ("N", 3, 96, 96)}, {"fc1": (1, 3)})
SWAPPER, CONVERTER, DETECTOR = "ghost_1_256", "crossface_ghost", "yunet"


class CardSession(Session):
    """A session that runs on the CPU and reports the requested provider."""

    def __init__(
        self, path: Path, wanted: Sequence[Provider], *, threads: int | None = None
    ) -> None:
        super().__init__(path, threads=threads)
        self.options = {name: value for one in wanted for name, value in one.options}
        self.provider = wanted[0].name


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    return stand_ins.identities(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a machine with working TensorRT and CUDA."""

    def works(provider: Provider) -> Probe:
        return Probe(provider.name, works=True)

    monkeypatch.setattr(providers, "choose", lambda compute: choose(compute, works))
    for room in (pool, prepare, validation):
        monkeypatch.setattr(room, "Session", CardSession)


def networks(store: WeightStore, precision: Precision) -> DeviceNetworks:
    return NetworkPool(store, 1).on(Compute("tensorrt", precision))


def halved(session: Session) -> bool:
    assert isinstance(session, CardSession)
    return session.options["trt_fp16_enable"] == "1"


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_only_what_draws_is_halved(store: WeightStore, precision: Precision) -> None:
    on = networks(store, precision)
    swapping = on.swapping
    assert halved(swapping.graph(SWAPPER).batches.session) == (precision == "fp16")
    assert not halved(swapping.fp32_graph(SWAPPER).batches.session)
    assert not halved(swapping.fp32_graph(CONVERTER).batches.session)
    assert not halved(swapping.session(DETECTOR))
    assert not halved(on.session(DETECTOR))


@pytest.mark.usefixtures("card")
def test_networks_at_fp32_are_loaded_once_whatever_else_is_asked(store: WeightStore) -> None:
    shared = NetworkPool(store, 1)
    whole, half = (shared.on(Compute("tensorrt", asked)) for asked in ("fp32", "fp16"))
    assert whole.session(DETECTOR) is half.session(DETECTOR)
    assert whole.swapping.graph(SWAPPER) is half.swapping.fp32_graph(SWAPPER)
    assert whole.swapping.graph(SWAPPER) is not half.swapping.graph(SWAPPER)


@pytest.mark.usefixtures("card")
def test_a_converter_is_run_in_batches_by_all_threads(store: WeightStore) -> None:
    swapping = networks(store, "fp16").swapping
    encoder = swapping.encoder(store.network(SWAPPER))
    assert isinstance(encoder, ConverterEncoder)
    assert encoder.converter is swapping.fp32_graph(CONVERTER).batches
    assert encoder.converter.max_size == 16


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("alone", [False, True])
def test_what_mixes_its_pictures_is_given_one_at_a_time(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    path = prepare.prepare(store, SWAPPER).path
    monkeypatch.setattr(pool, "prepare", lambda *_, **__: Prepared(path, "Why.", single=alone))
    graph = networks(store, "fp32").swapping.graph(SWAPPER)
    assert graph.note == "Why."
    assert (graph.batches.max_size == 1) == alone


EVERY = (
    Compute("cpu"),
    Compute("cpu", "fp16"),
    Compute("cpu", "int8"),
    Compute("cuda"),
    Compute("cuda", "fp16"),
    Compute("cuda:1"),
    Compute("cuda:1", "fp16"),
    Compute("cuda", vram=2),
    Compute("cuda", vram=4),
    Compute("cuda", "fp16", vram=4),
    Compute("tensorrt"),
    Compute("tensorrt", "fp16"),
)


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("asked", [EVERY, EVERY[::-1]], ids=["up", "down"])
def test_one_engine_gives_each_request_the_graph_of_its_own_settings(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch, asked: Sequence[Compute]
) -> None:
    def made(
        _: WeightStore, name: str, *, precision: Precision, providers: Sequence[Provider]
    ) -> Prepared:
        return Prepared(store.path(name), f"{name} {precision} {providers}")

    monkeypatch.setattr(pool, "prepare", made)
    shared = NetworkPool(store, 1)
    first = [shared.on(compute).swapping.graph(SWAPPER) for compute in asked]
    assert [shared.on(compute).swapping.graph(SWAPPER) for compute in asked] == first
    assert len(set(map(id, first))) == len(EVERY)
    other = [shared.on(compute).swapping.graph(CONVERTER) for compute in asked]
    for name, graphs in ((SWAPPER, first), (CONVERTER, other)):
        for compute, graph in zip(asked, graphs, strict=True):
            chosen = providers.choose(compute)
            where = providers.without_fp16(chosen) if compute.precision == "fp32" else chosen
            if compute == Compute("cpu"):
                assert graph.note == ""
            else:
                assert graph.note == f"{name} {compute.precision} {where}"
            session = graph.batches.session
            assert isinstance(session, CardSession)
            assert session.path == store.path(name)
            assert session.options == {key: value for one in where for key, value in one.options}
    detectors = {id(shared.on(compute).session(DETECTOR)) for compute in asked}
    assert len(detectors) == len({providers.without_fp16(providers.choose(one)) for one in asked})


def test_a_file_that_another_process_imports_is_taken_from_then_on(tmp_path: Path) -> None:
    old = GENDER_AGE.save(tmp_path / "genderage.onnx", value=1.0)
    store = WeightStore(user_folder=tmp_path / "user")
    store.import_path(old)
    on = NetworkPool(store, 1).on(Compute("cpu"))
    data = np.zeros((1, 3, 96, 96), np.float32)
    before = on.session("genderage"), on.swapping.fp32_graph("genderage")
    assert (on.session("genderage"), on.swapping.fp32_graph("genderage")) == before
    assert before[1].batches.run(data).max() == 1
    elsewhere = WeightStore(user_folder=tmp_path / "user")
    elsewhere.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=2.0))
    assert on.session("genderage").run(data)[0].max() == 2
    assert on.swapping.fp32_graph("genderage").batches.run(data).max() == 2
    # And what is damaged while it is in its place is not taken for the file on record.
    elsewhere.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=3.0))
    (tmp_path / "user" / "genderage.onnx").write_bytes(b"damaged")
    with pytest.raises(WeightsCorrupt, match=r"genderage\.onnx has 7 bytes"):
        on.session("genderage")


def test_a_network_that_is_calibrated_anew_elsewhere_is_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = GENDER_AGE.save(tmp_path / "genderage.onnx")
    store = WeightStore(user_folder=tmp_path / "user")
    store.import_path(path)
    monkeypatch.setattr(pool, "prepare", lambda *_, **__: Prepared(path))
    on = NetworkPool(store, 1).on(Compute("cpu", "int8"))
    known = Int8Calibration("ab" * 32, 40.0, 8, 4, reduced=False)
    graphs = []
    for psnr in (40.0, 40.0, 41.0):
        monkeypatch.setattr(pool, "calibration", lambda *_, one=psnr: replace(known, psnr=one))
        graphs.append(on.swapping.graph("genderage"))
    assert graphs[0] is graphs[1]
    assert graphs[1] is not graphs[2]
