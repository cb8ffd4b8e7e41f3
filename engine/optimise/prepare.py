"""Graphs made fit for the work: a free batch axis, fewer bits.

What is made is tested against the original before it is used, and kept in the user's folder (or
cache, where that cannot be written) under the sha256 of the original and the version of this
module's work, so that it is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsError
from engine.optimise import int8, onnx_graphs
from engine.optimise.int8 import Int8Calibration, Sample
from engine.optimise.onnx_graphs import onnx_package
from engine.optimise.validation import RefusedError, close, opened, same_alone
from engine.optimise.validation_cache import Verdict, once, recorded
from engine.options import Precision
from engine.runtime.providers import CPU, Provider, load_runtime, reference
from engine.runtime.session import Session
from engine.weights.atomic_files import atomic_replacement
from engine.weights.emap import read_emap
from engine.weights.manifest import Weight
from engine.weights.weight_store import WeightStore

VERSION: Final = 3
LEAST_PSNR: Final = 40.0  # dB, half against single precision
_ORIGINAL, _BATCH = "original", "batch.onnx"
_HALF, _BATCH_HALF = "fp16.onnx", "batch-fp16.onnx"
_MADE: Final = {
    _BATCH: "free batch",
    _HALF: "fp16",
    _BATCH_HALF: "free batch at fp16",
}
_FREE = "N"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph to open a session on.

    Where it is to be given each picture `alone`, `note` says why; it may say how near int8 is to
    fp32, too.
    """

    path: Path
    note: str = ""
    alone: bool = False


def prepared(
    store: WeightStore,
    name: str,
    *,
    precision: Precision = "fp32",
    providers: Sequence[Provider] = (CPU,),
) -> Prepared:
    """The graph of a network with its batch axis free if that can be, at the asked precision.

    A graph of batch 1 is freed where two pictures at once give what each gives alone, else it
    stays as it is; one that is free as it came must give the same to be run so. At "fp16" all
    weights and arithmetic are of half precision, and inputs and outputs stay float32; a graph that
    is stored so already is left alone. The trials run on `providers`, the ones that the session
    will run on, but that all is set against is no TF32. At "int8" it is what `calibrate` made, with
    the batch axis as it was: that is for CPUs, which have no use for batches.

    Raises:
        WeightsMissing, WeightsCorrupt: as `WeightStore.path` does; the same of what `calibrate`
            made.
        WeightsError: at half precision the answers are not finite, or further from those of
            single precision than `LEAST_PSNR` allows; at int8, the processor is another kind.
        RuntimeUnavailable: the graph needs work and the package onnx is not installed, or a
            provider fails (which is not recorded: the next time may be better).
    """
    weight, path = store.weight(name), store.path(name)
    benches = _benches(store, weight)
    if precision == "int8":
        return _calibrated(name, _calibrated_bench(benches))
    exact, where = reference(providers), _where(providers)
    original = Session(path, exact)
    if original.batchable:
        freed = once(
            path,
            _record(_place(benches, _ORIGINAL, where), where),
            lambda: same_alone(original, original, weight.input),
        )
    else:
        target = _place(benches, _BATCH, where)
        freed = _make(
            target,
            where,
            lambda scratch: onnx_graphs.save(free_batch(onnx_graphs.load(path)), scratch),
            lambda scratch: same_alone(original, opened(scratch, exact), weight.input),
        )
        path = target if freed.sha256 else path
    if precision == "fp16":
        path = _halved(path, original, weight, benches, providers, alone=not freed.sha256)
    note = freed.reason and f"{name} runs one picture at a time: {freed.reason}"
    return Prepared(path, note, alone=not freed.sha256)


def calibrate(
    store: WeightStore,
    name: str,
    samples: Iterable[Sample],
    held_out: Sequence[Sample],
) -> Int8Calibration:
    """Makes the int8 graph of a network that `prepared` gives from then on.

    Raises:
        WeightsMissing, WeightsCorrupt: as `WeightStore.path` does.
        WeightsError, RuntimeUnavailable: as `engine.optimise.int8.calibrate` does.
    """
    bench, *_ = _benches(store, store.weight(name))
    return int8.calibrate(name, store.path(name), bench, samples, held_out)


