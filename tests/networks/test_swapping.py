"""The networks that swap, their precision, and the number of frames that they take at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.compose.occluder import Occluder
from engine.enhance.restorer import Restorer
from engine.errors import ParameterError, WeightsError, WeightsMissing
from engine.networks.swapping import Graph, SwapNetworks
from engine.options import EnhanceOptions, LimitOptions, SwapOptions
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session
from engine.swappers.neural.network import NeuralSwapper
from engine.weights.weight_store import WeightStore
from tests.compose import mask_networks
from tests.enhance import restorers
from tests.swappers import stand_ins

ALL = SwapOptions(
    limits=LimitOptions(occluder="xseg_1", regions=("nose",)),
    enhance=EnhanceOptions(enhancer="auto"),
    pixel_boost=256,
)


class Opened(SwapNetworks):
    """Remembers which graphs were asked for at which precision."""

    @classmethod
    def of(
        cls, store: WeightStore, sizes: tuple[int, ...]
    ) -> tuple[SwapNetworks, list[tuple[str, str]]]:
        asked: list[tuple[str, str]] = []

        def session(name: str) -> Session:
            return Session(store.path(name))

        def graph(name: str, precision: str) -> Graph:
            asked.append((name, precision))
            return Graph(Batches(session(name), sizes), f"{name} has something to say.")

        return (
            cls(
                store, session, lambda name: graph(name, "asked"), lambda name: graph(name, "fp32")
            ),
            asked,
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    folder = tmp_path_factory.mktemp("packs")
    mask_networks.save_occluder(folder / "xseg_1.onnx")
    mask_networks.save_parser(folder / "bisenet_resnet_34.onnx")
    restorers.identity(folder, restorers.GFPGAN)
    return stand_ins.inswapper(folder, stand_ins.identity)


def test_masks_are_read_at_full_precision_and_the_rest_as_asked(store: WeightStore) -> None:
    networks, asked = Opened.of(store, (1,))
    chosen = networks.choose("auto", ALL)
    assert sorted(asked) == [
        ("bisenet_resnet_34", "fp32"),
        ("gfpgan_1.4", "asked"),
        ("inswapper_128", "asked"),
        ("xseg_1", "fp32"),
    ]
    assert isinstance(chosen.swapper, NeuralSwapper)
    assert isinstance(chosen.enhancer, Restorer)
    assert isinstance(chosen.occluder, Occluder)
    assert [len(chosen.limiters), len(chosen.notes)] == [1, 4]
    assert chosen.takes_precision
    assert chosen.sides == (256,)


@pytest.mark.parametrize(
    ("swapper", "options"),
    [
        ("inswapper_128", SwapOptions(pixel_boost=256)),
        ("mesh", SwapOptions(enhance=EnhanceOptions(enhancer="auto"))),
        ("mesh", SwapOptions(limits=LimitOptions(occluder="xseg_1"))),
    ],
)
def test_frames_go_together_where_any_network_takes_more_than_one(
    store: WeightStore, swapper: str, options: SwapOptions
) -> None:
    assert Opened.of(store, (1,))[0].choose(swapper, options).at_once == 1
    assert Opened.of(store, SIZES)[0].choose(swapper, options).at_once > 1
    assert Opened.of(store, SIZES)[0].choose("mesh", SwapOptions()).at_once == 1


@pytest.mark.parametrize(
    ("swapper", "options"),
    [
        ("inswaper", ALL),
        ("ghost_1_256", ALL),
        ("auto", SwapOptions(enhance=EnhanceOptions(enhancer="gfpgan_1.2"))),
        ("auto", SwapOptions(limits=LimitOptions(regions=("nose",), parser="xseg_1"))),
    ],
)
def test_no_network_is_prepared_while_a_name_may_be_wrong(
    store: WeightStore, swapper: str, options: SwapOptions
) -> None:
    networks, asked = Opened.of(store, (1,))
    with pytest.raises((ParameterError, WeightsError)):
        networks.choose(swapper, options)
    assert asked == []


def test_what_is_missing_is_named_once(tmp_path: Path) -> None:
    bare = Opened.of(WeightStore(user_folder=tmp_path), (1,))[0]
    with pytest.raises(
        WeightsMissing,
        match=r"^The swapper inswapper_128, and w600k_r50 that it needs, are not installed; bring "
        r"them in with `faceswap-engine weights import PATH`\.$",
    ):
        bare.choose("inswapper_128", SwapOptions())


def test_a_face_may_have_any_side_that_the_swapper_can_do(
    store: WeightStore, tmp_path: Path
) -> None:
    free = SwapOptions(pixel_boost=None)
    assert Opened.of(store, (1,))[0].choose("mesh", free).sides[0] == 128
    assert len(Opened.of(store, (1,))[0].choose("mesh", free).sides) == 6
    large = stand_ins.family(tmp_path, stand_ins.identity)
    assert Opened.of(large, (1,))[0].choose("simswap_unofficial_512", free).sides == (512, 1024)
