"""Convert a float TensorFlow Lite graph of plain convolutions to ONNX.

Reads the flatbuffer by itself (field numbers from TensorFlow's schema.fbs, version 3) and knows
the operators that MediaPipe's face and hand networks use. Activations become NCHW; weights that are
stored as float16 stay float16, with a Cast that ONNX Runtime folds when it loads the graph.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.generic]
Shapes = dict[str, list[str | int]]
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32, 4: np.int64}
SAME = 0
OPSET = 17


class Table:
    """A flatbuffer table: fields by number, defaults where a field is absent."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        self._slots = (struct.unpack_from("<H", data, self._vtable)[0] - 4) // 2

    def _field(self, number: int) -> int:
        if number >= self._slots:
            return 0
        offset: int = struct.unpack_from("<H", self._data, self._vtable + 4 + 2 * number)[0]
        return self._at + offset if offset else 0

    def has(self, number: int) -> bool:
        return self._field(number) != 0

    def scalar(self, number: int, kind: str, default: int = 0) -> int:
        at = self._field(number)
        return int(struct.unpack_from("<" + kind, self._data, at)[0]) if at else default

    def _target(self, number: int) -> int:
        at = self._field(number)
        return at + int(struct.unpack_from("<I", self._data, at)[0]) if at else 0

    def table(self, number: int) -> Table:
        return Table(self._data, self._target(number))

    def array(self, number: int, dtype: type[np.generic]) -> Array:
        at = self._target(number)
        if not at:
            return np.zeros(0, dtype)
        count = struct.unpack_from("<I", self._data, at)[0]
        return np.frombuffer(self._data, dtype, count, at + 4)

    def tables(self, number: int) -> list[Table]:
        at = self._target(number)
        if not at:
            return []
        count = struct.unpack_from("<I", self._data, at)[0]
        starts = range(at + 4, at + 4 + 4 * count, 4)
        return [Table(self._data, s + struct.unpack_from("<I", self._data, s)[0]) for s in starts]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph: its (NHWC) shape, and its value where it is a constant."""

    name: str
    shape: tuple[int, ...]
    value: Array | None


def _tensor(number: int, table: Table, buffers: list[Table]) -> Tensor:
    if table.has(6):
        raise ValueError(f"tensor {number} is stored sparsely, which is not supported")
    shape = tuple(int(n) for n in table.array(0, np.int32))
    data = buffers[table.scalar(2, "I")].array(0, np.uint8)
    dtype = DTYPES[table.scalar(1, "b")]
    value = data.view(dtype).reshape(shape) if data.size else None
    return Tensor(f"t{number}", shape, value)


class Converter:
    """Writes the nodes of one TensorFlow Lite graph."""

    def __init__(self, tflite: bytes) -> None:
        model = Table(tflite, struct.unpack_from("<I", tflite, 0)[0])
        self._codes = [max(code.scalar(0, "b"), code.scalar(3, "i")) for code in model.tables(1)]
        graph = model.tables(2)[0]
        buffers = model.tables(4)
        self._tensors = [_tensor(i, t, buffers) for i, t in enumerate(graph.tables(0))]
        self._operators = graph.tables(3)
        self.inputs = [self._tensors[int(i)] for i in graph.array(1, np.int32)]
        self.outputs = [self._tensors[int(i)] for i in graph.array(2, np.int32)]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants = {t.name: t.value for t in self._tensors if t.value is not None}
        self._rules: dict[int, Callable[[list[Tensor], Tensor, Table], None]] = {
            0: self._add,
            2: self._concatenate,
            3: self._convolve,
            4: self._convolve_depthwise,
            6: self._dequantize,
            9: self._connect,
            14: self._logistic,
            17: self._max_pool,
            22: self._reshape,
            23: self._resize,
            34: self._pad,
            40: self._mean,
            54: self._prelu,
        }

    def convert(self) -> None:
        for operator in self._operators:
            code = self._codes[operator.scalar(0, "I")]
            if code not in self._rules:
                raise ValueError(f"operator {code} of schema.fbs is not supported")
            inputs = [self._tensors[int(i)] for i in operator.array(1, np.int32) if i >= 0]
            output = self._tensors[int(operator.array(2, np.int32)[0])]
            self._rules[code](inputs, output, operator)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array | np.generic) -> str:
        """Return a float constant, kept in the precision that it was stored in."""
        stored = name + "_f16" if value.dtype == np.float16 else name
        contiguous = np.ascontiguousarray(value)
        self.initializers.append(numpy_helper.from_array(contiguous, stored))
        if value.dtype == np.float16:
            self.node("Cast", [stored], name, to=TensorProto.FLOAT)
        return name

    def _value(self, tensor: Tensor) -> Array:
        return self._constants[tensor.name]

    def _finish(self, name: str, output: Tensor, activation: int) -> None:
        if activation == 0:
            self.nodes[-1].output[0] = output.name
        elif activation == 1:
            self.node("Relu", [name], output.name)
        elif activation == 3:
            low = self.constant(f"{output.name}_low", np.float32(0))
            high = self.constant(f"{output.name}_high", np.float32(6))
            self.node("Clip", [name, low, high], output.name)
        else:
            raise ValueError(f"fused activation {activation} of schema.fbs is not supported")

    def _dequantize(self, inputs: list[Tensor], output: Tensor, _: Table) -> None:
        self._constants[output.name] = self._value(inputs[0])

    def _convolution(
        self,
        inputs: list[Tensor],
        output: Tensor,
        weight: Array,
        groups: int,
        options: Table,
        dilation_slot: int,
        activation_slot: int,
    ) -> None:
        image = inputs[0]
        strides = [options.scalar(2, "i", 1), options.scalar(1, "i", 1)]
        dilations = [
            options.scalar(dilation_slot + 1, "i", 1),
            options.scalar(dilation_slot, "i", 1),
        ]
        kernel = list(weight.shape[2:])
        names = [image.name, self.constant(f"{output.name}_weight", weight)]
        if len(inputs) == 3:
            names.append(self.constant(f"{output.name}_bias", self._value(inputs[2])))
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
        name = self.node(
            "Conv",
            names,
            f"{output.name}_conv",
            kernel_shape=kernel,
            strides=strides,
            dilations=dilations,
            group=groups,
            pads=_pads(options.scalar(0, "b"), image.shape, output.shape, reach, strides),
        )
        self._finish(name, output, options.scalar(activation_slot, "b"))

    def _convolve(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        weight = self._value(inputs[1]).transpose(0, 3, 1, 2)
        self._convolution(inputs, output, weight, 1, operator.table(4), 4, 3)

    def _convolve_depthwise(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        weight = self._value(inputs[1]).transpose(3, 0, 1, 2)
        self._convolution(inputs, output, weight, inputs[0].shape[3], operator.table(4), 5, 4)

    def _max_pool(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        options = operator.table(4)
        strides = [options.scalar(2, "i", 1), options.scalar(1, "i", 1)]
        kernel = [options.scalar(4, "i", 1), options.scalar(3, "i", 1)]
        pads = _pads(options.scalar(0, "b"), inputs[0].shape, output.shape, kernel, strides)
        name = self.node(
            "MaxPool",
            [inputs[0].name],
            f"{output.name}_pool",
            kernel_shape=kernel,
            strides=strides,
            pads=pads,
        )
        self._finish(name, output, options.scalar(5, "b"))

    def _add(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        name = self.node("Add", [tensor.name for tensor in inputs], f"{output.name}_add")
        self._finish(name, output, operator.table(4).scalar(0, "b"))

    def _prelu(self, inputs: list[Tensor], output: Tensor, _: Table) -> None:
        slope = self._value(inputs[1]).astype(np.float32).reshape(-1, 1, 1)
        names = [inputs[0].name, self.constant(f"{output.name}_slope", slope)]
        self.node("PRelu", names, output.name)

    def _pad(self, inputs: list[Tensor], output: Tensor, _: Table) -> None:
        before, after = self._value(inputs[1]).astype(np.int64)[[0, 3, 1, 2]].T
        pads = self.constant(f"{output.name}_pads", np.concatenate([before, after]))
        self.node("Pad", [inputs[0].name, pads], output.name)

    def _logistic(self, inputs: list[Tensor], output: Tensor, _: Table) -> None:
        self.node("Sigmoid", [inputs[0].name], output.name)

    def _reshape(self, inputs: list[Tensor], output: Tensor, _: Table) -> None:
        if inputs[0].shape[1:3] == (1, 1):
            self.node("Flatten", [inputs[0].name], output.name)
            return
        if len(output.shape) != 3 or output.shape[0] != 1:
            raise ValueError("only a reshape to a list of rows is supported")
        rows = self.node("Transpose", [inputs[0].name], f"{output.name}_nhwc", perm=[0, 2, 3, 1])
        shape = self.constant(f"{output.name}_shape", np.array([0, -1, output.shape[2]], np.int64))
        self.node("Reshape", [rows, shape], output.name)

    def _concatenate(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        if len(output.shape) != 3:
            raise ValueError("only lists of rows can be concatenated")
        name = f"{output.name}_concat"
        axis = operator.table(4).scalar(0, "i")
        self.node("Concat", [tensor.name for tensor in inputs], name, axis=axis)
        self._finish(name, output, operator.table(4).scalar(1, "b"))

    def _connect(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        weight, bias = (self._value(tensor) for tensor in inputs[1:])
        names = [
            inputs[0].name,
            self.constant(f"{output.name}_weight", weight),
            self.constant(f"{output.name}_bias", bias),
        ]
        name = self.node("Gemm", names, f"{output.name}_gemm", transB=1)
        self._finish(name, output, operator.table(4).scalar(0, "b"))

    def _resize(self, inputs: list[Tensor], output: Tensor, operator: Table) -> None:
        options = operator.table(4)
        aligned, centred = options.scalar(2, "b"), options.scalar(3, "b")
        factors = [b / a for a, b in zip(inputs[0].shape[1:3], output.shape[1:3], strict=True)]
        scales = self.constant(f"{output.name}_scales", np.array([1, 1, *factors], np.float32))
        self.node(
            "Resize",
            [inputs[0].name, "", scales],
            output.name,
            mode="linear",
            coordinate_transformation_mode=(
                "align_corners" if aligned else "half_pixel" if centred else "asymmetric"
            ),
        )

    def _mean(self, inputs: list[Tensor], output: Tensor, _: Table) -> None:
        if sorted(self._value(inputs[1]).tolist()) != [1, 2] or len(output.shape) != 2:
            raise ValueError("only a mean over the whole map is supported")
        pooled = self.node("GlobalAveragePool", [inputs[0].name], f"{output.name}_pool")
        self.node("Flatten", [pooled], output.name)


def _pads(
    padding: int,
    source: tuple[int, ...],
    target: tuple[int, ...],
    reach: list[int],
    strides: list[int],
) -> list[int]:
    """ONNX pads (top, left, bottom, right); TensorFlow's SAME puts the odd one at the end."""
    if padding != SAME:
        return [0, 0, 0, 0]
    total = [
        max((target[1 + axis] - 1) * strides[axis] + reach[axis] - source[1 + axis], 0)
        for axis in range(2)
    ]
    begin = [amount // 2 for amount in total]
    return begin + [amount - first for amount, first in zip(total, begin, strict=True)]


def face_mesh_to_onnx(tflite: bytes) -> onnx.ModelProto:
    """MediaPipe's face landmark network with batched, named inputs and outputs.

    The first output of the original becomes `landmarks` (N, points, 3), its second `score` (N, 1)
    with the sigmoid that MediaPipe applies outside of the network. Input `images` (N, 3, H, W).
    """
    converter = Converter(tflite)
    converter.convert()
    landmarks, score = converter.outputs[:2]
    points = landmarks.shape[-1] // 3
    shape = converter.constant("landmarks_shape", np.array([0, points, 3], np.int64))
    converter.node("Reshape", [landmarks.name, shape], "landmarks")
    flat = converter.node("Flatten", [score.name], "score_logit")
    converter.node("Sigmoid", [flat], "score")
    return _model(
        converter, "face_mesh", {"landmarks": ["N", points, 3], "score": ["N", 1]}, converter.nodes
    )


def palm_detection_to_onnx(tflite: bytes) -> onnx.ModelProto:
    """MediaPipe's palm detection network with a free batch and named inputs and outputs.

    Outputs `boxes` (N, anchors, 18), as the original gives them, and `scores` (N, anchors, 1) with
    the sigmoid that MediaPipe applies outside of the network. Input `images` (N, 3, H, W).
    """
    converter = Converter(tflite)
    converter.convert()
    boxes, scores = converter.outputs
    converter.node("Identity", [boxes.name], "boxes")
    converter.node("Sigmoid", [scores.name], "scores")
    shapes: Shapes = {"boxes": ["N", *boxes.shape[1:]], "scores": ["N", *scores.shape[1:]]}
    return _model(converter, "palm_detection", shapes, converter.nodes)


def hand_landmark_to_onnx(tflite: bytes) -> onnx.ModelProto:
    """MediaPipe's hand landmark network with a free batch and named inputs and outputs.

    Outputs `landmarks` (N, 21, 3) and `score` (N, 1), 0..1; which hand it is and the landmarks in
    metres are left out. Input `images` (N, 3, H, W).
    """
    converter = Converter(tflite)
    converter.convert()
    landmarks, score = converter.outputs[:2]
    shape = converter.constant("landmarks_shape", np.array([0, 21, 3], np.int64))
    converter.node("Reshape", [landmarks.name, shape], "landmarks")
    converter.node("Identity", [score.name], "score")
    shapes: Shapes = {"landmarks": ["N", 21, 3], "score": ["N", 1]}
    return _model(converter, "hand_landmark", shapes, _needed(converter.nodes, set(shapes)))


def _needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes, in their order, that the `wanted` values depend on."""
    kept = []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted = wanted | set(node.input)
    return kept[::-1]


def _model(
    converter: Converter,
    name: str,
    outputs: Shapes,
    nodes: list[onnx.NodeProto],
) -> onnx.ModelProto:
    """Return a model of `nodes` with one input, `images`, and the shapes of its `outputs`."""
    image = converter.inputs[0]
    for node in nodes:
        for index, source in enumerate(node.input):
            if source == image.name:
                node.input[index] = "images"
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [tensor("images", TensorProto.FLOAT, ["N", 3, image.shape[1], image.shape[2]])],
        [tensor(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
        converter.initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
