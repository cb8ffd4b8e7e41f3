from __future__ import annotations

import json
import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

from engine.errors import (
    Cancelled,
    WeightsCorrupt,
    WeightsError,
    WeightsMissing,
)
from engine.optimise import int8, prepare
from engine.optimise.int8 import MIN_PSNR, Sample
from engine.runtime.session import Session
from engine.weights.weight_store import CALIBRATION, WeightStore
from tests.runtime.painters import samples, save_painter
from tests.runtime.tiny_models import save_difference

NAME = "inswapper_128"
COMMAND = rf"faceswap-engine weights calibrate {NAME} PICTURES"


@pytest.fixture(scope="module")
def held_out() -> list[Sample]:
    return samples(3, seed=1)


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    store = WeightStore(user_folder=tmp_path / "user")
    store.import_path(save_painter(tmp_path / f"{NAME}.onnx"))
    return store


def calibration_files(folder: Path) -> list[str]:
    """Return the names of a calibration's files in a folder."""
    return [file.name for file in folder.iterdir() if "int8" in file.name]


def operators_before(path: Path) -> dict[str, list[str]]:
    """Return the operators before each convolution and product, by its output's name."""
    graph = onnx.load(str(path)).graph
    made_by = {output: node for node in graph.node for output in node.output}
    return {
        node.output[0]: [made_by[name].op_type for name in node.input if name in made_by]
        for node in graph.node
        if node.op_type in ("Conv", "Gemm")
    }


def test_what_is_made_is_near_and_is_what_is_prepared(
    store: WeightStore, held_out: list[Sample]
) -> None:
    with pytest.raises(WeightsMissing, match=COMMAND):
        prepare.prepare(store, NAME, precision="int8")
    assert prepare.calibration(store, NAME) is None
    made = prepare.calibrate(store, NAME, iter(samples(8)), held_out)
    assert prepare.calibration(store, NAME) == made
    assert (made.samples, made.held_out) == (8, 3)
    assert MIN_PSNR <= made.psnr < 100
    whole, exact = prepare.prepare(store, NAME, precision="int8"), prepare.prepare(store, NAME)
    assert whole.path != exact.path
    assert "3 held-out crops" in whole.note
    assert f"{made.psnr:.1f} dB" in whole.note
    errors, answers = [], []
    for sample in held_out:
        (expected,), (answer,) = Session(exact.path).run(*sample), Session(whole.path).run(*sample)
        errors.append(np.square(expected - answer))
        answers.append(expected)
    psnr = 10 * np.log10(np.ptp(answers) ** 2 / np.mean(errors))
    assert psnr == pytest.approx(made.psnr, abs=0.01)


def test_what_lies_between_convolutions_is_of_whole_numbers(
    store: WeightStore, held_out: list[Sample]
) -> None:
    prepare.calibrate(store, NAME, samples(8), held_out)
    whole = ["DequantizeLinear", "DequantizeLinear"]
    # The two in the middle cut what is below zero themselves.
    assert operators_before(prepare.prepare(store, NAME, precision="int8").path) == {
        "style": [],
        "c0": [],
        "r1": whole,
        "r2": whole,
        "c3": ["Add"],
    }


@pytest.mark.parametrize(
    ("outlier", "light", "passes"),
    [(1.0, 1.0, True), (1e4, 1.0, False), (1.0, 0.05, False)],
    ids=["well", "one channel is larger than all others", "faces are brighter than in calibration"],
)
def test_what_strays_on_other_samples_is_refused_and_leaves_nothing(
    tmp_path: Path, held_out: list[Sample], outlier: float, light: float, passes: bool
) -> None:
    source = save_painter(tmp_path / "painter.onnx", outlier=outlier)
    folder = tmp_path / "made"
    learnt = samples(8, light=light)
    if passes:
        int8.calibrate(NAME, source, folder, learnt, held_out)
        return
    with pytest.raises(WeightsError, match=rf"{NAME} cannot run at int8: output is .* dB.*fp32"):
        int8.calibrate(NAME, source, folder, learnt, held_out)
    # What was refused is told from then on, and asked for no more.
    with pytest.raises(WeightsError, match=rf"was calibrated and .* output is .* dB.*{COMMAND}"):
        int8.calibrated_graph(NAME, folder)
    assert calibration_files(folder) == ["int8-refused.json"]
    if light < 1:
        # It is the held-out ones that tell: on its own it does well.
        int8.calibrate(NAME, source, folder, learnt, samples(2, seed=2, light=light))
        assert not int8.refusal(folder)


