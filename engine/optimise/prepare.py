"""Prepare graphs: give them a dynamic batch axis, or fewer bits.

A prepared graph is validated against the original before it is used. It is kept in the user's
folder, or in the cache if that cannot be written, under the original's sha256 and the version of
this module, so that the work is done once.
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
from engine.optimise import int8
from engine.optimise.int8 import Int8Calibration, Sample
from engine.optimise.onnx_graphs import is_half, save
from engine.optimise.validation import (
    RefusedError,
    ValidationResult,
    open_changed,
    read_result,
    require_close,
    require_independent_rows,
    validate_once,
)
from engine.options import Precision
from engine.runtime.providers import CPU, Provider, load_runtime, without_tf32
from engine.runtime.session import Session
from engine.weights.atomic_files import atomic_replacement
from engine.weights.manifest import Weight
from engine.weights.onnx_file import read_model
from engine.weights.weight_store import WeightStore

VERSION: Final = 3
MIN_PSNR: Final = 40.0  # dB, half against single precision
_ORIGINAL, _BATCH = "original", "batch.onnx"
_HALF, _BATCH_HALF = "fp16.onnx", "batch-fp16.onnx"
_DESCRIPTIONS: Final = {
    _BATCH: "dynamic batch axis",
    _HALF: "fp16",
    _BATCH_HALF: "dynamic batch axis at fp16",
}
_IS_HALF: Final = "It is stored at half precision."
_BATCH_AXIS = "N"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph to open a session on.

    Attributes:
        path: The file.
        note: Why the graph runs at batch size 1, or how close int8 is to fp32; else "".
        single: Whether the graph must run at batch size 1.
    """

    path: Path
    note: str = ""
    single: bool = False


def prepare(
    store: WeightStore,
    name: str,
    *,
    precision: Precision = "fp32",
    providers: Sequence[Provider] = (CPU,),
) -> Prepared:
    """Return the graph of a network, with a dynamic batch axis if possible, at a precision.

    A graph of batch size 1 is changed to take any batch, and kept if a batch of two gives what its
    pictures give one by one; a graph with a dynamic axis must pass the same test. At "fp16" all
    weights and arithmetic are of half precision, while inputs and outputs stay float32; a graph
    that is stored so is not changed. Changed graphs are validated on `providers`, against the
    original without TF32. At "int8" it is the graph that `calibrate` made, at batch size 1: CPUs
    gain nothing from batches.

    Raises:
        WeightsMissing, WeightsCorrupt: As `WeightStore.path` does, and for int8 if the network was
            not calibrated or its graph has changed since.
        WeightsError: At fp16, the outputs are not finite or below `MIN_PSNR`; at int8, the
            network was calibrated on another kind of processor.
        RuntimeUnavailable: A provider fails. That is not cached, as the next run may succeed.
    """
    weight, path = store.weight(name), store.path(name)
    folders = _folders(store, weight)
    if precision == "int8":
        return _prepare_int8(name, _calibrated_folder(folders))
    exact, where = without_tf32(providers), _where(providers)
    original = Session(path, exact)
    if original.batchable:
        batch = validate_once(
            path,
            _record(_locate(folders, _ORIGINAL, where), where),
            lambda: require_independent_rows(original, original, weight.input),
        )
    else:
        target = _locate(folders, _BATCH, where)
        batch = _make(
            target,
            where,
            lambda file: save(add_batch_axis(read_model(path)), file),
            lambda file: require_independent_rows(
                original, open_changed(file, exact), weight.input
            ),
        )
        path = target if batch.sha256 else path
    if precision == "fp16":
        path = _prepare_half(path, original, weight, folders, providers, single=not batch.sha256)
    note = batch.reason and f"{name} runs one picture at a time: {batch.reason}"
    return Prepared(path, note, single=not batch.sha256)


def calibrate(
    store: WeightStore,
    name: str,
    samples: Iterable[Sample],
    held_out: Sequence[Sample],
) -> Int8Calibration:
    """Make the int8 graph that `prepare` returns from then on.

    Raises:
        WeightsMissing, WeightsCorrupt: As `WeightStore.path` does.
        WeightsError, RuntimeUnavailable: As `engine.optimise.int8.calibrate` does.
    """
    folder, *_ = _folders(store, store.weight(name))
    return int8.calibrate(name, store.path(name), folder, samples, held_out)


