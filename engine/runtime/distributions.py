"""Which distributions are installed, and those of them that own the package `onnxruntime`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Final

# All of these unpack into the same folder, and none says that it excludes the others.
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
