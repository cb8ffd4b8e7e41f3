"""Tell which network an ONNX file holds, by its sha256 or by the ends of its graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.errors import WeightsCorrupt
from engine.runtime.protobuf import MalformedError, keeps_numbers_outside
from engine.runtime.session import TensorSpec, read_signature
from engine.weights.emap import read_emap
from engine.weights.manifest import Network, TensorPattern

# What browsers and file managers add to the name of a file that is there already.
_COPY = re.compile(r"(?: ?\(\d+\)|-\d| - copy(?: \(\d+\))?| copy(?: \d+)?)$")


_MOST_TOLD = 12  # of a graph's inputs or outputs, in an error

# Roles of which only the first output is used.
_BY_FIRST: Final = frozenset({"swapper", "converter", "restorer", "occluder", "parser"})


class UnrecognisedError(WeightsCorrupt):
    """A file is a whole network, and not known to be one of those that are used here."""


def recognise(
    path: Path, networks: Sequence[Network], *, called: str, sha256: str
) -> tuple[Network, tuple[str, ...]]:
    """The network in a file whose name, to its user, is `called`, and its graph's output names.

    A graph may give more than a row tells of, if none fits better; what the row tells of comes
    first, as the first output is what is used.

    Raises:
        WeightsCorrupt: it is cut short, no ONNX file, or one of several; ONNX Runtime cannot load
            it; or it lacks the map of latents that is stored in networks of its kind.
        UnrecognisedError: no network fits, or several do and the name does not tell them apart.
    """
    require_self_contained(path, called)
    inputs, outputs = read_signature(path, called)
    network = _known(networks, inputs, outputs, called=called, sha256=sha256)
    if network.source is not None and network.source.kind == "latent":
        read_emap(path, called)
    return network, tuple(spec.name for spec in outputs)


def require_self_contained(path: Path, called: str) -> None:
    """Refuse a file that is no ONNX model, or has external data.

    Raises:
        WeightsCorrupt: It is so.
    """
    try:
        outside = keeps_numbers_outside(path)
    except MalformedError as error:
        raise WeightsCorrupt(
            f"{called} is cut short, damaged, or no ONNX file, zip or bundle; copy it again."
        ) from error
    if outside:
        raise WeightsCorrupt(
            f"{called} keeps numbers in a file of their own (external data); save all as one ONNX "
            "file."
        )


def without_mark(stem: str) -> str:
    """A file's name in small letters, without what tells a copy of it from the original."""
    return _COPY.sub("", stem)


def _known(
    networks: Sequence[Network],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    called: str,
    sha256: str,
) -> Network:
    for network in networks:
        if sha256 in network.sha256:
            return network
    taking = [network for network in networks if _fits(network.inputs, inputs, given=True)]
    taking = [network for network in taking if _leads(network, outputs)]
    fitting = [network for network in taking if _fits(network.outputs, outputs)] or [
        network for network in taking if _fits(network.outputs, outputs, more=True)
    ]
    if not fitting:
        raise UnrecognisedError(
            f"{called} is none of the networks known here: it takes {_describe(inputs)} and gives "
            f"{_describe(outputs)}. Those that can be imported are named by "
            "`faceswap-engine weights list`."
        )
    if len(fitting) == 1:
        return fitting[0]
    stem = Path(called).stem.lower()
    for name in (stem, without_mark(stem)):
        named = [network for network in fitting if name in network.stems]
        if len(named) == 1:
            return named[0]
    published = ", ".join(f"{network.stems[0]}.onnx" for network in fitting)
    raise UnrecognisedError(
        f"{called} could be any of several networks of the same shape; name it as it was "
        f"published ({published}) and import it again."
    )


def _fits(
    patterns: Sequence[TensorPattern],
    specs: Sequence[TensorSpec],
    *,
    given: bool = False,
    more: bool = False,
) -> bool:
    """Whether each pattern has a tensor of its own, and, unless `more` may be, each is taken.

    What is `given` to a network has one dimension more than its pattern at most, the batch; what
    comes of it may have others.
    """
    if len(patterns) > len(specs) or (len(patterns) < len(specs) and not more):
        return False
    suiting = [
        [
            number
            for number, spec in enumerate(specs)
            if _matches(pattern, spec) and (not given or len(spec.shape) - len(pattern.shape) <= 1)
        ]
        for pattern in patterns
    ]
    taken: dict[int, int] = {}

    def place(pattern: int, tried: set[int]) -> bool:
        """Give a pattern a tensor, for which others may have to take another one."""
        for number in suiting[pattern]:
            if number not in tried:
                tried.add(number)
                if number not in taken or place(taken[number], tried):
                    taken[number] = pattern
                    return True
        return False

    return all(place(pattern, set()) for pattern in range(len(patterns)))


def _leads(network: Network, outputs: Sequence[TensorSpec]) -> bool:
    """Whether what is used of a network, where that is its first output, comes first."""
    return network.role not in _BY_FIRST or (
        bool(outputs) and _matches(network.outputs[0], outputs[0])
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
    told = [
        f"{spec.name} ({', '.join('any' if size is None else str(size) for size in spec.shape)})"
        for spec in specs[:_MOST_TOLD]
    ]
    if len(specs) > _MOST_TOLD:
        told.append(f"{len(specs) - _MOST_TOLD} more")
    return ", ".join(told)
