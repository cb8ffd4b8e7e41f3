from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from engine.errors import RuntimeUnavailable, WeightsError
from engine.optimise import prepare, validation
from engine.optimise.validation import require_independent_rows
from engine.options import Compute, Precision
from engine.runtime.providers import CPU, Probe, Provider, choose
from engine.runtime.session import Session, Tensor
from engine.weights.emap import load_emap
from engine.weights.weight_store import WeightStore
from tests.graphs import save_graph
from tests.runtime.tiny_models import save_difference, save_swapper

NAME = "inswapper_128"
RNG = np.random.default_rng(5)


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(user_folder=tmp_path / "user")


def bring(store: WeightStore, file: Path) -> None:
    store.import_path(file)


def pictures(count: int) -> list[np.ndarray]:
    target = RNG.uniform(0, 1, (count, 3, 128, 128)).astype(np.float32)
    return [target, RNG.normal(size=(count, 512)).astype(np.float32)]


def test_a_batch_gives_what_each_gives_alone(store: WeightStore, tmp_path: Path) -> None:
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx", weight=0.5))
    made = prepare.prepare(store, NAME)
    assert (made.note, made.single) == ("", False)
    session = Session(made.path)
    assert session.batchable
    targets, sources = pictures(3)
    (together,) = session.run(targets, sources)
    np.testing.assert_allclose(
        together, 0.5 * targets + sources[:, :3, None, None], rtol=0, atol=1e-6
    )


def test_a_graph_that_mixes_its_pictures_stays_at_one(store: WeightStore, tmp_path: Path) -> None:
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx", fixed="inside"))
    made = prepare.prepare(store, NAME)
    assert made.path == store.path(NAME)
    assert not Session(made.path).batchable
    assert made.single
    assert made.note.startswith(f"{NAME} runs one picture at a time: ")


@pytest.mark.parametrize("shape", [[256, 64, 3], [-1, 256, 192]])
def test_what_a_graph_cannot_do_is_known_from_then_on(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: list[int]
) -> None:
    """The first shape holds no two pictures; in the second, the softmax is over both."""
    picture = (1, 3, 128, 128)
    nodes = [
        node("Reshape", "target inside", "rows"),
        node("Softmax", "rows", "soft", axis=0),
        node("Reshape", "soft outside", "output"),
    ]
    constants = {
        "emap": np.eye(512, dtype=np.float32),
        "inside": np.array(shape),
        "outside": np.array([-1, *picture[1:]]),
    }
    path = tmp_path / f"{NAME}.onnx"
    bring(
        store,
        save_graph(
            path, nodes, {"target": picture, "source": (1, 512)}, {"output": picture}, constants
        ),
    )
    made = prepare.prepare(store, NAME)
    assert made.single
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert prepare.prepare(store, NAME) == made
    (reason,) = prepare.refusals(store, store.weight(NAME))
    assert reason.startswith(f"no dynamic batch axis ({CPU.name}-{onnxruntime.__version__}): ")


def save_free(path: Path, *nodes: onnx.NodeProto, rows: int | str = "N") -> Path:
    """A graph of inswapper's signature whose batch is free; `nodes` make `output` of `target`."""
    constants = {
        "emap": np.eye(512, dtype=np.float32),
        "zero": np.zeros((), np.float32),
        "first": np.array([0]),
    }
    picture = ("N", 3, 128, 128)
    inputs = {"target": picture, "source": ("N", 512)}
    return save_graph(path, nodes, inputs, {"output": (rows, *picture[1:])}, constants)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return onnx.helper.make_node(kind, inputs.split(), [output], **attributes)


def test_a_graph_whose_batch_is_free_is_left_alone(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store, save_free(tmp_path / f"{NAME}.onnx", node("Neg", "target", "output")))
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert prepare.prepare(store, NAME) == prepare.Prepared(store.path(NAME))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("rows", [1, "N"])
def test_a_graph_whose_batch_is_free_is_held_to_what_it_gives_alone(
    store: WeightStore, tmp_path: Path, rows: int | str, precision: Precision
) -> None:
    mean = node("ReduceSum", "target first", "sum", keepdims=1)
    last = node("Identity", "sum", "output")
    if rows == "N":
        last = node("Add", "target sum", "output")
    bring(store, save_free(tmp_path / f"{NAME}.onnx", mean, last, rows=rows))
    made = prepare.prepare(store, NAME, precision=precision)
    assert made.single
    assert made.note.startswith(f"{NAME} runs one picture at a time: ")
    assert made == prepare.prepare(store, NAME, precision=precision)
    (reason,) = prepare.refusals(store, store.weight(NAME))
    assert reason.startswith("no batches (")


