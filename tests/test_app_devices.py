"""Which network runs at which precision on a card, and how many pictures it is given at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import app
from engine.app import _DeviceNetworks, _Networks
from engine.options import Compute, Precision
from engine.runtime import providers, surgery, trials
from engine.runtime.providers import Probe, Provider, choose
from engine.runtime.session import Session
from engine.runtime.surgery import Prepared
from engine.runtime.weights import WeightStore
from engine.swappers.sources import Converted
from tests.swappers import stand_ins

SWAPPER, CONVERTER, DETECTOR = "ghost_1_256", "crossface_ghost", "yunet"


class OnCard(Session):
    """Runs on the CPU, and says that it runs where it was asked to."""

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
    """A machine where TensorRT and CUDA work."""

    def works(provider: Provider) -> Probe:
        return Probe(provider.name, works=True)

    monkeypatch.setattr(providers, "choose", lambda compute: choose(compute, works))
    for room in (app, surgery, trials):
        monkeypatch.setattr(room, "Session", OnCard)


def networks(store: WeightStore, precision: Precision) -> _DeviceNetworks:
    return _Networks(store, 1).on(Compute("tensorrt", precision))


def halved(session: Session) -> bool:
    assert isinstance(session, OnCard)
    return session.options["trt_fp16_enable"] == "1"


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_only_what_draws_is_halved(store: WeightStore, precision: Precision) -> None:
    on = networks(store, precision)
    drawers = on.drawers
    assert halved(drawers.graph(SWAPPER).batches.session) == (precision == "fp16")
    assert not halved(drawers.exact(SWAPPER).batches.session)
    assert not halved(drawers.exact(CONVERTER).batches.session)
    assert not halved(drawers.session(DETECTOR))
    assert not halved(on.session(DETECTOR))


@pytest.mark.usefixtures("card")
def test_networks_at_fp32_are_loaded_once_whatever_else_is_asked(store: WeightStore) -> None:
    shared = _Networks(store, 1)
    whole, half = (shared.on(Compute("tensorrt", asked)) for asked in ("fp32", "fp16"))
    assert whole.session(DETECTOR) is half.session(DETECTOR)
    assert whole.drawers.graph(SWAPPER) is half.drawers.exact(SWAPPER)
    assert whole.drawers.graph(SWAPPER) is not half.drawers.graph(SWAPPER)


@pytest.mark.usefixtures("card")
def test_a_converter_is_run_in_batches_by_all_threads(store: WeightStore) -> None:
    drawers = networks(store, "fp16").drawers
    encoder = drawers.encoder(store.network(SWAPPER))
    assert isinstance(encoder, Converted)
    assert encoder.converter is drawers.exact(CONVERTER).batches
    assert encoder.converter.most == 16


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("alone", [False, True])
def test_what_mixes_its_pictures_is_given_one_at_a_time(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    path = surgery.prepared(store, SWAPPER).path
    monkeypatch.setattr(app, "prepared", lambda *_, **__: Prepared(path, "Why.", alone=alone))
    graph = networks(store, "fp32").drawers.graph(SWAPPER)
    assert graph.note == "Why."
    assert (graph.batches.most == 1) == alone
