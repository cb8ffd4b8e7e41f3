"""Recognition of imported networks by their graphs."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import WeightsCorrupt
from engine.runtime.session import Session, TensorSpec
from engine.weights.manifest import TensorPattern
from engine.weights.recognise import _fits
from engine.weights.weight_store import WeightStore
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


def fits_by_trial(
    patterns: Sequence[TensorPattern],
    specs: Sequence[TensorSpec],
    *,
    are_inputs: bool,
    allow_more: bool,
) -> bool:
    """Tries all ways to give each pattern a tensor of its own."""
    if not patterns:
        return allow_more or not specs
    first, *rest = patterns
    return any(
        first.name in ("", spec.name)
        and 0 <= len(spec.shape) - len(first.shape) <= (1 if are_inputs else 99)
        and all(
            size in (None, wanted) or wanted == 0
            for wanted, size in zip(first.shape[::-1], spec.shape[::-1], strict=False)
        )
        and fits_by_trial(
            rest, [*specs[:at], *specs[at + 1 :]], are_inputs=are_inputs, allow_more=allow_more
        )
        for at, spec in enumerate(specs)
    )


def as_specs(patterns: Sequence[TensorPattern]) -> list[TensorSpec]:
    return [
        TensorSpec(pattern.name or f"t{number}", tuple(size or None for size in pattern.shape))
        for number, pattern in enumerate(patterns)
    ]


@pytest.mark.parametrize("are_inputs", [False, True])
@pytest.mark.parametrize("allow_more", [False, True])
def test_every_known_network_fits_itself_and_those_that_a_trial_of_all_ways_finds(
    *, are_inputs: bool, allow_more: bool
) -> None:
    sides = [
        side
        for network in WeightStore().installable()
        for side in (network.inputs, network.outputs)
    ]
    for side in sides:
        assert _fits(side, as_specs(side), are_inputs=are_inputs, allow_more=allow_more)
    for side in set(sides):
        for other in set(sides):
            specs = as_specs(other)
            expected = fits_by_trial(side, specs, are_inputs=are_inputs, allow_more=allow_more)
            assert _fits(side, specs, are_inputs=are_inputs, allow_more=allow_more) == expected


def test_any_tensors_fit_as_a_trial_of_all_ways_finds() -> None:
    rng = random.Random(0)
    shapes = [(), (1,), (0,), (4,), (0, 4), (1, 4), (2, 1, 4)]
    found = [0, 0]
    for _ in range(3000):
        patterns = [
            TensorPattern(rng.choice(("", "", "a", "b")), rng.choice(shapes))
            for _ in range(rng.randint(0, 4))
        ]
        specs = [
            TensorSpec(rng.choice("abc"), tuple(size or None for size in rng.choice(shapes)))
            for _ in range(rng.randint(0, 5))
        ]
        are_inputs, allow_more = rng.random() < 0.5, rng.random() < 0.5
        expected = fits_by_trial(patterns, specs, are_inputs=are_inputs, allow_more=allow_more)
        assert _fits(patterns, specs, are_inputs=are_inputs, allow_more=allow_more) == expected
        found[expected] += 1
    assert min(found) > 300


def test_a_graph_of_many_outputs_alike_is_told_at_once(tmp_path: Path) -> None:
    """All of them are those of a detector, but none is where the points lie."""
    outputs = {f"o{number}": (12800, (1, 4)[number % 2]) for number in range(28)}
    path = Signature({"input.1": (1, 3, "height", "width")}, outputs).save(tmp_path / "many.onnx")
    store = WeightStore(user_folder=tmp_path / "user")
    began = time.perf_counter()
    with pytest.raises(WeightsCorrupt, match=r"o11 \(12800, 4\), 16 more\. "):
        store.import_path(path)
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("name", [b"height", b"input.1", b"answer"])
def test_names_that_are_no_text_are_told(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "genderage.onnx"
    Signature({"input.1": (1, "height")}, {"answer": (1, 3)}).save(path)
    path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
    with pytest.raises(WeightsCorrupt, match=r"genderage\.onnx"):
        WeightStore(user_folder=tmp_path / "user").import_path(path)
    with pytest.raises(WeightsCorrupt, match=r"genderage\.onnx"):
        Session(path)
