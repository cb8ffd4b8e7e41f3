"""int8 graphs for the CPU, calibrated on the inputs that the network gets in use.

ONNX Runtime's quantiser makes them: activations are unsigned, weights are signed with a scale per
channel. Only convolutions and matrix products that lie between other convolutions of the network
are quantised. The first ones take the picture itself, and errors of the last ones are visible.
Products that depend on the source alone cost little, and must stay exact for people whom no sample
shows. A graph is kept only if its outputs for held-out samples are close to fp32's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsCorrupt, WeightsError, WeightsMissing
from engine.optimise.onnx_graphs import is_half, save
from engine.optimise.validation import (
    RefusedError,
    ValidationResult,
    open_changed,
    read_result,
    require_psnr,
    write_result,
)
from engine.runtime.processor import saturates
from engine.runtime.providers import CPU, load_runtime
from engine.runtime.session import Session, Tensor, read_signature
from engine.values import Aligned, Portrait, Template
from engine.weights.atomic_files import atomic_replacement, sha256_of, temporary_file
from engine.weights.onnx_file import read_model
from engine.weights.weight_store import CALIBRATION

# One sample: the graph's inputs in its order.
Sample: TypeAlias = Sequence[NDArray[Any]]

# dB on held-out samples: a root mean square error of 5 in 255 levels, as a video of medium quality
# loses to its encoder.
MIN_PSNR: Final = 34.0

_REFUSAL = "int8-refused.json"
_PRODUCTS = ("Conv", "Gemm", "MatMul")
_RELU = "Relu"
_OPTIONS: Final = {
    # ONNX's own operators have scales per channel from opset 13 on; published networks are older.
    "UseQDQContribOps": True,
    # Ranges are means over the samples: the widest range of all would grow with every sample, and
    # its steps would be coarser.
    "CalibMovingAverage": True,
}
_COMMAND = "`faceswap-engine weights calibrate {name} PICTURES...`"


@dataclass(frozen=True, slots=True)
class Int8Calibration:
    """Record of an int8 graph.

    Attributes:
        sha256: Checksum of the graph's file.
        psnr: PSNR in dB of its outputs for held-out samples, compared with fp32.
        samples: Number of samples that it was calibrated on.
        held_out: Number of held-out samples.
        reduced: Whether weights have 7 bits, for processors on which large sums saturate.
    """

    sha256: str
    psnr: float
    samples: int
    held_out: int
    reduced: bool


@dataclass(frozen=True, slots=True, eq=False)
class SampleMaker:
    """Makes the samples of a swapping or restoring network from faces.

    Attributes:
        name: Name of the network.
        template: Template of its crops.
        side: Side of its crops in pixels.
        needs_embedding: Whether portraits must carry ArcFace's embedding.
        encode: Returns the source encoding of a portrait, None for a restorer.
        sample: Returns the sample of a target's crop and a source encoding.
    """

    name: str
    template: Template
    side: int
    needs_embedding: bool
    encode: Callable[[Portrait], Any]
    sample: Callable[[Aligned, Any], Sample]


def calibrate(
    name: str,
    source: Path,
    folder: Path,
    samples: Iterable[Sample],
    held_out: Sequence[Sample],
    *,
    min_psnr: float = MIN_PSNR,
) -> Int8Calibration:
    """Write the int8 graph of a network and return its record.

    Args:
        name: Name of the network, for errors.
        source: The fp32 graph.
        folder: Folder of the prepared graphs.
        samples: Samples to calibrate on; they are taken one by one, and not kept.
        held_out: Other samples, to compare the outputs on.
        min_psnr: Bound of the PSNR in dB.

    Raises:
        WeightsError: The outputs for `held_out` are not finite or below `min_psnr`, or the graph
            has nothing to quantise. An earlier graph stays; without one, `calibrated_graph` raises
            the reason from then on.
    """
    record, reduced = folder / CALIBRATION, saturates()
    try:
        with temporary_file(record) as file:
            original = Session(source)
            expected = list(_run_finite(original, held_out))
            count = quantise(source, file, samples, reduced=reduced)
            changed = open_changed(file, (CPU,))
            outputs = zip(expected, (changed.run(*sample) for sample in held_out), strict=True)
            psnr = require_psnr(original.outputs, outputs, min_psnr=min_psnr)
            made = Int8Calibration(sha256_of(file), psnr, count, len(held_out), reduced)
            file.replace(_graph(folder, made))
    except RefusedError as error:
        write_result(folder / _REFUSAL, ValidationResult("", str(error)))
        raise WeightsError(f"{name} cannot run at int8: {error} Use the precision fp32.") from error
    # The record names the graph in use: an interruption before this leaves the earlier one.
    with atomic_replacement(record) as file:
        file.write_text(json.dumps(asdict(made)) + "\n", "utf-8")
    (folder / _REFUSAL).unlink(missing_ok=True)
    for graph in folder.glob("int8-*.onnx"):
        if graph != _graph(folder, made):
            graph.unlink(missing_ok=True)
    return made


def quantise(source: Path, target: Path, samples: Iterable[Sample], *, reduced: bool) -> int:
    """Write the int8 graph of `source` to `target` without validation.

    Returns the number of samples.

    Raises:
        RefusedError: The graph is of half precision or has nothing to quantise, or the quantiser
            fails.
    """
    from onnxruntime import quantization  # noqa: PLC0415 - imports onnx, which takes a second

    reader = _SampleReader([spec.name for spec in read_signature(source)[0]], iter(samples))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        folded = Path(folder) / "folded.onnx"
        names = _fold(source, folded)
        try:
            quantization.quantize_static(
                folded,
                target,
                reader,
                op_types_to_quantize=[*_PRODUCTS, _RELU],
                nodes_to_quantize=names,
                per_channel=True,
                reduce_range=reduced,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options=_OPTIONS,
            )
        except Exception as error:
            if error is reader.error or isinstance(error, OSError):
                raise
            words = " ".join(str(error).split()).rstrip(".")
            raise RefusedError(f"the quantiser fails: {words}.") from error
    return reader.count


def read_calibration(folder: Path) -> Int8Calibration | None:
    """Return the record of the int8 graph in a folder; None if there is none that can be read."""
    try:
        fields = json.loads((folder / CALIBRATION).read_text("utf-8"))
        return Int8Calibration(
            sha256=str(fields["sha256"]),
            psnr=float(fields["psnr"]),
            samples=int(fields["samples"]),
            held_out=int(fields["held_out"]),
            reduced=bool(fields["reduced"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def refusal(folder: Path) -> str:
    """Return the reason why the last calibration was refused; "" if it was not."""
    result = read_result(folder / _REFUSAL)
    return result.reason if result else ""


def calibrated_graph(name: str, folder: Path) -> tuple[Path, Int8Calibration]:
    """Return the verified int8 graph of a network and its record.

    Raises:
        WeightsMissing: The network was not calibrated.
        WeightsCorrupt: The file has changed since.
        WeightsError: The calibration was refused, or sums saturate on this processor and did not
            where the network was calibrated.
    """
    record, command = read_calibration(folder), _COMMAND.format(name=name)
    reason = refusal(folder)
    if record is None and reason:
        raise WeightsError(
            f"{name} was calibrated and cannot run at int8: {reason} Use the precision fp32, or "
            f"try {command} with other pictures."
        )
    if record is None or not _graph(folder, record).is_file():
        raise WeightsMissing(
            f"{name} was not calibrated for the precision int8; run {command} with pictures or "
            "videos of the faces that you swap."
        )
    path = _graph(folder, record)
    if sha256_of(path) != record.sha256:
        raise WeightsCorrupt(f"{path} has changed since it was written; run {command} again.")
    if saturates() and not record.reduced:
        raise WeightsError(
            f"{name} was calibrated on a processor that adds int8 products exactly, and on this "
            f"one their sums saturate; run {command} here."
        )
    return path, record


def _run_finite(session: Session, samples: Iterable[Sample]) -> Iterator[Sequence[Tensor]]:
    """Yield the outputs at fp32; without finite ones there are no ranges to measure."""
    for sample in samples:
        outputs = session.run(*sample)
        for spec, output in zip(session.outputs, outputs, strict=True):
            if not np.isfinite(output).all():
                raise RefusedError(f"even at fp32, {spec.name} is not finite; bring a good copy.")
        yield outputs


def _graph(folder: Path, record: Int8Calibration) -> Path:
    return folder / f"int8-{record.sha256[:16]}.onnx"


class _SampleReader:
    """Samples in the form that the quantiser reads; `error` is what their iterator raised."""

    def __init__(self, names: Sequence[str], samples: Iterator[Sample]) -> None:
        self._names = names
        self._samples = samples
        self.count = 0
        self.error: Exception | None = None

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        try:
            sample = next(self._samples, None)
        except Exception as error:
            self.error = error
            raise
        if sample is None:
            return None
        self.count += 1
        return dict(zip(self._names, sample, strict=True))


def _fold(source: Path, target: Path) -> list[str]:
    """Write the graph with constants folded; return the names of the nodes to quantise.

    Folding merges normalisation and the like into the convolution before it.
    """
    import onnx  # noqa: PLC0415 - takes a second, and only calibration needs it

    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    runtime.InferenceSession(str(source), options, providers=[CPU.name], enable_fallback=0)
    model = read_model(target)
    if is_half(model):
        raise RefusedError("it is stored at half precision; import the file of single precision.")
    for number, node in enumerate(model.graph.node):
        node.name = str(number)
    names = [node.name for node in _inner_nodes(model.graph)]
    if not names:
        raise RefusedError("it has no convolution or matrix product between convolutions.")
    # The quantiser would advise to do this first.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    save(model, target)
    return names


def _inner_nodes(graph: Any) -> Iterator[Any]:
    """Yield products with stored weights between convolutions, and the ReLUs after them.

    With its ReLU quantised too, the 8 bits of a product's output cover positive values alone.
    """
    stored = {initializer.name for initializer in graph.initializer}
    nodes = list(graph.node)
    inner = _after_convolution((node, node.input, node.output) for node in nodes)
    inner &= _after_convolution((node, node.output, node.input) for node in reversed(nodes))
    outputs: set[str] = set()
    for node in nodes:
        is_product = node.op_type in _PRODUCTS and stored.issuperset(node.input[1:])
        if is_product and node.name in inner:
            outputs.update(node.output)
            yield node
        elif node.op_type == _RELU and outputs.issuperset(node.input):
            yield node


def _after_convolution(steps: Iterable[tuple[Any, Sequence[str], Sequence[str]]]) -> set[str]:
    """Return the names of nodes that a convolution leads to, for steps (node, from, to)."""
    found: set[str] = set()
    reached: set[str] = set()
    for node, before, after in steps:
        if not reached.isdisjoint(before):
            found.add(node.name)
        if node.op_type == "Conv" or node.name in found:
            reached.update(after)
    return found
