"""Facts about weight files: the rows of `weights/manifest.toml` and `weights/packs.toml`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from engine.errors import WeightsCorrupt, WeightsMissing
from engine.values import Bytes, Pixels
from engine.weights.atomic_files import unreadable

MANIFEST: Final = "manifest.toml"
PACKS: Final = "packs.toml"

_EMBEDDED: Final = "embedded"
_LARGEST: Final = 1e6  # a bound for every number of a row that is computed with
# Numbers and flags are strict one by one: pydantic's strict mode would refuse lists for tuples and
# tables for dataclasses.
_KNOWN_FIELDS: Final = ConfigDict(extra="forbid")
_REMEDY: Final = "correct it, or reinstall faceswap-engine"
# In the words of TOML and JSON, where pydantic has those of Python.
_REQUIREMENTS: Final = {"tuple_type": "be a list", "dataclass_type": "be a table"}
_T = TypeVar("_T")


def _check(requirement: str, holds: Callable[[Any], bool]) -> AfterValidator:
    """Return a validator that raises "should `requirement`" unless `holds(value)`."""

    def require(value: Any) -> Any:
        if not holds(value):
            raise ValueError(f"should {requirement}")
        return value

    return AfterValidator(require)


def _is_file_name(text: str) -> bool:
    """Tell whether a text is the name of a file, without a folder, on every system."""
    return text not in ("", ".", "..") and text.isprintable() and not set(text) & set("/\\:")


def _is_rising(knots: Iterable[tuple[float, float]]) -> bool:
    """Tell whether both columns rise strictly from -1 to 1, which are no knots themselves."""
    ends = ((-1.0, -1.0), *knots, (1.0, 1.0))
    return all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(ends))


def _complete_input(fields: Any) -> Any:
    """Fill in what the row of a plain vector (layout "NC") leaves out."""
    if not isinstance(fields, dict) or fields.get("layout") != "NC" or "colour" in fields:
        return fields
    picture = {"multiple": 1, "colour": "RGB", "mean": [0] * 3, "std": [1] * 3, "template": ""}
    if extra := picture.keys() & fields.keys():
        raise ValueError(f"should not have {', '.join(sorted(extra))} with the layout 'NC'")
    return {**fields, **picture}


def _complete_source(fields: Any) -> Any:
    """Fill in what the row of a source leaves out that is not "converted"."""
    if not isinstance(fields, dict) or fields.get("kind") == "converted":
        return fields
    return {"unit": False, **fields}


def _is_known_source(source: SourceSpec) -> bool:
    converted, portrait = source.kind == "converted", source.kind == "portrait"
    return (
        bool(source.converter) == converted
        and (converted or not source.unit)
        and (source.input is not None) == portrait
    )


def _add_pack(fields: Any) -> Any:
    """Add the pack that every row of `manifest.toml` belongs to."""
    if not isinstance(fields, dict):
        return fields
    if "pack" in fields:
        raise ValueError("should not have the field 'pack', as it is for imported networks")
    return {**fields, "pack": _EMBEDDED}


Role: TypeAlias = Literal[
    "detector",
    "landmarker",
    "embedder",
    "attributes",
    "content",
    "swapper",
    "converter",
    "restorer",
    "occluder",
    "parser",
]
Layout: TypeAlias = Literal["NCHW", "NHWC", "NC"]
Order: TypeAlias = Literal["RGB", "BGR"]
SourceKind: TypeAlias = Literal["latent", "embedding", "converted", "portrait"]

_Whole: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
_Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
_Number: TypeAlias = Annotated[float, Field(strict=True, ge=-_LARGEST, le=_LARGEST)]
_Positive: TypeAlias = Annotated[float, Field(strict=True, gt=0, le=_LARGEST)]
_Sha256: TypeAlias = Annotated[
    str,
    _check("be 64 lower-case hexadecimal digits", re.compile(r"[0-9a-f]{64}").fullmatch),
]
_FileName: TypeAlias = Annotated[str, _check("be a file name without a folder", _is_file_name)]
Knots: TypeAlias = Annotated[
    tuple[tuple[_Number, _Number], ...],
    _check("be a list of pairs of numbers between -1 and 1, both rising", _is_rising),
]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Preparation of a network's input: (p - mean) / std of pixels p of 0..255.

    Attributes:
        name: Name of the input in the graph.
        layout: Order of the axes. An input of layout "NC" is a vector of `size` numbers, not a
            picture; the other fields do not apply to it.
        size: Side of the square picture in pixels; 0 for any multiple of `multiple`.
        multiple: Both sides must be multiples of this.
        colour: Order of the channels.
        mean: One number for each channel, in the order of `colour`.
        std: The same.
        template: Name of the crop's template; "" where the picture is not aligned.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    name: str
    layout: Layout
    size: _Whole
    multiple: _Count
    colour: Order
    mean: tuple[_Number, _Number, _Number]
    std: tuple[_Positive, _Positive, _Positive]
    template: str

    def tensor(self, pictures: Sequence[Bytes]) -> NDArray[np.float32]:
        """Return a contiguous batch for the network.

        Args:
            pictures: Pictures of one size, each (h, w, 3) uint8 RGB.
        """
        return self._tensor(np.stack(pictures).astype(np.float32))

    def tensor_of_crops(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        """Return a contiguous batch of crops of one size, each (h, w, 3) float32 RGB 0..1."""
        return self._tensor(np.stack(crops) * np.float32(255))

    def _tensor(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, h, w, 3) RGB 0..255 as the network takes it; `batch` is changed in place."""
        if self.colour == "BGR":
            batch = np.ascontiguousarray(batch[..., ::-1])
        # Whole rows at a time: three channels at a time take several times as long.
        count, height, width, _ = batch.shape
        rows = batch.reshape(count, height, -1)
        rows -= np.tile(np.array(self.mean, np.float32), width)
        rows /= np.tile(np.array(self.std, np.float32), width)
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self.layout == "NCHW" else batch)