def test_answers_that_are_not_finite_are_refused(tmp_path: Path, held_out: list[Sample]) -> None:
    source = save_painter(tmp_path / "painter.onnx")
    broken = [(np.full_like(target, np.nan), latent) for target, latent in held_out]
    with pytest.raises(WeightsError, match=r"at int8: even at fp32, output is not finite; .*copy"):
        int8.calibrate(NAME, source, tmp_path / "made", samples(2), broken)


def test_a_network_that_answers_no_numbers_is_told_before_it_is_quantised(
    tmp_path: Path, held_out: list[Sample]
) -> None:
    source = save_painter(tmp_path / "painter.onnx", outlier=np.nan)
    with pytest.raises(WeightsError, match="not finite"):
        int8.calibrate(NAME, source, tmp_path / "made", samples(2), held_out)


def test_an_earlier_graph_survives_a_refused_one(
    store: WeightStore, held_out: list[Sample]
) -> None:
    before = prepare.calibrate(store, NAME, samples(8), held_out)
    with pytest.raises(WeightsError, match="dB"):
        prepare.calibrate(store, NAME, samples(8, light=0.05), held_out)
    assert prepare.calibration(store, NAME) == before
    assert f"{before.psnr:.1f} dB" in prepare.prepare(store, NAME, precision="int8").note


