"""GFPGAN's network of the package `gfpgan`, and the ONNX graph of it."""

from __future__ import annotations

import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn import functional
from torchvision.transforms import functional as transforms

from engine.errors import WeightsCorrupt
from engine.runtime.session import Tensor

# basicsr asks for this module by the name that it had before torchvision 0.17.
sys.modules.setdefault("torchvision.transforms.functional_tensor", transforms)

from gfpgan.archs.gfpganv1_clean_arch import GFPGANv1Clean  # noqa: E402 - that name comes first
from gfpgan.archs.stylegan2_clean_arch import ModulatedConv2d  # noqa: E402

OPSET: Final = 18
SIDE: Final = 512
_STATE = "params_ema"


def blank() -> Any:
    """Return the network of GFPGAN 1.2, 1.3 and 1.4 with weights of chance."""
    return GFPGANv1Clean(
        out_size=SIDE,
        num_style_feat=512,
        channel_multiplier=2,
        decoder_load_path=None,
        fix_decoder=False,
        num_mlp=8,
        input_is_latent=True,
        different_w=True,
        narrow=1,
        sft_half=True,
    )


def read_network(path: Path) -> Any:
    """Return the network with the weights in a file of PyTorch's, without running code in it.

    Raises:
        WeightsCorrupt: the file holds something else.
    """
    remedy = "bring GFPGANv1.4.pth, GFPGANv1.3.pth or GFPGANCleanv1-NoCE-C2.pth as published."
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsCorrupt(f"PyTorch cannot read weights from {path}; {remedy}") from error
    if not isinstance(content, dict) or _STATE not in content:
        raise WeightsCorrupt(f"{path} holds no {_STATE}, where GFPGAN keeps its weights; {remedy}")
    network = blank()
    try:
        network.load_state_dict(content[_STATE])
    except (AttributeError, RuntimeError, TypeError) as error:
        raise WeightsCorrupt(
            f"{path} holds the weights of another network than GFPGAN's clean one; {remedy}"
        ) from error
    # The noise that is stored with the weights: the same picture gives the same answer.
    network.forward = partial(network.forward, return_rgb=False, randomize_noise=False)
    return network.eval()


def draw(network: Any, pictures: Tensor) -> Tensor:
    """Return the network's output for pictures (n, 3, 512, 512); both are from -1 to 1."""
    with torch.no_grad():
        answer: Tensor = network(torch.from_numpy(pictures))[0].numpy()
    return answer


def export(network: Any, path: Path) -> None:
    """Write the network's graph to one file, of any number of pictures `input` to `output`.

    It changes the network, but not what the network answers: see `_modulated`.
    """
    for layer in network.modules():
        if isinstance(layer, ModulatedConv2d):
            _separate(layer)
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, SIDE, SIDE),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            external_data=False,
            verbose=False,
        )


def _separate(layer: Any) -> None:
    kernel = layer.weight.detach()[0]
    layer.weight = torch.nn.Parameter(kernel, requires_grad=False)
    layer.register_buffer("energy", kernel.square().sum(dim=(2, 3)).T.contiguous())
    layer.forward = partial(_modulated, layer)


def _modulated(layer: Any, pictures: Any, style: Any) -> Any:
    """StyleGAN2's modulated convolution with the style applied to pictures instead of kernels.

    Each picture's style scales the channels before the convolution, and what keeps the answer's
    variance at 1 scales those after it ("Analyzing and Improving the Image Quality of StyleGAN",
    Karras et al. 2020, equations 1 and 3; the two are linear in between). So one constant kernel
    serves pictures of different styles, and the batch is free. The package makes kernels for each
    picture, and a group of channels of each, whose number a graph cannot leave open.
    """
    style = layer.modulation(style)
    if layer.sample_mode == "upsample":
        pictures = functional.interpolate(
            pictures, scale_factor=2, mode="bilinear", align_corners=False
        )
    answer = functional.conv2d(
        pictures * style[:, :, None, None], layer.weight, padding=layer.padding
    )
    if not layer.demodulate:
        return answer
    return answer * torch.rsqrt(style.square() @ layer.energy + layer.eps)[:, :, None, None]
