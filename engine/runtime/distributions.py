"""Look up installed distributions, and name the commands that install missing ones."""

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

# Builds of ONNX Runtime: all unpack into the same folder, and none declares a conflict with the
# others.
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
    """An installed distribution."""

    name: str
    version: str


def installed(names: Iterable[str]) -> tuple[Distribution, ...]:
    """Return those of the named distributions that are installed."""
    found = []
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found.append(Distribution(name, metadata.version(name)))
    return tuple(found)


def pip(*arguments: str) -> str:
    """Return a command line for the pip of this interpreter."""
    return shlex.join([sys.executable, "-m", "pip", *arguments])


def install(extra: str) -> str:
    """Return the command that installs the packages of one of this engine's extras.

    It does not name the engine, which is on no package index: anybody could register the name.
    """
    return pip("install", *requirements(extra))


def requirements(extra: str) -> tuple[str, ...]:
    """Return the requirements of an extra; if the engine is not installed, its folder[extra]."""
    try:
        declared = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return (f"{Path(__file__).parents[2]}[{extra}]",)
    split = [line.partition(";") for line in declared]
    return tuple(name.strip() for name, _, marker in split if extra in _OF_EXTRA.findall(marker))