def calibration(store: WeightStore, name: str) -> Int8Calibration | None:
    """Return the record of a network's int8 graph; None if it was not calibrated."""
    return int8.read_calibration(_calibrated_folder(_folders(store, store.weight(name))))


def prepared_files(store: WeightStore, weight: Weight) -> Iterator[tuple[Path, str]]:
    """Yield the files that were prepared from a weight, with a description; int8 comes last.

    Raises:
        WeightsCorrupt: The int8 graph has changed since it was written.
        WeightsError: The int8 graph is for another kind of processor.
    """
    folders = _folders(store, weight)
    for name, description in _DESCRIPTIONS.items():
        for folder in folders:
            if (folder / name).is_file():
                yield folder / name, description
    folder = _calibrated_folder(folders)
    if int8.read_calibration(folder):
        file, record = int8.calibrated_graph(weight.name, folder)
        yield file, f"int8, {record.psnr:.1f} dB from fp32 on {record.held_out} faces"


def refusals(store: WeightStore, weight: Weight) -> Iterator[str]:
    """Yield a sentence for each graph of a weight that failed its validation."""
    folders = _folders(store, weight)
    for name, description in {_ORIGINAL: "batches", **_DESCRIPTIONS}.items():
        records = chain.from_iterable(sorted(one.glob(f"{name}.*.json")) for one in folders)
        for record in records:
            result = read_result(record)
            if result and result.reason not in ("", _IS_HALF):
                where = record.name.removeprefix(f"{name}.").removesuffix(".json")
                yield f"no {description} ({where}): {result.reason}"
    folder = _calibrated_folder(folders)
    if not int8.read_calibration(folder) and (reason := int8.refusal(folder)):
        yield f"no int8: {reason}"