def test_half_precision_is_held_to_more_than_one_picture(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixing = [
        node("Mul", "target zero", "nothing"),
        node("ReduceMean", "target", "mean", keepdims=1, axes=[0]),
        node("Add", "nothing mean", "output"),
    ]
    mixed = onnx.load(str(save_free(tmp_path / "mixed.onnx", *mixing)))
    monkeypatch.setattr(prepare, "to_half", lambda _: mixed)
    bring(store, save_free(tmp_path / f"{NAME}.onnx", node("Identity", "target", "output")))
    assert not prepare.prepare(store, NAME).single
    with pytest.raises(WeightsError, match=r"cannot run at fp16 .*: output is .* dB"):
        prepare.prepare(store, NAME, precision="fp16")
    (reason,) = prepare.refusals(store, store.weight(NAME))
    assert reason.startswith("no fp16 (")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_provider_that_fails_once_is_no_verdict(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    def short(session: Session, *arrays: Tensor) -> list[Tensor]:
        if session.path != store.path(NAME):
            raise RuntimeUnavailable("The card's memory is full.")
        return run(session, *arrays)

    run = Session.run
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx"))
    with monkeypatch.context() as crowded:
        crowded.setattr(Session, "run", short)
        if precision == "fp32":
            meanwhile = prepare.prepare(store, NAME)
            assert meanwhile.path == store.path(NAME)
            assert "one picture at a time: a batch of two did not run this time" in meanwhile.note
        else:
            with pytest.raises(RuntimeUnavailable, match="is full"):
                prepare.prepare(store, NAME, precision=precision)
    made = prepare.prepare(store, NAME, precision=precision)
    assert Session(made.path).batchable
    assert list(prepare.refusals(store, store.weight(NAME))) == []


def test_a_verdict_is_of_one_provider_and_one_build(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = 0

    def counted(*arguments: Any) -> None:
        nonlocal trials
        trials += 1
        require_independent_rows(*arguments)

    monkeypatch.setattr(prepare, "require_independent_rows", counted)
    nodes = [node("ReduceMean", "target", "output", axes=[0])]
    bring(store, save_free(tmp_path / f"{NAME}.onnx", *nodes, rows=1))
    for version, expected in (("1.0", 1), ("1.0", 1), ("1.1", 2), ("1.0", 2)):
        monkeypatch.setattr(
            prepare, "load_runtime", lambda version=version: SimpleNamespace(__version__=version)
        )
        assert prepare.prepare(store, NAME).single
        assert trials == expected


def test_what_a_half_is_measured_by_is_not_rounded_more_than_fp32(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, Sequence[Provider]] = {}

    class OnCpu(Session):
        """Remembers where it was to run."""

        def __init__(self, path: Path, providers: Sequence[Provider]) -> None:
            opened[path.name.removeprefix(".").partition(".onnx")[0]] = providers
            super().__init__(path)

    for room in (prepare, validation):
        monkeypatch.setattr(room, "Session", OnCpu)
    asked = choose(Compute("tensorrt", "fp16"), probe=lambda one: Probe(one.name, works=True))
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx"))
    prepare.prepare(store, NAME, precision="fp16", providers=asked)
    assert opened.pop("batch-fp16") == asked
    assert sorted(opened) == ["batch", NAME]
    for providers in opened.values():
        options = {name: value for one in providers for name, value in one.options}
        assert [one.name for one in providers] == [one.name for one in asked]
        assert (options["use_tf32"], options["trt_fp16_enable"]) == ("0", "0")


def test_half_precision_is_close_and_its_ends_are_single(
    store: WeightStore, tmp_path: Path
) -> None:
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx"))
    whole, half = prepare.prepare(store, NAME), prepare.prepare(store, NAME, precision="fp16")
    assert Session(half.path).batchable
    types = {one.name: one.data_type for one in onnx.load(str(half.path)).graph.initializer}
    assert types["scale"] == onnx.TensorProto.FLOAT16
    arrays = pictures(2)
    (exact,), (close,) = Session(whole.path).run(*arrays), Session(half.path).run(*arrays)
    assert close.dtype == np.float32
    assert 0 < np.abs(exact - close).max() < 0.01


@pytest.mark.parametrize(("weight", "why"), [(1e5, "not finite|dB"), (1e-9, "dB")])
def test_half_precision_that_strays_is_refused(
    store: WeightStore, tmp_path: Path, weight: float, why: str
) -> None:
    path = save_swapper(tmp_path / f"{NAME}.onnx", weight=weight)
    if weight < 1:
        amplify(path, 1 / weight)
    bring(store, path)
    for _ in range(2):  # the second answer is the one on file
        with pytest.raises(WeightsError, match=rf"{NAME} cannot run at fp16 .*({why}).*fp32"):
            prepare.prepare(store, NAME, precision="fp16")
    assert Session(prepare.prepare(store, NAME).path).batchable


def amplify(path: Path, factor: float) -> None:
    """Multiplies what the graph takes of its target once more."""
    model = onnx.load(str(path))
    graph = model.graph
    graph.initializer.insert(
        0, onnx.numpy_helper.from_array(np.array([factor], np.float32), "factor")
    )
    node = onnx.helper.make_node("Mul", ["output", "factor"], ["louder"])
    graph.node.append(node)
    graph.output[0].name = "louder"
    onnx.save(model, str(path))


def test_what_is_stored_at_half_precision_stays_so(store: WeightStore, tmp_path: Path) -> None:
    path = save_swapper(tmp_path / f"{NAME}.onnx")
    model = prepare.to_half(onnx.load(str(path)))
    onnx.save(model, str(tmp_path / "inswapper_128_fp16.onnx"))
    bring(store, tmp_path / "inswapper_128_fp16.onnx")
    name = "inswapper_128_fp16"
    assert prepare.prepare(store, name, precision="fp16").path == prepare.prepare(store, name).path


def test_work_is_done_once_and_again_where_it_was_spoiled(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx"))
    made = prepare.prepare(store, NAME, precision="fp16")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "onnx", None)
        assert prepare.prepare(store, NAME, precision="fp16") == made
    content = bytearray(made.path.read_bytes())
    content[len(content) // 2] ^= 1
    made.path.write_bytes(content)
    assert prepare.prepare(store, NAME, precision="fp16") == made
    assert made.path.read_bytes() != bytes(content)
    assert not [file for file in made.path.parent.iterdir() if file.name.startswith(".")]


def test_the_emap_is_the_originals_last_of_its_shape(store: WeightStore, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.onnx"
    model = onnx.load(str(save_swapper(path)))
    other = onnx.numpy_helper.from_array(np.ones((512, 512), np.float32), "other")
    model.graph.initializer.insert(0, other)
    onnx.save(model, str(path))
    bring(store, path)
    matrix = load_emap(store, NAME)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, 2 * np.eye(512))
    # Other tools find it last in the prepared graph, too.
    model = onnx.load(str(prepare.prepare(store, NAME).path))
    assert model.graph.initializer[-1].name == "emap"


def test_where_nothing_can_be_written_the_users_cache_is(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs that are there already are used; new ones go to the cache."""
    bring(store, save_swapper(tmp_path / f"{NAME}.onnx"))
    batch = prepare.prepare(store, NAME)
    access, make = os.access, tempfile.mkstemp

    def refused(path: Path, mode: int) -> bool:
        return store.user_folder not in (path, *path.parents) and access(path, mode)

    def on_disk(**where: Any) -> tuple[int, str]:
        if store.user_folder in where["dir"].parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return make(**where)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # As root, nothing is forbidden.
    monkeypatch.setattr(os, "access", refused)
    monkeypatch.setattr(tempfile, "mkstemp", on_disk)
    assert prepare.prepare(store, NAME) == batch
    half = prepare.prepare(store, NAME, precision="fp16")
    assert half == prepare.prepare(store, NAME, precision="fp16")
    assert tmp_path / "cache" in half.path.parents
    assert [file for file, _ in prepare.prepared_files(store, store.weight(NAME))] == [
        batch.path,
        half.path,
    ]
    assert Session(half.path).batchable


def test_a_constant_that_is_listed_and_shared_is_no_hindrance_to_half_precision(
    tmp_path: Path,
) -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    resize = [
        onnx.helper.make_node("Resize", [source, "", "scales"], [target], mode="nearest")
        for source, target in (("picture", "large"), ("large", "larger"))
    ]
    path = save_graph(
        tmp_path / "enlarging.onnx",
        resize,
        {"picture": ("N", 3, 4, 4)},
        {"larger": ("N", 3, 16, 16)},
        {"scales": scales},
    )
    model = onnx.load(str(path))
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("scales", 1, [4]))
    onnx.save(prepare.to_half(model), str(path))
    picture = RNG.random((2, 3, 4, 4), np.float32)
    (larger,) = Session(path).run(picture)
    assert larger.dtype == np.float32
    np.testing.assert_allclose(larger, np.kron(picture, np.ones((4, 4))), atol=1e-3)


def test_settings_are_no_batch(tmp_path: Path) -> None:
    model = onnx.load(str(save_difference(tmp_path / "one.onnx", (1, 2))))
    setting = onnx.helper.make_tensor_value_info("weight", onnx.TensorProto.DOUBLE, [1])
    model.graph.input.append(setting)
    freed = prepare.add_batch_axis(model).graph
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in freed.input] == [
        "N",
        "N",
        "",
    ]
