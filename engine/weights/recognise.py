"""Recognise the network in an ONNX file, by its sha256 or by its graph's inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from engine.errors import WeightsCorrupt
from engine.runtime.session import TensorSpec, describe_shape, read_signature
from engine.weights.manifest import Network, TensorPattern
from engine.weights.onnx_file import MalformedError, emap_of, has_external_data, read_model

# What browsers and file managers add to the name of a second copy.
_COPY_MARK: Final = re.compile(r"(?: ?\(\d+\)|-\d| - copy(?: \(\d+\))?| copy(?: \d+)?)$")
_MAX_DESCRIBED: Final = 12  # inputs or outputs of a graph, in an error
# Roles of which only the first output is used.
_FIRST_OUTPUT_ROLES: Final = frozenset({"swapper", "converter", "restorer", "occluder", "parser"})


class UnrecognisedError(WeightsCorrupt):
    """A file is an intact network, but none of those that are known."""


def recognise(
    path: Path, networks: Sequence[Network], *, called: str, sha256: str
) -> tuple[Network, tuple[str, ...]]:
    """Return the network in a file and the names of its graph's outputs.

    Args:
        path: The file.
        networks: The networks that are known.
        called: The file's name to its user, where `path` may be a temporary file.
        sha256: The file's checksum.

    Raises:
        WeightsCorrupt: The file is cut short, no ONNX file, or has external data; ONNX Runtime
            cannot load it; or it lacks the emap of its kind of network.
        UnrecognisedError: No network fits, or several do and the name does not decide.
    """
    model = require_self_contained(path, called)
    inputs, outputs = read_signature(path, called)
    network = _find(networks, inputs, outputs, called=called, sha256=sha256)
    if network.source is not None and network.source.kind == "latent":
        emap_of(model, called)
    return network, tuple(spec.name for spec in outputs)


def require_self_contained(path: Path, called: str) -> Any:
    """Return a file's `onnx.ModelProto`.

    Raises:
        WeightsCorrupt: The file is no ONNX model, or has external data.
    """
    try:
        model = read_model(path)
    except MalformedError as error:
        raise WeightsCorrupt(
            f"{called} is cut short, damaged, or no ONNX file, zip or bundle; copy it again."
        ) from error
    if has_external_data(model):
        raise WeightsCorrupt(
            f"{called} has external data: weights in another file, which is not imported; save "
            "all as one ONNX file."
        )
    return model


def without_copy_mark(stem: str) -> str:
    """Return a file's lower-case name without the mark of a second copy."""
    return _COPY_MARK.sub("", stem)


def _find(
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
    candidates = [
        network
        for network in networks
        if _fits(network.inputs, inputs, are_inputs=True) and _has_used_output(network, outputs)
    ]
    # A graph may have more outputs than a row names, unless another row names them all.
    fitting = [network for network in candidates if _fits(network.outputs, outputs)] or [
        network for network in candidates if _fits(network.outputs, outputs, allow_more=True)
    ]
    if not fitting:
        raise UnrecognisedError(
            f"{called} is none of the known networks: it has the inputs {_describe(inputs)} and "
            f"the outputs {_describe(outputs)}. `faceswap-engine weights list` names those that "
            "can be imported."
        )
    if len(fitting) == 1:
        return fitting[0]
    stem = Path(called).stem.lower()
    for name in (stem, without_copy_mark(stem)):
        named = [network for network in fitting if name in network.stems]
        if len(named) == 1:
            return named[0]
    published = ", ".join(f"{network.stems[0]}.onnx" for network in fitting)
    raise UnrecognisedError(
        f"{called} could be any of several networks with the same inputs and outputs; name it as "
        f"it was published ({published}) and import it again."
    )


def _fits(
    patterns: Sequence[TensorPattern],
    specs: Sequence[TensorSpec],
    *,
    are_inputs: bool = False,
    allow_more: bool = False,
) -> bool:
    """Tell whether each pattern can be matched with a tensor of its own.

    An input has at most one dimension more than its pattern, the batch; an output may have several.
    Unless `allow_more`, each tensor must be matched, too.
    """
    if len(patterns) > len(specs) or (len(patterns) < len(specs) and not allow_more):
        return False
    choices = [
        [
            number
            for number, spec in enumerate(specs)
            if _matches(pattern, spec)
            and (not are_inputs or len(spec.shape) - len(pattern.shape) <= 1)
        ]
        for pattern in patterns
    ]
    taken: dict[int, int] = {}

    def assign(pattern: int, tried: set[int]) -> bool:
        """Assign a tensor to a pattern; others may be moved to another tensor."""
        for number in choices[pattern]:
            if number not in tried:
                tried.add(number)
                if number not in taken or assign(taken[number], tried):
                    taken[number] = pattern
                    return True
        return False

    return all(assign(pattern, set()) for pattern in range(len(patterns)))


def _has_used_output(network: Network, outputs: Sequence[TensorSpec]) -> bool:
    """Tell whether the first output is the one that is used, for roles that use the first."""
    return network.role not in _FIRST_OUTPUT_ROLES or (
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
    described = [f"{spec.name} {describe_shape(spec.shape)}" for spec in specs[:_MAX_DESCRIBED]]
    if len(specs) > _MAX_DESCRIBED:
        described.append(f"{len(specs) - _MAX_DESCRIBED} more")
    return ", ".join(described)