_Input: TypeAlias = Annotated[
    InputSpec,
    BeforeValidator(_complete_input),
    _check("have a size above 0 with the layout 'NC'", lambda one: one.layout != "NC" or one.size),
]


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight file: its bytes, their origin and licence, and the network's input and output.

    Attributes:
        name: Name of the network.
        role: Use of the network.
        pack: "embedded", or the pack of an imported network.
        file: Name of the file in its folder.
        sha256: Checksum of the file.
        size: Bytes of the file.
        licence: Name of the licence.
        licence_file: Its text in the folder of embedded weights; "" for imported networks.
        source: Pinned distribution that holds the original, or the script of this repository that
            trained the network; the user's path for an imported network.
        source_sha256: Checksum of the distribution; "" where there is none.
        source_path: Path of the original in the distribution, or the imported file's name.
        input: Preparation of the input.
        output: Names of the graph's outputs, in the graph's order.
        calibration: Of an embedder, the knots of `engine.values.DistanceScale`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    name: str
    role: Role
    pack: str
    file: _FileName
    sha256: _Sha256
    size: _Count
    licence: str
    licence_file: str
    source: str
    source_sha256: str
    source_path: str
    input: _Input
    output: tuple[str, ...]
    calibration: Knots = ()


@dataclass(frozen=True, slots=True)
class TensorPattern:
    """A tensor that a graph must have; "" fits any name, 0 any dimension."""

    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    name: str
    shape: tuple[_Whole, ...]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """The source encoding that a swapper takes; see packs.toml.

    Attributes:
        kind: Kind of encoding.
        unit: Whether a "converted" encoding is scaled to length 1; else False.
        converter: Name of the network that makes a "converted" encoding; else "".
        input: Preparation of the picture for a "portrait"; else None.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    kind: SourceKind
    unit: Annotated[bool, Field(strict=True)]
    converter: str = ""
    input: _Input | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A network that users may import: how it is recognised, and how it is used.

    Attributes:
        name: Name of the network.
        pack: Name of its publisher's pack.
        role: Use of the network.
        licence: Name of the licence.
        stems: Names of its published files without suffix, in lower case.
        inputs: Tensors that its graph takes.
        outputs: Tensors that its graph returns.
        input: Preparation of the picture or vector that it works on.
        sha256: Checksums of its published files.
        needs: Names of other networks that it cannot be used without.
        output_range: Lowest and highest value of its output pixels; None if it returns none.
        source: Source encoding of a swapper; None for other roles.
        calibration: Of an embedder, the knots of `engine.values.DistanceScale`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    name: str
    pack: str
    role: Role
    licence: str
    stems: tuple[str, ...]
    inputs: tuple[TensorPattern, ...]
    outputs: tuple[TensorPattern, ...]
    input: _Input
    sha256: tuple[_Sha256, ...] = ()
    needs: tuple[str, ...] = ()
    output_range: tuple[_Number, _Number] | None = None
    source: (
        Annotated[
            SourceSpec,
            BeforeValidator(_complete_source),
            _check(
                "have a converter if it is 'converted', an input if it is a 'portrait', and "
                "neither otherwise",
                _is_known_source,
            ),
        ]
        | None
    ) = None
    calibration: Knots = ()


_EmbeddedRow: TypeAlias = Annotated[Weight, BeforeValidator(_add_pack)]
_NetworkRow: TypeAlias = Annotated[
    Network,
    _check(
        "have the fields source and output_range, as it is a swapper",
        lambda row: row.role != "swapper" or (row.source and row.output_range),
    ),
]


@dataclass(frozen=True, slots=True)
class _Manifest:
    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    weight: tuple[_EmbeddedRow, ...]


@dataclass(frozen=True, slots=True)
class _Packs:
    __pydantic_config__: ClassVar[ConfigDict] = _KNOWN_FIELDS

    network: tuple[_NetworkRow, ...]


def read_manifest(path: Path) -> tuple[Weight, ...]:
    """Read the rows of the embedded networks.

    Raises:
        WeightsMissing: There is no such file.
        WeightsCorrupt: A field is missing, unknown or wrong, or two rows have the same name.
        WeightsError: The file cannot be read.
    """
    weights = _parse(_Manifest, _read_toml(path), path, _REMEDY).weight
    _require_distinct(path, [weight.name for weight in weights])
    return weights


def read_packs(path: Path) -> tuple[Network, ...]:
    """Read the rows of the networks that can be imported; raises as `read_manifest` does."""
    networks = _parse(_Packs, _read_toml(path), path, _REMEDY).network
    _require_distinct(path, [network.name for network in networks])
    return networks


def parse_weights(rows: bytes, where: Path | str, remedy: str) -> tuple[Weight, ...]:
    """Parse the JSON list of weights that a record of imports or a bundle holds.

    Args:
        rows: The JSON text, in UTF-8.
        where: Beginning of an error's sentence, which names the file.
        remedy: End of an error's sentence.

    Raises:
        WeightsCorrupt: The text is no JSON list, or a field is missing, unknown or wrong.
    """
    try:
        content = json.loads(rows)
    except (ValueError, RecursionError) as error:
        raise WeightsCorrupt(f"{where}: it is not valid JSON ({error}); {remedy}.") from error
    return _parse(tuple[Weight, ...], content, where, remedy)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise WeightsMissing(
            f"There is no {path.name} in {path.parent}; the folder of weights is incomplete: "
            "reinstall faceswap-engine."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise WeightsCorrupt(f"{path} is not valid TOML: {error}; {_REMEDY}.") from error


def _parse(kind: type[_T], content: object, where: Path | str, remedy: str) -> _T:
    """Return the content of a file as a `kind`.

    Raises:
        WeightsCorrupt: It does not fit; the error names the row, the field and its value.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise WeightsCorrupt(f"{where}: {_describe(error)}; {remedy}.") from error


def _describe(error: ValidationError) -> str:
    """Describe the first fault of a file, without the file's name."""
    fault = error.errors(include_url=False)[0]
    *row, field = fault["loc"] or ("the content",)
    if fault["type"] == "missing" and isinstance(field, str):
        return f"{_place(row)} lacks the field {field!r}"
    if fault["type"] == "unexpected_keyword_argument":
        return f"{_place(row)} has the unknown field {field!r}"
    if fault["type"] == "missing" and isinstance(field, int):
        where, requirement = _place(row), f"have at least {field + 1} numbers"
    else:
        where = _place([*row, field])
        requirement = _REQUIREMENTS.get(fault["type"]) or fault["msg"].partition(" should ")[2]
    return f"{where} must {requirement}, but is {fault['input']!r:.80}"


def _place(location: Sequence[str | int]) -> str:
    """Return a place in a file in words: ("weight", 0, "input") is "weight 1, input"."""
    words: list[str] = []
    for part in location:
        if isinstance(part, str):
            words.append(part)
        else:
            words.append(f"{words.pop() if words else 'row'} {part + 1}")
    return ", ".join(words) or "the file"


def _require_distinct(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise WeightsCorrupt(f"{path} has two rows of the name {name!r}; {_REMEDY}.")
