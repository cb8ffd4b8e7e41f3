"""Which distributions are installed, and how those are installed that are not."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

_PROJECT: Final = "faceswap-engine"
_OF_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")

# Those that own the package `onnxruntime`: all of these unpack into the same folder, and none says
# that it excludes the others.
RUNTIMES: Final = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-silicon",
    "onnxruntime-training",
    "ort-nightly",
    "ort-nightly-gpu",
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution that is installed."""

    name: str
    version: str


def installed(names: Iterable[str]) -> tuple[Distribution, ...]:
    """Those of the distributions that are installed here."""
    found = []
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found.append(Distribution(name, metadata.version(name)))
    return tuple(found)


def pip(*arguments: str) -> str:
    """A command line for the pip of this very interpreter."""
    return shlex.join([sys.executable, "-m", "pip", *arguments])


def install(extra: str) -> str:
    """The command that installs what an extra of this engine brings.

    It names the packages of the extra and not the engine, which is on no index: whoever registers
    its name there is a stranger.
    """
    return pip("install", *requirements(extra))


def requirements(extra: str) -> tuple[str, ...]:
    """What an extra brings, as pip takes it; of a tree that is not installed, the tree with it."""
    try:
        declared = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return (f"{Path(__file__).parents[2]}[{extra}]",)
    split = [line.partition(";") for line in declared]
    return tuple(name.strip() for name, _, marker in split if extra in _OF_EXTRA.findall(marker))
