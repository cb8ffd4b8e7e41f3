"""Batches have few sizes, and the outputs do not depend on them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from engine.errors import RuntimeUnavailable
from engine.runtime.batches import SIZES, Batches, batch_sizes
from engine.runtime.providers import CUDA_NAME
from engine.runtime.session import Session, Tensor
from tests.graphs import save_graph
from tests.runtime.tiny_models import save_difference


class Recorded(Session):
    """Remembers the batches it was given."""

    seen: list[int]
    inputs_seen: list[tuple[Tensor, ...]]

    def run(self, *arrays: Tensor) -> list[Tensor]:
        self.seen.append(len(arrays[0]))
        self.inputs_seen.append(arrays)
        return super().run(*arrays)


def recorded(path: Path) -> Recorded:
    session = Recorded(path)
    session.seen = []
    session.inputs_seen = []
    return session


@pytest.mark.parametrize("sizes", [SIZES, (1,), (1, 3)])
def test_every_row_is_in_a_batch_and_few_are_made_up(sizes: tuple[int, ...]) -> None:
    for count in range(1, 70):
        made = list(batch_sizes(count, sizes))
        assert set(made) <= set(sizes)
        assert 0 <= sum(made) - count <= max(sizes) / 4
    assert list(batch_sizes(0, sizes)) == []


def test_a_batch_is_padded_with_its_last_row(tmp_path: Path) -> None:
    """Zeros would be no picture."""
    session = recorded(save_difference(tmp_path / "difference.onnx"))
    rows = np.arange(1, 31, dtype=np.float32).reshape(15, 2)
    Batches(session, (1, 16)).run(rows, -rows)
    (first, second), *more = session.inputs_seen
    assert not more
    np.testing.assert_array_equal(first, [*rows, rows[-1]])
    np.testing.assert_array_equal(second, [*-rows, -rows[-1]])


def test_whole_crops_are_whole_batches() -> None:
    assert list(batch_sizes(64, SIZES)) == [16] * 4
    assert list(batch_sizes(9, SIZES)) == [8, 1]
    assert list(batch_sizes(15, SIZES)) == [16]


@pytest.mark.parametrize("count", [1, 3, 7, 15, 16, 31])
def test_answers_are_those_of_each_row_alone(tmp_path: Path, count: int) -> None:
    session = recorded(save_difference(tmp_path / "difference.onnx"))
    rows = np.random.default_rng(count).normal(size=(2, count, 2)).astype(np.float32)
    difference = Batches(session, SIZES).run(*rows)
    np.testing.assert_array_equal(difference, rows[0] - rows[1])
    assert session.seen == list(batch_sizes(count, SIZES))


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("first", [False, True])
def test_a_setting_goes_with_every_batch(
    tmp_path: Path, shape: tuple[int, ...], *, first: bool
) -> None:
    names: dict[str, Sequence[int | str]] = {"rows": ("N", 2), "weight": shape}
    inputs = dict(reversed(names.items())) if first else names
    multiply = helper.make_node("Mul", ["rows", "weight"], ["product"])
    path = save_graph(tmp_path / "product.onnx", [multiply], inputs, {"product": ("N", 2)}, {})
    session = Session(path)
    assert [spec.is_scalar for spec in session.inputs] == (
        [True, False] if first else [False, True]
    )
    rows, weight = np.arange(14, dtype=np.float32).reshape(7, 2), np.full(shape, 3, np.float32)
    pair = (weight, rows) if first else (rows, weight)
    np.testing.assert_array_equal(Batches(session, SIZES).run(*pair), 3 * rows)


@pytest.mark.parametrize("shape", [("N", 2), (1, 2)])
def test_one_by_one_on_a_cpu_or_where_the_graph_takes_no_more(
    tmp_path: Path, shape: tuple[int | str, int]
) -> None:
    session = recorded(save_difference(tmp_path / "difference.onnx", shape))
    Batches(session).run(*np.zeros((2, 5, 2), np.float32))
    assert session.seen == [1] * 5


@pytest.mark.parametrize(("side", "most"), [(112, 16), (512, 16), (513, 8), (1024, 4), (2048, 1)])
def test_a_card_is_given_fewer_of_large_pictures(tmp_path: Path, side: int, most: int) -> None:
    shape: Sequence[int | str] = ("N", 3, side, side)
    same = helper.make_node("Identity", ["pixels"], ["same"])
    path = save_graph(tmp_path / "same.onnx", [same], {"pixels": shape}, {"same": shape}, {})
    session = Session(path)
    assert Batches(session).max_size == 1
    session.provider = CUDA_NAME
    assert Batches(session).max_size == most


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (helper.make_node("ReduceMean", ["rows"], ["answer"], axes=[0]), (1, 2)),
        (helper.make_node("ReduceMean", ["rows"], ["answer"], keepdims=0), ()),
        (helper.make_node("Concat", ["rows", "rows"], ["answer"], axis=0), (8, 2)),
    ],
    ids=["one for all", "a number", "two to each"],
)
def test_answers_that_are_not_one_to_each_row_are_refused(
    tmp_path: Path, node: NodeProto, shape: tuple[int, ...]
) -> None:
    declared: Sequence[int | str] = ("M", *shape[1:]) if shape else ()
    path = save_graph(tmp_path / "odd.onnx", [node], {"rows": ("N", 2)}, {"answer": declared}, {})
    told = rf"odd\.onnx .*batch of 4.* answer is of shape {re.escape(str(shape))}"
    with pytest.raises(RuntimeUnavailable, match=told):
        Batches(Session(path), SIZES).run(np.ones((4, 2), np.float32))


def test_threads_that_share_a_session_take_turns(tmp_path: Path) -> None:
    class Watched(Session):
        """Tells whether it was ever run by two at a time."""

        busy = crowded = False

        def run(self, *arrays: Tensor) -> list[Tensor]:
            self.crowded |= self.busy
            self.busy = True
            time.sleep(0.002)
            answers = super().run(*arrays)
            self.busy = False
            return answers

    session = Watched(save_difference(tmp_path / "difference.onnx"))
    shared = Batches(session)
    rows = np.zeros((2, 3, 2), np.float32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: shared.run(*rows), range(8)))
    assert not session.crowded


def test_what_fills_up_a_batch_is_the_last_row_again(tmp_path: Path) -> None:
    """A network may not take zeros for a picture, and what it makes of them may be slow."""

    class Kept(Session):
        def run(self, *arrays: Tensor) -> list[Tensor]:
            given.extend(arrays)
            return super().run(*arrays)

    given: list[Tensor] = []
    rows = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2)
    Batches(Kept(save_difference(tmp_path / "difference.onnx")), (4, 1)).run(*rows)
    for array, own in zip(given, rows, strict=True):
        np.testing.assert_array_equal(array, [*own, own[-1]])
