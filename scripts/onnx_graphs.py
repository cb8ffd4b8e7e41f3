"""Rewrites of ONNX graphs: unpack quantised constants, free the batch, drop what is not used."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 10


def unpack_constants(model: onnx.ModelProto, *, stay_small: bool) -> None:
    """Replace each DequantizeLinear of a constant (and a Reshape after it) by plain arithmetic.

    ONNX Runtime runs block-quantised DequantizeLinear nodes at every call and refuses some of
    them; a plain constant expression it folds once, when it loads the graph. With `stay_small`
    the int8 values stay in the file, as Reshape((Cast(values) - zeros) * scales); otherwise the
    float32 result is stored.
    """
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    reshapes = {node.input[0]: node for node in graph.node if node.op_type == "Reshape"}
    kept: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            if node.output[0] not in done:
                kept.append(node)
            continue
        reshape = reshapes.get(node.output[0])
        name, shape = node.output[0], list(constants[node.input[0]].dims)
        if reshape is not None:
            name = reshape.output[0]
            shape = [int(n) for n in numpy_helper.to_array(constants[reshape.input[1]])]
            done.add(name)
        values, zeros, scales = _blocks(node, constants)
        if stay_small and values.nbytes > 4096:
            graph.initializer.extend(
                [
                    numpy_helper.from_array(values, f"{name}_values"),
                    numpy_helper.from_array(zeros, f"{name}_zeros"),
                    numpy_helper.from_array(scales, f"{name}_scales"),
                    numpy_helper.from_array(np.array(shape, np.int64), f"{name}_shape"),
                ]
            )
            kept += [
                helper.make_node(
                    "Cast", [f"{name}_values"], [f"{name}_float"], to=TensorProto.FLOAT
                ),
                helper.make_node("Sub", [f"{name}_float", f"{name}_zeros"], [f"{name}_centred"]),
                helper.make_node("Mul", [f"{name}_centred", f"{name}_scales"], [f"{name}_scaled"]),
                helper.make_node("Reshape", [f"{name}_scaled", f"{name}_shape"], [name]),
            ]
        else:
            folded = ((values.astype(np.float32) - zeros) * scales).reshape(shape)
            graph.initializer.append(numpy_helper.from_array(folded, name))
    del graph.node[:]
    graph.node.extend(kept)


def _blocks(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return values (..., blocks, block), with zero points and scales (..., blocks, 1)."""
    values, scales, zeros = (numpy_helper.to_array(constants[name]) for name in node.input)
    axis = next(helper.get_attribute_value(a) for a in node.attribute if a.name == "axis")
    if axis != values.ndim - 1 or values.dtype != np.int8:
        raise ValueError(
            f"{node.name}: only int8 values in blocks along the last axis are supported"
        )
    blocks = scales.shape[-1]
    if values.shape[-1] % blocks:
        raise ValueError(f"{node.name}: {values.shape[-1]} values do not fill {blocks} blocks")
    blocked = values.reshape(*values.shape[:-1], blocks, -1)
    return blocked, zeros[..., None].astype(np.float32), scales[..., None].astype(np.float32)


def drop_dropout(model: onnx.ModelProto) -> None:
    """Take out Dropout nodes, which do nothing at inference."""
    graph = model.graph
    source = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Dropout"}
    kept = [node for node in graph.node if node.op_type != "Dropout"]
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = source.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)


def spread_prelu(model: onnx.ModelProto) -> None:
    """Replace each PRelu by slope * x + (1 - slope) * relu(x), with 1x1 depthwise convolutions.

    On the CPU, ONNX Runtime computes PRelu one number at a time and leaves its blocked layout for
    it; it took two thirds of these networks' time. Relu, Conv and Add stay in the layout.
    """
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        source, output = node.input[0], node.output[0]
        slope = numpy_helper.to_array(constants[node.input[1]]).astype(np.float32)
        slope = slope.reshape(-1, 1, 1, 1)
        names = {part: f"{output}_{part}" for part in ("relu", "scale", "rest", "line", "bend")}
        graph.initializer.extend(
            [
                numpy_helper.from_array(slope, names["scale"]),
                numpy_helper.from_array(1 - slope, names["rest"]),
            ]
        )
        nodes += [
            helper.make_node("Relu", [source], [names["relu"]]),
            _depthwise(source, names["scale"], names["line"], slope.size),
            _depthwise(names["relu"], names["rest"], names["bend"], slope.size),
            helper.make_node("Add", [names["line"], names["bend"]], [output]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _depthwise(source: str, weight: str, output: str, channels: int) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, weight], [output], group=channels, kernel_shape=[1, 1])


def keep_batch_in_reshapes(model: onnx.ModelProto) -> None:
    """Make constant reshapes that begin with a batch of 1 copy the batch of their input."""
    graph = model.graph
    computed = {name for node in graph.node for name in node.output}
    targets = {n.input[1] for n in graph.node if n.op_type == "Reshape" and n.input[0] in computed}
    for item in graph.initializer:
        shape = numpy_helper.to_array(item)
        if item.name in targets and shape.size > 1 and shape[0] == 1 and -1 in shape:
            item.CopyFrom(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), item.name))


def set_shape(value: onnx.ValueInfoProto, shape: list[int | str]) -> None:
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape))


def tidy(model: onnx.ModelProto) -> bytes:
    """Drop unused constants and inputs, constants among the inputs, and what only describes."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    nodes = [node for node in graph.node if node.op_type != "Constant" or node.output[0] in used]
    constants = [item for item in graph.initializer if item.name in used]
    names = {item.name for item in graph.initializer}
    inputs = [value for value in graph.input if value.name in used - names]
    for field, items in (("node", nodes), ("initializer", constants), ("input", inputs)):
        graph.ClearField(field)
        getattr(graph, field).extend(items)
    graph.ClearField("value_info")
    graph.ClearField("doc_string")
    for node in graph.node:
        node.ClearField("doc_string")
    for field in ("producer_name", "producer_version", "doc_string", "model_version", "domain"):
        model.ClearField(field)
    model.ClearField("metadata_props")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