def calibration(store: WeightStore, name: str) -> Int8Calibration | None:
    """What is on record of a network's int8 graph; None where it was not calibrated."""
    return int8.calibration(_calibrated_bench(_benches(store, store.weight(name))))


def emap(store: WeightStore, name: str) -> NDArray[np.float32]:
    """The (512, 512) matrix that an embedding is multiplied with to become inswapper's latent.

    Raises:
        WeightsMissing, WeightsCorrupt: as `WeightStore.path` does.
        WeightsCorrupt: the graph holds no such matrix.
    """
    return read_emap(store.path(name), name)


def made(store: WeightStore, weight: Weight) -> Iterator[tuple[Path, str]]:
    """What was made of a weight, and what each file is; the int8 graph comes last.

    Raises:
        WeightsCorrupt: what `calibrate` made is not as it was written.
        WeightsError: it was made for another kind of processor.
    """
    benches = _benches(store, weight)
    for name, what in _MADE.items():
        for bench in benches:
            if (bench / name).is_file():
                yield bench / name, what
    bench = _calibrated_bench(benches)
    if int8.calibration(bench):
        file, known = int8.calibrated(weight.name, bench)
        yield file, f"int8, {known.psnr:.1f} dB from fp32 on {known.held_out} faces"


def refused(store: WeightStore, weight: Weight) -> Iterator[str]:
    """What could not be made of a weight, where that was tried, and why."""
    benches = _benches(store, weight)
    for name, what in {_ORIGINAL: "batches", **_MADE}.items():
        for record in chain.from_iterable(sorted(one.glob(f"{name}.*.json")) for one in benches):
            verdict = recorded(record)
            if verdict and verdict.reason not in ("", _STORED_SO):
                where = record.name.removeprefix(f"{name}.").removesuffix(".json")
                yield f"no {what} ({where}): {verdict.reason}"
    bench = _calibrated_bench(benches)
    if not int8.calibration(bench) and (reason := int8.refusal(bench)):
        yield f"no int8: {reason}"


