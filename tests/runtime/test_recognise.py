"""What is used of a network must be its first output."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import WeightsCorrupt
from engine.runtime.weights import WeightStore
from tests.runtime.tiny_models import Signature

PICTURE, SMALL = (1, 3, 512, 512), (1, 3, 128, 128)


@pytest.mark.parametrize("more", [{"small": SMALL}, {"number": ()}, {"rows": (256, 1, 64)}])
def test_a_graph_may_give_more_after_its_answer_but_not_before_it(
    tmp_path: Path, more: dict[str, tuple[int, ...]]
) -> None:
    store = WeightStore(user_folder=tmp_path / "user")
    given = {"input": PICTURE}
    path = tmp_path / "gfpgan_1.4.onnx"
    Signature(given, {**more, "output": PICTURE}).save(path)
    with pytest.raises(WeightsCorrupt, match=r"gfpgan_1\.4\.onnx is none of"):
        store.import_path(path)
    Signature(given, {"output": PICTURE, **more}).save(path)
    assert [weight.name for weight in store.import_path(path).imported] == ["gfpgan_1.4"]


def test_a_swapper_whose_mask_comes_first_is_none(tmp_path: Path) -> None:
    store = WeightStore(user_folder=tmp_path / "user")
    target, mask = (1, 3, 256, 256), (1, 1, 256, 256)
    inputs = {"target": target, "source": (1, 512)}
    path = tmp_path / "hyperswap_1a_256.onnx"
    Signature(inputs, {"mask": mask, "output": target}).save(path)
    with pytest.raises(WeightsCorrupt):
        store.import_path(path)
    Signature(inputs, {"output": target, "mask": mask}).save(path)
    assert store.import_path(path).imported
