"""Tell which network an ONNX file holds, by its sha256 or by the ends of its graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import WeightsCorrupt
from engine.runtime.manifest import Network, TensorPattern
from engine.runtime.session import TensorSpec, read_signature


def recognise(
    path: Path, networks: Sequence[Network], *, called: str, sha256: str
) -> tuple[Network, tuple[str, ...]]:
    """The network in a file whose name, to its user, is `called`, and its graph's output names.

    A graph may give more than a row tells of, if none fits better.

    Raises:
        WeightsCorrupt: ONNX Runtime cannot read it, no network fits, or several do and the name
            does not tell them apart.
    """
    inputs, outputs = read_signature(path)
    names = tuple(spec.name for spec in outputs)
    for network in networks:
        if sha256 in network.sha256:
            return network, names
    taking = [network for network in networks if _fits(network.inputs, inputs)]
    fitting = [network for network in taking if _fits(network.outputs, outputs)] or [
        network for network in taking if _fits(network.outputs, outputs, more=True)
    ]
    if len(fitting) == 1:
        return fitting[0], names
    if not fitting:
        raise WeightsCorrupt(
            f"{called} is none of the networks known here: it takes {_describe(inputs)} and gives "
            f"{_describe(outputs)}."
        )
    stem = Path(called).stem.lower()
    named = [network for network in fitting if stem in network.stems]
    if len(named) == 1:
        return named[0], names
    published = ", ".join(f"{network.stems[0]}.onnx" for network in fitting)
    raise WeightsCorrupt(
        f"{called} could be any of several networks of the same shape; name it as it was "
        f"published ({published}) and import it again."
    )


def _fits(
    patterns: Sequence[TensorPattern], specs: Sequence[TensorSpec], *, more: bool = False
) -> bool:
    """Whether each pattern has a tensor of its own, and, unless `more` may be, each is taken."""
    if not patterns:
        return more or not specs
    first, *rest = patterns
    return any(
        _matches(first, spec) and _fits(rest, [*specs[:index], *specs[index + 1 :]], more=more)
        for index, spec in enumerate(specs)
    )


def _matches(pattern: TensorPattern, spec: TensorSpec) -> bool:
    if pattern.name not in ("", spec.name) or len(pattern.shape) > len(spec.shape):
        return False
    tail = spec.shape[len(spec.shape) - len(pattern.shape) :]
    return all(
        wanted == 0 or size in (None, wanted)
        for wanted, size in zip(pattern.shape, tail, strict=True)
    )


def _describe(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(
        f"{spec.name} ({', '.join('any' if size is None else str(size) for size in spec.shape)})"
        for spec in specs
    )
