"""Whole swaps on a GPU; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Engine
from engine.media.decode import read_image
from engine.options import Compute, Device
from engine.runtime import providers
from engine.runtime.providers import cuda, probe_provider
from engine.runtime.session import Session
from engine.weights.weight_store import WeightStore
from tests.footage import STRANGER, TWO, asset, picture, write_png
from tests.swappers import stand_ins

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def card() -> None:
    probed = probe_provider(cuda())
    if not probed.works:
        pytest.skip(probed.detail)


@pytest.fixture
def still(tmp_path: Path) -> Path:
    return write_png(tmp_path / "two.png", picture(TWO))


def swapped(
    device: Device, still: Path, weights: WeightStore, **parameters: Any
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the planes of a picture with two swapped faces."""
    output = still.with_name(f"{device.replace(':', '-')}-{parameters.get('precision')}.png")
    with Engine(device=device, weights=weights) as engine:
        report = engine.swap(
            asset(STRANGER), still, output, face_selector_mode="many", overwrite=True, **parameters
        )
    assert report.faces_swapped == 2
    assert report.setup.device == device
    return np.stack(read_image(output).planes).astype(np.float64)


def test_the_embedded_networks_find_and_swap_the_same_faces(still: Path) -> None:
    store = WeightStore()
    on_card, on_cpu = (swapped(device, still, store, swapper="mesh") for device in ("cuda", "cpu"))
    # Landmarks differ by TF32's rounding, hence edges by parts of a pixel.
    assert np.abs(on_card - on_cpu).mean() < 1


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_imported_network_answers_as_on_the_cpu(
    precision: str, still: Path, tmp_path: Path
) -> None:
    store = stand_ins.inswapper(tmp_path, stand_ins.tinted)
    options = {"swapper": "inswapper_128", "pixel_boost": "512x512"}
    on_card = swapped("cuda", still, store, precision=precision, **options)
    on_cpu = swapped("cpu", still, store, precision="fp32", **options)
    assert np.abs(on_card - on_cpu).mean() < 1


def test_a_bound_of_memory_is_kept_to(tmp_path: Path) -> None:
    chosen = providers.choose(Compute("cuda", vram=1))
    session = Session(WeightStore().path("sface"), chosen)
    shape = [size or 1 for size in session.inputs[0].shape]
    (found, *_) = session.run(np.zeros(shape, np.float32))
    assert np.isfinite(found).all()
