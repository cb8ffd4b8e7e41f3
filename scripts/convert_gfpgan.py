#!/usr/bin/env python3
"""Convert the weights of GFPGAN 1.2, 1.3 or 1.4 to the ONNX file that the engine imports.

    python scripts/convert_gfpgan.py GFPGANv1.4.pth              # writes gfpgan_1.4.onnx beside it
    python scripts/convert_gfpgan.py GFPGANv1.4.pth --to FOLDER
    faceswap-engine weights import gfpgan_1.4.onnx

Needs the extras `cpu` and `gfpgan`, in a virtual environment of their own: the package `gfpgan`
brings PyTorch and another build of OpenCV than the engine's. The network is read by its file's
name, as it was published (any case): GFPGANv1.4.pth, GFPGANv1.3.pth, GFPGANCleanv1-NoCE-C2.pth
(that is 1.2).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Final

import numpy as np

from engine.errors import EngineError, RuntimeUnavailable, WeightsError, WeightsMissing
from engine.runtime.session import Session, Tensor
from engine.weights.atomic_files import atomic_replacement
from engine.weights.weight_store import WeightStore

LEAST_PSNR: Final = 60.0  # dB of the graph's answer against PyTorch's
_FAMILY = "gfpgan_"
_MEGABYTE = 1e6
_SQUARES = 16


def target_of(source: Path, folder: Path) -> Path:
    """Return the ONNX file for a file of weights, named as the engine knows the network.

    Raises:
        WeightsMissing: there is no such file.
        WeightsError: its name is that of none of GFPGAN's, or the ONNX file is there already.
    """
    if not source.is_file():
        raise WeightsMissing(f"There is no file {source}; name a file like GFPGANv1.4.pth.")
    stem = source.stem.lower()
    networks = WeightStore().installable()
    for network in networks:
        if network.name.startswith(_FAMILY) and stem in network.stems:
            target = folder / f"{network.name}.onnx"
            break
    else:
        raise WeightsError(
            f"{source.name} is no name that GFPGAN's weights were published by; rename it to "
            "GFPGANv1.4.pth, GFPGANv1.3.pth or GFPGANCleanv1-NoCE-C2.pth."
        )
    if target.exists():
        raise WeightsError(f"{target} exists; move it away, or name another folder with --to.")
    return target


def graphs() -> ModuleType:
    """Return the module that needs the extra.

    Raises:
        RuntimeUnavailable: a package of it is not installed.
    """
    try:
        import gfpgan_graph  # noqa: PLC0415 - heavy, and only where it is installed
    except ImportError as error:
        raise RuntimeUnavailable(
            f"GFPGAN's own package cannot be used here ({error}); in a virtual environment of its "
            "own, run `pip install '.[cpu,gfpgan]'` in the checkout."
        ) from error
    module: ModuleType = gfpgan_graph
    return module


def convert(source: Path, target: Path) -> float:
    """Write the graph to `target`, whole and tested or not at all; return its PSNR in dB.

    Raises:
        WeightsError: `source` holds something else, the graph's answers stray from PyTorch's, or
            `target` cannot be written.
        RuntimeUnavailable: a package is missing.
    """
    torch_side = graphs()
    network = torch_side.read_network(source)
    pictures = probe(torch_side.SIDE)
    expected = torch_side.draw(network, pictures)
    with atomic_replacement(target) as scratch:
        torch_side.export(network, scratch)
        psnr = parity(Session(scratch), pictures, expected)
        if psnr < LEAST_PSNR:
            raise WeightsError(
                f"The graph of {source.name} answers {psnr:.0f} dB from PyTorch ({LEAST_PSNR:.0f} "
                "dB is the least), so it was not kept; try other versions of torch and onnxscript."
            )
    return psnr


def probe(side: int) -> Tensor:
    """Two pictures of coarse squares to try a network on, (2, 3, side, side) from -1 to 1."""
    squares = np.random.default_rng(1).uniform(-1, 1, (2, 3, _SQUARES, _SQUARES))
    return np.kron(squares, np.ones((side // _SQUARES,) * 2)).astype(np.float32)


def parity(session: Session, pictures: Tensor, expected: Tensor) -> float:
    """Return the PSNR in dB of a graph's outputs for pictures, in a batch and one by one."""
    alone = [session.run(picture[None])[0] for picture in pictures]
    answers = np.stack([session.run(pictures)[0], np.concatenate(alone)])
    error = float(np.square(answers - expected, dtype=np.float64).mean(axis=(1, 2, 3, 4)).max())
    return float(10 * np.log10(2**2 / error)) if error else float("inf")


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Convert GFPGAN's weights to ONNX.")
    parser.add_argument("weights", type=Path, help="GFPGANv1.4.pth, or 1.3's or 1.2's")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="default: where the weights are")
    options = parser.parse_args()
    start = perf_counter()
    try:
        target = target_of(options.weights, options.to or options.weights.parent)
        psnr = convert(options.weights, target)
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    size = target.stat().st_size / _MEGABYTE
    print(f"{target}: {size:.0f} MB, {psnr:.0f} dB from PyTorch, {perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