@pytest.mark.parametrize(
    ("place", "name"), [(int8, "quantise"), (int8, "require_psnr"), (json, "dumps")]
)
def test_an_earlier_graph_survives_what_is_interrupted_anywhere(
    store: WeightStore,
    held_out: list[Sample],
    monkeypatch: pytest.MonkeyPatch,
    place: ModuleType,
    name: str,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    prepare.calibrate(store, NAME, samples(8), held_out)
    before = prepare.prepare(store, NAME, precision="int8")
    with monkeypatch.context() as patched:
        patched.setattr(place, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare.calibrate(store, NAME, samples(8, seed=9), held_out)
    assert prepare.prepare(store, NAME, precision="int8") == before
    prepare.calibrate(store, NAME, samples(8, seed=9), held_out)
    after = prepare.prepare(store, NAME, precision="int8")
    assert sorted(calibration_files(after.path.parent)) == sorted([after.path.name, "int8.json"])
    assert after != before


def test_it_is_made_once_and_a_changed_byte_is_found(
    store: WeightStore, held_out: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.calibrate(store, NAME, samples(8), held_out)
    with monkeypatch.context() as without:
        without.delattr(int8, "quantise")
        path = prepare.prepare(store, NAME, precision="int8").path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=rf"has changed since it was written; run .{COMMAND}"):
        prepare.prepare(store, NAME, precision="int8")
    path.unlink()
    with pytest.raises(WeightsMissing, match=COMMAND):
        prepare.prepare(store, NAME, precision="int8")


@pytest.mark.parametrize(
    "written",
    [
        '{"sha256": 5, "psnr": 40, "samples": 20, "held_out": 5, "reduced": true}',
        '{"sha256": "5", "psnr": null, "samples": 20, "held_out": 5, "reduced": true}',
        '{"sha256": "5", "psnr": 40, "samples": 1e999, "held_out": 5, "reduced": true}',
        '{"sha256": "5"}',
        "[]",
        "[" * 100_000,
        "",
    ],
)
def test_a_damaged_record_is_that_of_no_calibration(tmp_path: Path, written: str) -> None:
    (tmp_path / CALIBRATION).write_text(written)
    with pytest.raises(WeightsMissing, match=COMMAND):
        int8.calibrated_graph(NAME, tmp_path)


def test_other_bytes_under_the_name_are_another_network(
    store: WeightStore, held_out: list[Sample], tmp_path: Path
) -> None:
    prepare.calibrate(store, NAME, samples(8), held_out)
    store.import_path(save_painter(tmp_path / f"{NAME}.onnx", outlier=2.0))
    with pytest.raises(WeightsMissing, match=COMMAND):
        prepare.prepare(store, NAME, precision="int8")


def test_a_processor_that_cuts_sums_gets_weights_of_7_bits_and_no_others(
    store: WeightStore, held_out: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def largest() -> int:
        path = prepare.prepare(store, NAME, precision="int8").path
        tensors = [
            onnx.numpy_helper.to_array(one)
            for one in onnx.load(str(path)).graph.initializer
            if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4
        ]
        return max(int(np.abs(tensor.astype(int)).max()) for tensor in tensors)

    monkeypatch.setattr(int8, "saturates", lambda: False)
    assert not prepare.calibrate(store, NAME, samples(8), held_out).reduced
    assert largest() > 64
    monkeypatch.setattr(int8, "saturates", lambda: True)
    with pytest.raises(WeightsError, match=COMMAND):
        prepare.prepare(store, NAME, precision="int8")
    assert prepare.calibrate(store, NAME, samples(8), held_out).reduced
    assert largest() <= 64
    monkeypatch.setattr(int8, "saturates", lambda: False)
    assert largest() <= 64


def test_samples_are_taken_one_by_one(tmp_path: Path, held_out: list[Sample]) -> None:
    pictures: list[weakref.ref[object]] = []
    alive: list[int] = []

    def stream() -> Iterator[Sample]:
        for seed in range(8):
            picture, latent = samples(1, seed=seed)[0]
            pictures.append(weakref.ref(picture))
            alive.append(sum(one() is not None for one in pictures))
            yield picture, latent

    source = save_painter(tmp_path / "painter.onnx")
    made = int8.calibrate(NAME, source, tmp_path / "made", stream(), held_out)
    assert made.samples == len(alive) == 8
    assert max(alive) <= 2  # the one that was given last, and the one that is to follow


def test_what_samples_raise_is_raised_and_what_the_quantiser_raises_is_told(
    tmp_path: Path, held_out: list[Sample]
) -> None:
    source = save_painter(tmp_path / "painter.onnx")

    def ending(error: Exception) -> Iterator[Sample]:
        yield samples(1)[0]
        raise error

    for error in (KeyError("the caller's own"), Cancelled("Stopped.")):
        with pytest.raises(type(error)):
            int8.calibrate(NAME, source, tmp_path / "made", ending(error), held_out)
    other = [(np.ones((1, 3, 64, 64), np.float32), samples(1)[0][1])]
    with pytest.raises(WeightsError, match=r"the quantiser fails: .*dimensions"):
        int8.calibrate(NAME, source, tmp_path / "made", other, held_out)
    assert calibration_files(tmp_path / "made") == ["int8-refused.json"]


def test_a_graph_of_half_precision_is_refused(tmp_path: Path, held_out: list[Sample]) -> None:
    path = save_painter(tmp_path / "painter.onnx")
    onnx.save(prepare.to_half(onnx.load(str(path))), str(path))
    with pytest.raises(WeightsError, match="single precision"):
        int8.calibrate(NAME, path, tmp_path / "made", samples(8), held_out)


def test_a_graph_without_convolutions_is_refused(tmp_path: Path) -> None:
    path = save_difference(tmp_path / "difference.onnx")
    pair = (np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32))
    with pytest.raises(WeightsError, match="between convolutions"):
        int8.calibrate("difference", path, tmp_path / "made", [pair], [pair])


def test_the_quantiser_is_kept_from_talking(
    store: WeightStore, held_out: list[Sample], capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = list(logging.getLogger().handlers)
    prepare.calibrate(store, NAME, samples(8), held_out)
    assert logging.getLogger().handlers == handlers
    assert capfd.readouterr() == ("", "")
    assert not [name for name in calibration_files(store.user_folder) if name.startswith(".")]
