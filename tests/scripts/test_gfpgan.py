"""GFPGAN's weights become a file that the engine imports, or there is a sentence and no file."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import convert_gfpgan
import numpy as np
import pytest
from convert_gfpgan import convert, main, target_of

from engine.enhance.restorer import Restorer
from engine.errors import RuntimeUnavailable, WeightsCorrupt, WeightsError, WeightsMissing
from engine.geometry import affine
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session, Tensor
from engine.values import Aligned
from engine.weights.weight_store import WeightStore
from tests.enhance import restorers

GRAPH = restorers.batched(restorers.GFPGAN)
installed = pytest.mark.skipif(find_spec("gfpgan") is None, reason="gfpgan is not installed")
# What the package and PyTorch warn of is not for us to mend.
theirs = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "GFPGANv1.4.pth"
    path.write_bytes(b"weights")
    return path


def stand_in(folder: Path, *, off: float = 0.0) -> SimpleNamespace:
    """PyTorch's side with a network that gives its pictures back, and a graph that is `off`."""

    def draw(network: Path, pictures: Tensor) -> Tensor:
        return pictures + np.float32(off)

    def export(network: Path, path: Path) -> None:
        path.write_bytes(restorers.identity(folder, GRAPH).read_bytes())

    return SimpleNamespace(
        SIDE=GRAPH.side, read_network=lambda path: path, draw=draw, export=export
    )


@pytest.mark.parametrize(
    ("published", "name"),
    [
        ("GFPGANv1.4.pth", "gfpgan_1.4"),
        ("GFPGANv1.3.pth", "gfpgan_1.3"),
        ("GFPGANCleanv1-NoCE-C2.pth", "gfpgan_1.2"),
    ],
)
def test_the_file_is_named_as_the_import_knows_it(
    tmp_path: Path, published: str, name: str
) -> None:
    (tmp_path / published).touch()
    target = target_of(tmp_path / published, tmp_path / "out")
    assert target == tmp_path / "out" / f"{name}.onnx"
    assert target.stem in WeightStore().network(name).stems


def test_what_cannot_be_meant_is_refused(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"no file .*none\.pth; name a file like"):
        target_of(tmp_path / "none.pth", tmp_path)
    other = tmp_path / "codeformer.pth"
    other.touch()
    with pytest.raises(WeightsError, match=r"codeformer\.pth is no name .* rename it"):
        target_of(other, tmp_path)
    (tmp_path / "gfpgan_1.4.onnx").touch()
    with pytest.raises(WeightsError, match=r"gfpgan_1\.4\.onnx exists; .* --to"):
        target_of(weights, tmp_path)


def test_a_good_graph_is_kept_and_can_be_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path
) -> None:
    monkeypatch.setattr(convert_gfpgan, "graphs", lambda: stand_in(tmp_path))
    target = target_of(weights, tmp_path / "out")
    assert convert(weights, target) > 100
    store = WeightStore(user_folder=tmp_path / "user")
    (weight,) = store.import_path(target).imported
    assert weight.name == "gfpgan_1.4"


def test_a_graph_that_strays_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    weights: Path,
) -> None:
    monkeypatch.setattr(convert_gfpgan, "graphs", lambda: stand_in(tmp_path, off=0.01))
    folder = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["convert_gfpgan.py", str(weights), "--to", str(folder)])
    assert main() == WeightsError.exit_code
    assert "46 dB from PyTorch (60 dB is the least)" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(find_spec("gfpgan") is not None, reason="gfpgan is installed")
def test_without_the_extra_it_is_named(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"pip install '\.\[cpu,gfpgan\]'"):
        convert(weights, tmp_path / "gfpgan_1.4.onnx")
    assert not (tmp_path / "gfpgan_1.4.onnx").exists()


@installed
@theirs
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"weights", "cannot read weights"),
        ({"params": {}}, "holds no params_ema"),
        ({"params_ema": {"conv.weight": 1.0}}, "another network than GFPGAN's"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, weights: Path, content: Any, said: str) -> None:
    torch = importlib.import_module("torch")
    if isinstance(content, dict):
        torch.save(content, weights)
    with pytest.raises(WeightsCorrupt, match=f"{said}.*bring GFPGANv1"):
        convert(weights, tmp_path / "gfpgan_1.4.onnx")
    assert not (tmp_path / "gfpgan_1.4.onnx").exists()


@installed
@theirs
@pytest.mark.slow
def test_the_real_network_becomes_a_restorer(tmp_path: Path, weights: Path) -> None:
    torch = importlib.import_module("torch")
    side = convert_gfpgan.graphs()
    torch.manual_seed(0)
    torch.save({"params_ema": side.blank().state_dict()}, weights)
    target = target_of(weights, tmp_path)
    assert convert(weights, target) > 100
    network = WeightStore().network(target.stem)
    restorer = Restorer(network, Batches(Session(target), SIZES))
    crops = list(np.random.default_rng(0).random((2, side.SIDE, side.SIDE, 3), np.float32))
    mesh = np.zeros((468, 3), np.float32)
    patches = restorer.enhance([Aligned(crop, affine.identity(), mesh) for crop in crops])
    drawn = side.draw(side.read_network(weights), network.input.tensor_of_crops(crops))
    expected = np.clip((drawn.transpose(0, 2, 3, 1) + 1) / 2, 0, 1)
    np.testing.assert_allclose([patch.pixels for patch in patches], expected, atol=1e-4)