def free_batch(model: Any) -> Any:
    """The model, changed in place: the leading 1 of inputs and outputs becomes any number.

    What would pin it inside is rewritten: constant shapes of Reshape copy the batch, and sizes of
    Resize become scales.
    """
    graph = model.graph
    # An input of one number or a row of them is a setting, not a batch.
    batches = [value for value in graph.input if len(value.type.tensor_type.shape.dim) > 1]
    for value in [*batches, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if not dims or dims[0].dim_value not in (0, 1):
            raise RefusedError(f"{value.name} does not begin with a batch axis.")
        dims[0].dim_param = _FREE
    constants = dict(_constants(graph))
    shapes: dict[str, list[int]] | None = None
    for node in graph.node:
        if node.op_type == "Reshape" and _leads_with_one(constants, node.input[1]):
            node.input[1] = _add(graph, node, _copying(node, constants[node.input[1]]))
        elif (
            node.op_type == "Resize"
            and len(node.input) == 4
            and _leads_with_one(constants, node.input[3])
        ):
            shapes = _shapes(model) if shapes is None else shapes
            scales = _scales(node, shapes.get(node.input[0], []), constants[node.input[3]])
            node.input[2] = _add(graph, node, scales)
            del node.input[3]
    # They tell of batch 1 still.
    del graph.value_info[:]
    return model


def to_half(model: Any) -> Any:
    """A model of half precision inside, whose inputs and outputs are float32 as before."""
    onnx_package()
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415 - onnx

    # PyTorch lists the types of constants, too; the converter would take them for tensors that it
    # made half as wide, and cast those that nodes share several times under one name. It infers
    # what it needs itself.
    del model.graph.value_info[:]
    return convert_float_to_float16(model, keep_io_types=True)


def _benches(store: WeightStore, weight: Weight) -> tuple[Path, ...]:
    """Where this module's work on a weight is kept, the one to write to first."""
    return tuple(folder / f"v{VERSION}" for folder in store.prepared_folders(weight))


def _place(benches: Sequence[Path], name: str, where: str) -> Path:
    """Where a file is that was tried before, else where it is to be made."""
    tried = (bench / name for bench in benches if _record(bench / name, where).is_file())
    return next(tried, benches[0] / name)


def _calibrated_bench(benches: Sequence[Path]) -> Path:
    return next((bench for bench in benches if int8.calibration(bench)), benches[0])


def _calibrated(name: str, bench: Path) -> Prepared:
    path, known = int8.calibrated(name, bench)
    note = (
        f"{name} runs at int8: its answers to {known.held_out} crops that it was not calibrated on "
        f"are {known.psnr:.1f} dB from those at fp32."
    )
    return Prepared(path, note)


def _halved(
    path: Path,
    original: Session,
    weight: Weight,
    benches: Sequence[Path],
    providers: Sequence[Provider],
    *,
    alone: bool,
) -> Path:
    where = _where(providers)
    target = _place(benches, _BATCH_HALF if path.parent in benches else _HALF, where)

    def make(scratch: Path) -> None:
        model = onnx_graphs.load(path)
        if onnx_graphs.is_half(model):
            raise RefusedError(_STORED_SO)
        onnx_graphs.save(to_half(model), scratch)

    def test(scratch: Path) -> None:
        half = opened(scratch, providers)
        close(original, half, weight.input, least=LEAST_PSNR, alone=alone)

    verdict = _make(target, where, make, test)
    if verdict.reason == _STORED_SO:
        return path
    if not verdict.sha256:
        raise WeightsError(
            f"{weight.name} cannot run at fp16 on {providers[0].name}: {verdict.reason} "
            "Use the precision fp32."
        )
    return target


_STORED_SO: Final = "It is stored at half precision."


def _where(providers: Sequence[Provider]) -> str:
    """Where a trial is held: the same file may pass in one place and fail in another."""
    return f"{providers[0].name}-{load_runtime().__version__}"


def _record(target: Path, where: str) -> Path:
    return target.with_name(f"{target.name}.{where}.json")


def _make(
    target: Path, where: str, make: Callable[[Path], None], test: Callable[[Path], None]
) -> Verdict:
    """What came of making and testing `target`, now or at an earlier time."""

    def trial() -> None:
        with atomic_replacement(target) as scratch:
            make(scratch)
            test(scratch)

    return once(target, _record(target, where), trial)


def _constants(graph: Any) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """The whole-number constants of a graph by name: shapes and sizes are among them."""
    onnx = onnx_package()
    for initializer in graph.initializer:
        if initializer.data_type == onnx.TensorProto.INT64:
            yield initializer.name, onnx.numpy_helper.to_array(initializer)
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value" and attribute.t.data_type == onnx.TensorProto.INT64:
                yield node.output[0], onnx.numpy_helper.to_array(attribute.t)
            elif attribute.name == "value_ints":
                yield node.output[0], np.array(attribute.ints, np.int64)


def _leads_with_one(constants: dict[str, NDArray[np.int64]], name: str) -> bool:
    shape = constants.get(name)
    return shape is not None and shape.ndim == 1 and shape.size > 1 and int(shape[0]) == 1


def _copying(node: Any, shape: NDArray[np.int64]) -> NDArray[np.int64]:
    """The shape with its first number taken from the input, which is what 0 means to Reshape."""
    if any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute):
        raise RefusedError(f"{node.name or node.output[0]} reshapes to a fixed batch.")
    copying = shape.copy()
    copying[0] = 0
    return copying


def _scales(node: Any, have: list[int], want: NDArray[np.int64]) -> NDArray[np.float32]:
    """The scales that Resize must be given to reach the wanted sizes, to the pixel."""
    if len(have) == len(want) and all(have):
        scales: NDArray[np.float32] = np.divide(want, have).astype(np.float32)
        if np.array_equal(np.floor(np.array(have, np.float32) * scales), want):
            return scales
    raise RefusedError(f"{node.name or node.output[0]} resizes to a fixed batch.")


def _shapes(model: Any) -> dict[str, list[int]]:
    """The shape of every tensor, 0 where a dimension is not known."""
    graph = onnx_package().shape_inference.infer_shapes(model).graph
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][:1]
        and [1, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])]
        for value in [*graph.input, *graph.value_info, *graph.output]
    }


def _add(graph: Any, node: Any, value: NDArray[Any]) -> str:
    """A new constant for one node; shared ones may mean something else to others."""
    name = f"{node.output[0]}_batch"
    # In front: what stands last in the file is how others find the map of latents.
    graph.initializer.insert(0, onnx_package().numpy_helper.from_array(value, name))
    return name
