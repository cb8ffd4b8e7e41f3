"""Graphs of whole numbers of 8 bits for the CPU, calibrated on what the network is truly given.

ONNX Runtime's quantiser makes them: activations unsigned, weights signed with a scale for each
channel. Only the convolutions and matrix products between others of a network's convolutions are
changed: the first ones see the picture itself, the errors of the last are seen as they are, and
what works on the source alone costs little, and must do so for people that no sample shows. A graph
is kept only if its answers to samples that it was not calibrated on are near the original's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsCorrupt, WeightsError, WeightsMissing
from engine.optimise import onnx_graphs
from engine.optimise.validation import RefusedError, likeness, opened
from engine.optimise.validation_cache import Verdict, recorded, write
from engine.runtime.processor import saturates
from engine.runtime.providers import CPU, load_runtime
from engine.runtime.session import Session, Tensor, read_signature
from engine.weights.atomic_files import atomic_replacement, sha256_of, temporary_file
from engine.weights.weight_store import CALIBRATION

# One sample: the graph's inputs in its order.
Sample: TypeAlias = Sequence[NDArray[Any]]

# dB on held-out samples: errors of 5 in 255 levels, in the root of their mean square. That is what
# a video of middling quality loses to its encoder.
LEAST_PSNR: Final = 34.0

_REFUSAL = "int8-refused.json"
_KINDS = ("Conv", "Gemm", "MatMul")
_CUT = "Relu"
_OPTIONS: Final = {
    # Those of onnx have scales by channel from version 13 on, and networks are older.
    "UseQDQContribOps": True,
    # Ranges are the means of the samples' own: the widest of all would be wider with every sample,
    # and the steps between numbers coarser.
    "CalibMovingAverage": True,
}
_COMMAND = "`faceswap-engine weights calibrate {name} PICTURES...`"


@dataclass(frozen=True, slots=True)
class Int8Calibration:
    """What is known of an int8 graph.

    `psnr` is how far its answers to `held_out` samples are from fp32's, in dB; it was calibrated
    on `samples` others. Where it is `reduced`, weights have 7 bits, for processors that cut sums
    of larger products.
    """

    sha256: str
    psnr: float
    samples: int
    held_out: int
    reduced: bool


def calibrate(
    name: str,
    source: Path,
    folder: Path,
    samples: Iterable[Sample],
    held_out: Sequence[Sample],
    *,
    least: float = LEAST_PSNR,
) -> Int8Calibration:
    """Makes the int8 graph of the network `name`, whose fp32 graph is `source`, in `folder`.

    `samples` are taken one after another, and none is kept; `held_out` are others, which the
    answers are compared on.

    Raises:
        WeightsError: the answers to `held_out` are not finite or below `least` dB from fp32's, or
            the graph holds nothing to quantise. An earlier graph is there still; where there is
            none, `calibrated` tells the reason.
        RuntimeUnavailable: the package onnx is not installed.
    """
    record, reduced = folder / CALIBRATION, saturates()
    try:
        with temporary_file(record) as scratch:
            exact = Session(source)
            expected = list(_finite(exact, held_out))
            count = quantise(source, scratch, samples, reduced=reduced)
            whole = opened(scratch, (CPU,))
            answers = zip(expected, (whole.run(*sample) for sample in held_out), strict=True)
            psnr = likeness(exact.outputs, answers, least=least)
            made = Int8Calibration(sha256_of(scratch), psnr, count, len(held_out), reduced)
            scratch.replace(_graph(folder, made))
    except RefusedError as error:
        write(folder / _REFUSAL, Verdict("", str(error)))
        raise WeightsError(f"{name} cannot run at int8: {error} Use the precision fp32.") from error
    # The record says which graph is in force: whatever ends this early leaves the earlier one.
    with atomic_replacement(record) as scratch:
        scratch.write_text(json.dumps(asdict(made)) + "\n", "utf-8")
    (folder / _REFUSAL).unlink(missing_ok=True)
    for graph in folder.glob("int8-*.onnx"):
        if graph != _graph(folder, made):
            graph.unlink(missing_ok=True)
    return made


def quantise(source: Path, target: Path, samples: Iterable[Sample], *, reduced: bool) -> int:
    """Writes the int8 graph of `source`, calibrated on `samples`, to `target`, and tests nothing.

    Returns the number of samples.

    Raises:
        RefusedError: the graph is stored at half precision or holds nothing to quantise, or the
            quantiser fails.
        RuntimeUnavailable: the package onnx is not installed.
    """
    onnx_graphs.onnx_package()
    from onnxruntime import quantization  # noqa: PLC0415 - it needs onnx

    reader = _Reader([spec.name for spec in read_signature(source)[0]], iter(samples))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        folded = Path(folder) / "folded.onnx"
        names = _fold(source, folded)
        try:
            quantization.quantize_static(
                folded,
                target,
                reader,
                op_types_to_quantize=[*_KINDS, _CUT],
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


def calibration(folder: Path) -> Int8Calibration | None:
    """What is on record of the int8 graph in a folder; None where none can be read."""
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
    """Why the network was refused when it was last calibrated; "" where it was not."""
    verdict = recorded(folder / _REFUSAL)
    return verdict.reason if verdict else ""


def calibrated(name: str, folder: Path) -> tuple[Path, Int8Calibration]:
    """The int8 graph of the network `name` in `folder`, its bytes verified.

    Raises:
        WeightsMissing: the network was not calibrated.
        WeightsCorrupt: the file is not as it was written.
        WeightsError: it was refused when it was, or this processor would cut its sums.
    """
    known, command = calibration(folder), _COMMAND.format(name=name)
    reason = refusal(folder)
    if known is None and reason:
        raise WeightsError(
            f"{name} was calibrated and cannot run at int8: {reason} Use the precision fp32, or "
            f"try {command} with other pictures."
        )
    if known is None or not _graph(folder, known).is_file():
        raise WeightsMissing(
            f"{name} was not calibrated for the precision int8; run {command} with pictures or "
            "videos of the faces that you swap."
        )
    path = _graph(folder, known)
    if sha256_of(path) != known.sha256:
        raise WeightsCorrupt(f"{path} is not as it was written; make it anew with {command}.")
    if saturates() and not known.reduced:
        raise WeightsError(
            f"{name} was calibrated on a processor that adds up products of 8 bits exactly, and "
            f"this one does not; run {command} here."
        )
    return path, known


def _finite(exact: Session, samples: Iterable[Sample]) -> Iterator[Sequence[Tensor]]:
    """The answers at fp32; without numbers in them, there is nothing to measure ranges of."""
    for sample in samples:
        answers = exact.run(*sample)
        for output, answer in zip(exact.outputs, answers, strict=True):
            if not np.isfinite(answer).all():
                raise RefusedError(f"even at fp32, {output.name} is not finite; bring a good copy.")
        yield answers


def _graph(folder: Path, known: Int8Calibration) -> Path:
    return folder / f"int8-{known.sha256[:16]}.onnx"


class _Reader:
    """Samples as the quantiser asks for them; `error` is what came up where they come from."""

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
    """Writes the graph with its constants folded; returns the names of the nodes to quantise.

    So what follows a convolution with fixed numbers, as normalisation does, becomes part of it.
    """
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    runtime.InferenceSession(str(source), options, providers=[CPU.name], enable_fallback=0)
    model = onnx_graphs.load(target)
    if onnx_graphs.is_half(model):
        raise RefusedError("it is stored at half precision; import the file of single precision.")
    for number, node in enumerate(model.graph.node):
        node.name = str(number)
    names = [node.name for node in _work(model.graph)]
    if not names:
        raise RefusedError("it holds no convolution or matrix product between convolutions.")
    # What the quantiser knows by this that it need not advise: it was done.
    onnx_graphs.onnx_package().helper.set_model_props(
        model, {"onnx.quant.pre_process": "onnxruntime.quant"}
    )
    onnx_graphs.save(model, target)
    return names


def _work(graph: Any) -> Iterator[Any]:
    """The nodes between convolutions whose weights are stored, and what cuts their answers.

    Where all below zero is cut from an answer, the 8 bits are for the rest of it.
    """
    stored = {initializer.name for initializer in graph.initializer}
    nodes = list(graph.node)
    between = _led_to((node, node.input, node.output) for node in nodes)
    between &= _led_to((node, node.output, node.input) for node in reversed(nodes))
    answers: set[str] = set()
    for node in nodes:
        works = node.op_type in _KINDS and stored.issuperset(node.input[1:])
        if works and node.name in between:
            answers.update(node.output)
            yield node
        elif node.op_type == _CUT and answers.issuperset(node.input):
            yield node


def _led_to(steps: Iterable[tuple[Any, Sequence[str], Sequence[str]]]) -> set[str]:
    """The names of the nodes that a convolution leads to, of steps (node, from, to) in order."""
    found: set[str] = set()
    reached: set[str] = set()
    for node, before, after in steps:
        if not reached.isdisjoint(before):
            found.add(node.name)
        if node.op_type == "Conv" or node.name in found:
            reached.update(after)
    return found