def add_batch_axis(model: Any) -> Any:
    """Change a model in place so that its inputs and outputs have a dynamic batch axis.

    Constants within that would fix the batch are rewritten: shapes of Reshape copy the batch, and
    sizes of Resize become scales.

    Raises:
        RefusedError: An input or output has no batch axis, or a node fixes the batch.
    """
    graph = model.graph
    # An input of one axis is scalar: it has no batch.
    batches = [value for value in graph.input if len(value.type.tensor_type.shape.dim) > 1]
    for value in [*batches, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if not dims or dims[0].dim_value not in (0, 1):
            raise RefusedError(f"{value.name} does not begin with a batch axis.")
        dims[0].dim_param = _BATCH_AXIS
    constants = dict(_constants(graph))
    shapes: dict[str, list[int]] | None = None
    for node in graph.node:
        if node.op_type == "Reshape" and _begins_with_one(constants, node.input[1]):
            node.input[1] = _add_constant(graph, node, _copy_batch(node, constants[node.input[1]]))
        elif (
            node.op_type == "Resize"
            and len(node.input) == 4
            and _begins_with_one(constants, node.input[3])
        ):
            shapes = _shapes(model) if shapes is None else shapes
            scales = _scales(node, shapes.get(node.input[0], []), constants[node.input[3]])
            node.input[2] = _add_constant(graph, node, scales)
            del node.input[3]
    # Their shapes are of batch size 1.
    del graph.value_info[:]
    return model


def to_half(model: Any) -> Any:
    """Return a model of half precision whose inputs and outputs stay float32."""
    # Imports onnx, which takes a second.
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    # PyTorch lists the types of constants, too; the converter would take these for tensors that it
    # has converted, and cast those that nodes share several times under one name. It infers the
    # types that it needs.
    del model.graph.value_info[:]
    return convert_float_to_float16(model, keep_io_types=True)


def _folders(store: WeightStore, weight: Weight) -> tuple[Path, ...]:
    """Return the folders of a weight's prepared graphs, the one to write first."""
    return tuple(folder / f"v{VERSION}" for folder in store.prepared_folders(weight))


def _locate(folders: Sequence[Path], name: str, where: str) -> Path:
    """Return the path of a file that was validated before, else the path to write it to."""
    validated = (folder / name for folder in folders if _record(folder / name, where).is_file())
    return next(validated, folders[0] / name)


def _calibrated_folder(folders: Sequence[Path]) -> Path:
    return next((folder for folder in folders if int8.read_calibration(folder)), folders[0])


def _prepare_int8(name: str, folder: Path) -> Prepared:
    path, record = int8.calibrated_graph(name, folder)
    note = (
        f"{name} runs at int8: its outputs for {record.held_out} held-out crops are "
        f"{record.psnr:.1f} dB from those at fp32."
    )
    return Prepared(path, note)


def _prepare_half(
    path: Path,
    original: Session,
    weight: Weight,
    folders: Sequence[Path],
    providers: Sequence[Provider],
    *,
    single: bool,
) -> Path:
    where = _where(providers)
    target = _locate(folders, _BATCH_HALF if path.parent in folders else _HALF, where)

    def make(file: Path) -> None:
        model = read_model(path)
        if is_half(model):
            raise RefusedError(_IS_HALF)
        save(to_half(model), file)

    def validate(file: Path) -> None:
        half = open_changed(file, providers)
        require_close(original, half, weight.input, min_psnr=MIN_PSNR, single=single)

    result = _make(target, where, make, validate)
    if result.reason == _IS_HALF:
        return path
    if not result.sha256:
        raise WeightsError(
            f"{weight.name} cannot run at fp16 on {providers[0].name}: {result.reason} "
            "Use the precision fp32."
        )
    return target


def _where(providers: Sequence[Provider]) -> str:
    """Return the provider and its version: a file may pass on one and fail on another."""
    return f"{providers[0].name}-{load_runtime().__version__}"


def _record(target: Path, where: str) -> Path:
    return target.with_name(f"{target.name}.{where}.json")


def _make(
    target: Path, where: str, make: Callable[[Path], None], validate: Callable[[Path], None]
) -> ValidationResult:
    """Write and validate `target`, or return the cached result."""

    def make_and_validate() -> None:
        with atomic_replacement(target) as file:
            make(file)
            validate(file)

    return validate_once(target, _record(target, where), make_and_validate)


def _constants(graph: Any) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the integer constants of a graph with their names; shapes and sizes are among them."""
    import onnx  # noqa: PLC0415 - takes a second, and only graphs that are prepared need it

    for initializer in graph.initializer:
        if initializer.data_type == onnx.TensorProto.INT64:
            yield initializer.name, onnx.numpy_helper.to_array(initializer)
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value" and attribute.t.data_type == onnx.TensorProto.INT64:
                yield node.output[0], onnx.numpy_helper.to_array(attribute.t)
            elif attribute.name == "value_ints":
                yield node.output[0], np.array(attribute.ints, np.int64)


def _begins_with_one(constants: dict[str, NDArray[np.int64]], name: str) -> bool:
    shape = constants.get(name)
    return shape is not None and shape.ndim == 1 and shape.size > 1 and int(shape[0]) == 1


def _copy_batch(node: Any, shape: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the shape with 0 for its batch, by which Reshape copies the input's."""
    if any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute):
        raise RefusedError(f"{node.name or node.output[0]} reshapes to a fixed batch.")
    copied = shape.copy()
    copied[0] = 0
    return copied


def _scales(node: Any, sizes: list[int], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the scales with which Resize reaches the wanted sizes to the pixel."""
    if len(sizes) == len(wanted) and all(sizes):
        scales: NDArray[np.float32] = np.divide(wanted, sizes).astype(np.float32)
        if np.array_equal(np.floor(np.array(sizes, np.float32) * scales), wanted):
            return scales
    raise RefusedError(f"{node.name or node.output[0]} resizes to a fixed batch.")


def _shapes(model: Any) -> dict[str, list[int]]:
    """Return the shape of every tensor, with 0 for an unknown dimension."""
    import onnx  # noqa: PLC0415 - as above

    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][:1]
        and [1, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])]
        for value in [*graph.input, *graph.value_info, *graph.output]
    }


def _add_constant(graph: Any, node: Any, value: NDArray[Any]) -> str:
    """Add a constant for one node, as other nodes may share the old one; return its name."""
    import onnx  # noqa: PLC0415 - as above

    name = f"{node.output[0]}_batch"
    # In front, as the emap is found as the last initializer.
    graph.initializer.insert(0, onnx.numpy_helper.from_array(value, name))
    return name
