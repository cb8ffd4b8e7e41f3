"""The occluder's network: a small U-Net of plain convolutions, and its export to ONNX."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIDE = 160
MEAN = STD = 127.5
INPUT, OUTPUT = "images", "seen"
OPSET = 17


class _Conv(nn.Module):
    """Convolution, batch normalisation and, unless told otherwise, ReLU."""

    def __init__(
        self, before: int, after: int, size: int = 3, stride: int = 1, *, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(after)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return functional.relu(y) if self.relu else y

    def fuse(self) -> None:
        """Fold the normalisation into the convolution, for good."""
        self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class _Block(nn.Module):
    """Two convolutions and what they are added to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Conv(channels, channels)
        self.second = _Conv(channels, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Network(nn.Module):
    """From pictures (n, 3, 160, 160) of -1..1 to logits (n, 1, 160, 160): what is seen of the face.

    Five levels of half the side each; on the way back up, each is added to what it was made of.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 96, 96)) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.stem = _Conv(3, a, stride=2)
        self.down2 = nn.Sequential(_Conv(a, b, stride=2), _Block(b))
        self.down3 = nn.Sequential(_Conv(b, c, stride=2), _Block(c))
        self.down4 = nn.Sequential(_Conv(c, d, stride=2), _Block(d))
        self.down5 = nn.Sequential(_Conv(d, e, stride=2), _Block(e))
        self.up4, self.mix4 = _Conv(e, d, 1), _Conv(d, d)
        self.up3, self.mix3 = _Conv(d, c, 1), _Conv(c, c)
        self.up2, self.mix2 = _Conv(c, b, 1), _Conv(b, b)
        self.up1, self.mix1 = _Conv(b, a, 1), _Conv(a, a)
        self.head = nn.Conv2d(a, 4, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        one = self.stem(pictures)
        two = self.down2(one)
        three = self.down3(two)
        four = self.down4(three)
        five = self.down5(four)
        x = self.mix4(four + _twice(self.up4(five)))
        x = self.mix3(three + _twice(self.up3(x)))
        x = self.mix2(two + _twice(self.up2(x)))
        x = self.mix1(one + _twice(self.up1(x)))
        return functional.pixel_shuffle(self.head(x), 2)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class _Answer(nn.Module):
    """The network as the engine asks it: (n, 160, 160, 1) of 0..1."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        seen = torch.sigmoid(self.network(pictures))
        return seen.permute(0, 2, 3, 1)


def answer_of(network: Network) -> nn.Module:
    """Return a copy with the same outputs, its normalisations folded."""
    copy = Network()
    copy.load_state_dict(network.state_dict())
    copy.eval()
    for module in copy.modules():
        if isinstance(module, _Conv):
            module.fuse()
    return _Answer(copy).eval()


def export(network: Network, target: Path) -> None:
    """Write the graph, with a free batch axis and its weights stored in 16 bits."""
    buffer = io.BytesIO()
    torch.onnx.export(
        answer_of(network),
        (torch.zeros(1, 3, SIDE, SIDE),),
        buffer,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "N"}, OUTPUT: {0: "N"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load_from_string(buffer.getvalue())
    _halve(model)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString())


def _halve(model: onnx.ModelProto) -> None:
    """Store the weights in 16 bits, to be widened when the graph is loaded."""
    nodes = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
