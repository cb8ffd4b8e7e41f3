from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from engine.errors import RuntimeUnavailable, WeightsCorrupt, WeightsMissing
from engine.runtime import session as room
from engine.runtime.providers import CPU, cuda, probe_provider
from engine.runtime.session import Session, TensorSpec, read_signature
from tests.runtime.tiny_models import Signature, save_difference

CUDA = cuda()


@pytest.fixture
def difference(tmp_path: Path) -> Path:
    return save_difference(tmp_path / "difference.onnx")


def test_arrays_go_in_and_come_out_in_the_graphs_order(difference: Path) -> None:
    session = Session(difference)
    first, second = np.full((3, 2), 5, np.float32), np.full((3, 2), 2, np.float32)
    less, more = session.run(first, second)
    assert (less == 3).all()
    assert (more == 7).all()


def test_a_session_tells_its_signature(difference: Path) -> None:
    session = Session(difference)
    assert session.inputs == (TensorSpec("first", (None, 2)), TensorSpec("second", (None, 2)))
    assert session.outputs == (TensorSpec("difference", (None, 2)), TensorSpec("sum", (None, 2)))
    assert read_signature(difference) == (session.inputs, session.outputs)
    assert session.provider == CPU.name


def test_batchable_is_a_free_first_dimension_of_every_input(tmp_path: Path) -> None:
    assert Session(save_difference(tmp_path / "free.onnx", ("N", 2))).batchable
    assert not Session(save_difference(tmp_path / "fixed.onnx", (1, 2))).batchable


def test_views_that_are_not_contiguous_are_understood(difference: Path) -> None:
    base = np.arange(8, dtype=np.float32).reshape(2, 4).T
    less, _ = Session(difference).run(base, base[::-1])
    np.testing.assert_array_equal(less, base - base[::-1])


def test_a_wrong_number_of_arrays_is_told(difference: Path) -> None:
    with pytest.raises(ValueError, match=r"difference\.onnx takes first, second, but 1 arrays"):
        Session(difference).run(np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("shape", [(1, 3), (2,), (1, 2, 1)])
def test_a_wrong_shape_is_told(difference: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"second of shape \(any, 2\), but was given"):
        Session(difference).run(np.zeros((1, 2), np.float32), np.zeros(shape, np.float32))


def test_threads_share_a_session(difference: Path) -> None:
    session = Session(difference, threads=2)

    def answer(number: int) -> bool:
        array = np.full((64, 2), number, np.float32)
        return bool((session.run(array, array)[1] == 2 * number).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(answer, range(64)))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"nobody\.onnx"):
        Session(tmp_path / "nobody.onnx")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"this is no network"])
def test_a_file_that_is_no_graph_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=r"broken\.onnx"):
        Session(path)
    with pytest.raises(WeightsCorrupt, match=r"broken\.onnx"):
        read_signature(path)


def test_a_truncated_graph_is_told(tmp_path: Path) -> None:
    path = Signature({"x": [1]}, {"y": [1]}).save(tmp_path / "cut.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsCorrupt, match=r"cut\.onnx"):
        Session(path)


def test_no_provider_takes_another_ones_place(difference: Path) -> None:
    if probe_provider(CUDA).works:
        pytest.skip("CUDA works here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeUnavailable, match="CUDAExecutionProvider"):
            Session(difference, (CUDA, CPU))


@pytest.mark.gpu
def test_a_session_runs_on_the_card(difference: Path) -> None:
    probed = probe_provider(CUDA)
    if not probed.works:
        pytest.skip(probed.detail)
    session = Session(difference, (CUDA, CPU))
    ones = np.ones((1, 2), np.float32)
    assert session.provider == CUDA.name
    assert (session.run(ones, ones)[1] == 2).all()


class FakeRuntime:
    """An ONNX Runtime with a card: a session says that it is on `starts`, its work on `places`."""

    def __init__(self, starts: str, places: dict[str, list[str]]) -> None:
        self.starts, self.places = starts, places
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.preloaded = False

    SessionOptions = onnxruntime.SessionOptions

    def preload_dlls(self) -> None:
        self.preloaded = True

    def get_available_providers(self) -> list[str]:
        return [CUDA.name, CPU.name]

    def InferenceSession(  # noqa: N802 - ONNX Runtime's name
        self, path: str, options: object, providers: list[tuple[str, dict[str, str]]], **_: int
    ) -> FakeRuntime:
        self.asked = providers
        return self

    def get_providers(self) -> list[str]:
        return [self.starts, CPU.name]

    def get_provider_graph_assignment_info(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                ep_name=name,
                get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=kind) for kind in kinds],
            )
            for name, kinds in self.places.items()
        ]

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs


def test_a_card_gets_the_options_that_were_asked_for(
    difference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeRuntime(CUDA.name, {CUDA.name: ["Conv", "Gemm"], CPU.name: ["Shape", "Gather"]})
    monkeypatch.setattr(room, "load_runtime", lambda: fake)
    session = Session(difference, (cuda(1, vram=2), CPU))
    assert session.provider == CUDA.name
    assert fake.preloaded
    (name, options), (last, _) = fake.asked
    assert (name, last) == (CUDA.name, CPU.name)
    assert (options["device_id"], options["gpu_mem_limit"]) == ("1", str(2**31))


def test_a_session_that_fell_back_to_the_cpu_is_refused(
    difference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "load_runtime", lambda: FakeRuntime(CPU.name, {}))
    with pytest.raises(RuntimeUnavailable, match="only CPUExecutionProvider could be started"):
        Session(difference, (CUDA, CPU))


def test_work_that_fell_back_to_the_cpu_is_refused(
    difference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeRuntime(CUDA.name, {CUDA.name: ["Relu"], CPU.name: ["MatMul", "Conv", "Shape"]})
    monkeypatch.setattr(room, "load_runtime", lambda: fake)
    with pytest.raises(RuntimeUnavailable, match=r"would run its Conv, MatMul on the CPU"):
        Session(difference, (CUDA, CPU))


def test_where_nodes_run_can_be_read(difference: Path) -> None:
    """The installed ONNX Runtime answers the question that a card's sessions are asked."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(str(difference), options, providers=[CPU.name])
    parts = session.get_provider_graph_assignment_info()
    assert {part.ep_name for part in parts} == {CPU.name}
    assert {node.op_type for part in parts for node in part.get_nodes()} == {"Sub", "Add"}
