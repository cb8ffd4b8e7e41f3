"""Time the swapping network of a pack, and all that a swap does around it.

The network has inswapper_128's architecture with random weights: 138 million parameters, 349 GFLOP
a face. Its rate is set against its arithmetic and against plain matrix products on the same device.
Around it: one 1080p frame with one face is aligned, split into phases, joined, masked and pasted,
with a network that answers at once. What IO binding could save is told by a network that does
nothing, called with arrays and with what is where the network is. Writes
benchmarks/results/swapper.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import kit
import numpy as np
import onnx
from kit import OUT
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.optimise.int8 import quantise
from engine.optimise.prepare import to_half
from engine.optimise.validation import require_psnr
from engine.options import Compute
from engine.pipeline.stages import FaceSwap
from engine.runtime import providers
from engine.runtime.batches import SIZES, Batches
from engine.runtime.processor import saturates
from engine.runtime.session import Session, Tensor, TensorSpec
from engine.swappers.neural.network import NeuralSwapper
from engine.swappers.neural.source_encoding import EmapEncoder
from engine.values import Colour, Frame, PixelFormat, Planned
from engine.weights.weight_store import WeightStore

WHO = "P006"
BOOSTS = (128, 256, 512, 1024)
GOALS = {128: 11.0, 256: 10.0, 512: 20.3, 1024: 60.7}  # ms, a third of FaceFusion's
CHAIN = 16  # matrix products in a row
HELD_OUT = 4
CALLS = ((1, 128), (16, 128), (1, 512), (16, 512))  # pictures, and their side


@dataclass
class Graph:
    """Nodes and random weights of a graph under construction, and what its convolutions cost."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    flops: int = 0

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, *shape: int) -> str:
        deviation = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return self.constant(self.rng.standard_normal(shape, np.float32) * deviation)

    def conv(self, x: str, channels: tuple[int, int], kernel: int, side: int, step: int = 1) -> str:
        """Return a convolution after reflection, to a picture of `side`."""
        reach = kernel // 2
        pads = self.constant(np.array([0, 0, reach, reach, 0, 0, reach, reach]))
        padded = self.add("Pad", x, pads, mode="reflect")
        weight = self.weight(channels[1], channels[0], kernel, kernel)
        self.flops += 2 * kernel**2 * channels[0] * channels[1] * side**2
        return self.add("Conv", padded, weight, strides=[step, step])

    def adain(self, x: str, style: str, channels: int) -> str:
        """Instance normalisation, scaled and shifted by what the style says."""
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        normal = self.add("InstanceNormalization", x, self.constant(one), self.constant(zero))
        both = self.add("Gemm", style, self.weight(2 * channels, 512), transB=1)
        shape = self.constant(np.array([0, channels, 1, 1]))
        scale, shift = (
            self.add("Reshape", self.add("Slice", both, *self._range(part, channels)), shape)
            for part in (0, 1)
        )
        return self.add("Add", self.add("Mul", normal, scale), shift)

    def _range(self, part: int, length: int) -> tuple[str, str, str]:
        ends = (part * length, (part + 1) * length, 1)
        start, stop, axis = (self.constant(np.array([value])) for value in ends)
        return start, stop, axis

    def larger(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.add("Resize", x, "", scales, mode="linear")

    def model(self, inputs: Mapping[str, list[Any]], outputs: Mapping[str, list[Any]]) -> Any:
        def values(shapes: Mapping[str, list[Any]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in shapes.items()
            ]

        graph = helper.make_graph(
            self.nodes, "replica", values(inputs), values(outputs), self.weights
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def replica(narrow: int = 1) -> tuple[Any, int, int]:
    """inswapper_128's architecture: the model, its parameters, and its arithmetic for a face.

    Each layer has its channels divided by `narrow`; more than 1 is for rehearsals.
    """
    graph = Graph()
    a, b, c, d = (channels // narrow for channels in (128, 256, 512, 1024))
    x = graph.add("LeakyRelu", graph.conv("target", (3, a), 7, 128), alpha=0.2)
    for channels, side, step in (((a, b), 128, 1), ((b, c), 64, 2), ((c, d), 32, 2)):
        x = graph.add("LeakyRelu", graph.conv(x, channels, 3, side, step), alpha=0.2)
    for _ in range(6):
        inner = graph.adain(graph.conv(x, (d, d), 3, 32), "source", d)
        inner = graph.conv(graph.add("Relu", inner), (d, d), 3, 32)
        x = graph.add("Add", x, graph.adain(inner, "source", d))
    x = graph.add("LeakyRelu", graph.conv(graph.larger(x), (d, c), 3, 64), alpha=0.2)
    x = graph.add("LeakyRelu", graph.conv(graph.larger(x), (c, b), 3, 128), alpha=0.2)
    x = graph.add("LeakyRelu", graph.conv(x, (b, a), 3, 128), alpha=0.2)
    x = graph.add("Tanh", graph.conv(x, (a, 3), 7, 128))
    one, half = (graph.constant(np.array(v, np.float32)) for v in (1, 0.5))
    graph.nodes.append(helper.make_node("Mul", [graph.add("Add", x, one), half], ["output"]))
    picture = ["N", 3, 128, 128]
    model = graph.model({"target": picture, "source": ["N", 512]}, {"output": picture})
    parameters = sum(int(np.prod(weight.dims)) for weight in graph.weights)
    return model, parameters, graph.flops


def products(side: int) -> tuple[Any, int]:
    """Return a chain of matrix products on the device, and its arithmetic."""
    graph = Graph()
    matrix = graph.constant(
        graph.rng.standard_normal((side, side), np.float32) / np.float32(np.sqrt(side))
    )
    x = graph.add("Add", matrix, "seed")
    for _ in range(CHAIN):
        x = graph.add("MatMul", x, matrix)
    graph.nodes.append(helper.make_node("ReduceMean", [x], ["output"], keepdims=0))
    return graph.model({"seed": [1]}, {"output": []}), 2 * CHAIN * side**3


def seconds(call: Callable[[], object], repeat: int) -> float:
    """Return the median time of a call, after one that does not count."""
    times = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def network_rates(choices: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Faces a second and GFLOP/s by precision and batch, beside those of matrix products."""
    chosen = providers.choose(Compute(choices.device))
    on_card = chosen[0].name != providers.CPU_NAME
    model, parameters, flops = replica(choices.narrow)
    chain, chain_flops = products(8192 if on_card else 1024)
    OUT.mkdir(parents=True, exist_ok=True)
    for precision in (one for one in choices.precision if one != "int8"):
        halve = to_half if precision == "fp16" else (lambda kept: kept)
        paths = [OUT / f"swapper-{name}-{precision}.onnx" for name in ("replica", "products")]
        for path, graph in zip(paths, (model, chain), strict=True):
            onnx.save(halve(_copy(graph)), path)
        session, product = (Session(path, chosen) for path in paths)
        taken = seconds(partial(product.run, np.zeros(1, np.float32)), choices.repeat)
        rate = chain_flops / taken / 1e9
        for batch in choices.batches:
            rng = np.random.default_rng(batch)
            inputs = (
                rng.random((batch, 3, 128, 128), np.float32),
                rng.standard_normal((batch, 512), np.float32),
            )
            taken = seconds(partial(session.run, *inputs), choices.repeat)
            row = {
                "provider": session.provider,
                "precision": precision,
                "batch": batch,
                "parameters": parameters,
                "gflop_a_face": flops / 1e9,
                "faces_per_second": batch / taken,
                "gflops": batch * flops / taken / 1e9,
                "matrix_gflops": rate,
            }
            print(row, flush=True)
            yield row


def whole_numbers(choices: argparse.Namespace) -> dict[str, Any]:
    """Time the network at int8 and at fp32 in turn, as other work comes and goes.

    The int8 graph is the engine's, but for its bound: random weights have no picture to be near to.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    exact, whole = (OUT / f"swapper-replica-{name}.onnx" for name in ("fp32", "int8"))
    onnx.save(replica()[0], exact)
    began = time.perf_counter()
    quantise(exact, whole, map(_noise, range(choices.samples)), reduced=saturates())
    made = time.perf_counter() - began
    sessions = slow, fast = Session(exact), Session(whole)
    held_out = [_noise(choices.samples + number) for number in range(HELD_OUT)]
    answers = ((slow.run(*sample), fast.run(*sample)) for sample in held_out)
    psnr = require_psnr(slow.outputs, answers, min_psnr=-np.inf)
    pairs = [
        [seconds(partial(session.run, *held_out[0]), 1) for session in sessions]
        for _ in range(choices.repeat)
    ]
    slowly, quickly = (statistics.median(times) for times in zip(*pairs, strict=True))
    row = {
        "faces_per_second_fp32": 1 / slowly,
        "faces_per_second_int8": 1 / quickly,
        "times_as_fast": statistics.median(one / other for one, other in pairs),
        "psnr": psnr,
        "samples": choices.samples,
        "seconds_to_make": made,
        "megabytes": whole.stat().st_size / 1e6,
        "reduced": saturates(),
    }
    print(row, flush=True)
    return row


def _noise(seed: int) -> list[Tensor]:
    """Return a picture of noise, and a direction."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((1, 512), np.float32)
    return [rng.random((1, 3, 128, 128), np.float32), latent / np.linalg.norm(latent)]


def _copy(model: Any) -> Any:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


@dataclass
class Instant:
    """Answers with the pictures that it is given, at once."""

    inputs: tuple[TensorSpec, ...]
    batchable: bool = True
    provider: str = providers.CUDA_NAME

    def run(self, *arrays: Tensor) -> list[Tensor]:
        return [arrays[0]]


def around(choices: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Milliseconds a frame of all but the networks, by pixel boost."""
    network = WeightStore().network("inswapper_128")
    shapes = {"target": (None, 3, 128, 128), "source": (None, 512)}
    instant = Instant(tuple(TensorSpec(name, shape) for name, shape in shapes.items()))
    batches = Batches(cast("Session", instant), SIZES)
    swapper = NeuralSwapper(network, batches, EmapEncoder(np.eye(512, dtype=np.float32)))
    frame, face = scene()
    latent = np.zeros(512, np.float32)
    for boost in BOOSTS:
        swap = FaceSwap(swapper, {0: latent})
        planned = [Planned(frame, (face,), (face,), sizes=(boost,))]
        taken = 1000 * seconds(partial(swap, planned), max(choices.repeat, 10))
        row = {"boost": boost, "milliseconds": taken, "goal": GOALS[boost], "face": face.box.width}
        print(row, flush=True)
        yield row


def binding(choices: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Milliseconds of a call that computes next to nothing, by arrays and bound to the device.

    The difference is the most that IO binding could save: both ways' copies, and the call's own
    work.
    """
    chosen = providers.choose(Compute(choices.device))
    place = "cpu" if chosen[0] == providers.CPU else "cuda"
    graph = Graph()
    graph.nodes.append(helper.make_node("Neg", ["pixels"], ["negative"]))
    free = ["N", 3, "H", "W"]
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "swapper-negative.onnx"
    onnx.save(graph.model({"pixels": free}, {"negative": free}), path)
    runtime = providers.load_runtime()
    session = runtime.InferenceSession(
        str(path), providers=[(one.name, dict(one.options)) for one in chosen]
    )
    for count, side in CALLS:
        pictures = np.random.default_rng(side).random((count, 3, side, side), np.float32)
        bound = session.io_binding()
        there = runtime.OrtValue.ortvalue_from_numpy(pictures, place, 0)
        bound.bind_ortvalue_input("pixels", there)
        answer = runtime.OrtValue.ortvalue_from_shape_and_type(pictures.shape, np.float32, place, 0)
        bound.bind_ortvalue_output("negative", answer)
        by_arrays = partial(session.run, None, {"pixels": pictures})
        by_binding = partial(session.run_with_iobinding, bound)
        pairs = [[seconds(call, 1) for call in (by_arrays, by_binding)] for _ in range(50)]
        arrays, bindings = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
        row = {
            "provider": chosen[0].name,
            "pictures": count,
            "side": side,
            "milliseconds": arrays,
            "milliseconds_bound": bindings,
        }
        print(row, flush=True)
        yield row


def scene() -> tuple[Frame, Any]:
    """Return a 1080p frame of 4:2:0, and the one face in it."""
    import people  # noqa: PLC0415 - found through kit's path

    portrait = cv2.imread(str(people.person(WHO).portrait))
    assert portrait is not None
    portrait = cv2.resize(portrait, (960, 960 * portrait.shape[0] // portrait.shape[1]))
    wall = np.full((1080, 1920, 3), 110, np.uint8)
    height = min(portrait.shape[0], 1080)
    wall[:height, 480:1440] = portrait[:height]
    (face, *_) = kit.Kit().faces(kit.frame_of(np.ascontiguousarray(wall[..., ::-1])))
    flat = cv2.cvtColor(wall, cv2.COLOR_BGR2YUV_I420)
    luma, chroma = flat[:1080], flat[1080:].reshape(2, 540, 960)
    planes = tuple(np.ascontiguousarray(plane) for plane in (luma, *chroma))
    layout = PixelFormat("yuv420p", "yuv", 8, 1, 1)
    whole = kit.frame_of(wall)
    return Frame(0, 0, whole.time_base, planes, layout, Colour()), face


def markdown(result: Mapping[str, Any]) -> str:
    lines = ["# Swapping networks", "", kit.machine_line(), ""]
    if result["network"]:
        first = result["network"][0]
        size, cost = first["parameters"] / 1e6, first["gflop_a_face"]
        lines += [
            f"inswapper_128's architecture: {size:.1f} M parameters, {cost:.1f} GFLOP a face.",
            "",
            "| provider | precision | batch | faces/s | GFLOP/s | of matrix products' |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {row['provider'].removesuffix('ExecutionProvider')} | {row['precision']} "
            f"| {row['batch']} | {row['faces_per_second']:.2f} | {row['gflops']:.0f} "
            f"| {row['gflops'] / row['matrix_gflops']:.0%} of {row['matrix_gflops']:.0f} |"
            for row in result["network"]
        ]
        lines.append("")
    if result["int8"]:
        row = result["int8"]
        lines.append(
            f"At int8, batch 1, in turns with fp32 on the CPU: {row['faces_per_second_int8']:.2f} "
            f"against {row['faces_per_second_fp32']:.2f} faces/s, the median of pairs "
            f"{row['times_as_fast']:.2f} times as fast. With random weights, calibrated on "
            f"{row['samples']} pictures of noise and not held to a bound, its answers to others "
            f"are {row['psnr']:.1f} dB from fp32's. Making it took {row['seconds_to_make']:.0f} s; "
            f"it has {row['megabytes']:.0f} MB.\n"
        )
    if not result["around"]:
        return "\n".join(lines) + "\n"
    lines += [
        "Around a network that answers at once, for one face in a 1080p frame:",
        "",
        "| pixel boost | ms a frame | goal |",
        "| ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['boost']} | {row['milliseconds']:.1f} | {row['goal']:.0f} |"
        for row in result["around"]
    ]
    lines += [
        "",
        (
            "A call of a network that computes next to nothing, with arrays and with IO binding; "
            "the difference is the most that binding could save. The engine calls with arrays."
        ),
        "",
        "| provider | pictures | ms a call | ms bound |",
        "| --- | --- | ---: | ---: |",
    ]
    lines += [
        f"| {row['provider'].removesuffix('ExecutionProvider')} | {row['pictures']} of "
        f"{row['side']} x {row['side']} | {row['milliseconds']:.3f} "
        f"| {row['milliseconds_bound']:.3f} |"
        for row in result["binding"]
    ]
    if all(row["provider"] == providers.CPU_NAME for row in result["binding"]):
        lines += [
            "",
            (
                "What a card's transfers cost is open: `benchmarks/swapper.py --device cuda` "
                "measures it the same way."
            ),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="as the engine's (default: cpu)")
    parser.add_argument(
        "--precision", nargs="+", default=["fp32"], choices=["fp32", "fp16", "int8"]
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--samples", type=int, default=16, help="to calibrate int8 on")
    parser.add_argument("--narrow", type=int, default=1, help="divide the network's channels")
    parser.add_argument("--no-network", action="store_true", help="only what is around it")
    parser.add_argument("--no-around", action="store_true", help="only the network")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    choices = parser.parse_args()
    result = {
        "machine": kit.machine(),
        "around": [] if choices.no_around else list(around(choices)),
        "binding": [] if choices.no_around else list(binding(choices)),
        "network": [] if choices.no_network else list(network_rates(choices)),
        "int8": whole_numbers(choices) if "int8" in choices.precision else None,
    }
    if choices.json:
        choices.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(result)
    print(text)
    if not choices.no_write:
        kit.record("swapper", result, text)


if __name__ == "__main__":
    main()
