"""The facts about weight files: rows of `weights/manifest.toml` and `weights/packs.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsCorrupt, WeightsMissing
from engine.values import Bytes, Pixels
from engine.weights.atomic_files import unreadable

MANIFEST: Final = "manifest.toml"
PACKS: Final = "packs.toml"

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
Triple: TypeAlias = tuple[float, float, float]
SourceKind: TypeAlias = Literal["latent", "embedding", "converted", "portrait"]
Knots: TypeAlias = tuple[tuple[float, float], ...]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1e6  # of a number that pictures are prepared with
_KNOTS = "a list of pairs of numbers between -1 and 1, both rising"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a network wants a picture: (p - mean) / std of pixels p of 0..255, in `colour` order.

    `size` is the side of the square picture; 0 is free, in multiples of `multiple`. `template`
    names the alignment of the crop, "" where there is none. Of layout "NC" it is no picture but a
    row of `size` numbers, and the rest says nothing.
    """

    name: str
    layout: Layout
    size: int
    multiple: int
    colour: Order
    mean: Triple
    std: Triple
    template: str

    def tensor(self, pictures: Sequence[Bytes]) -> NDArray[np.float32]:
        """Pictures of one size, (h, w, 3) RGB 0..255, as one contiguous batch for the network."""
        return self._tensor(np.stack(pictures).astype(np.float32))

    def tensor_of_crops(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        """As `tensor`, of pictures of RGB 0..1."""
        return self._tensor(np.stack(crops) * np.float32(255))

    def _tensor(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pictures (n, h, w, 3) of 0..255 as the network takes them; `batch` itself is changed."""
        if self.colour == "BGR":
            batch = np.ascontiguousarray(batch[..., ::-1])
        # Whole rows at a time: three channels at a time take several times as long.
        count, height, width, _ = batch.shape
        rows = batch.reshape(count, height, -1)
        rows -= np.tile(np.array(self.mean, np.float32), width)
        rows /= np.tile(np.array(self.std, np.float32), width)
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self.layout == "NCHW" else batch)


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight file: what it is, its bytes, where they came from, how it wants its input.

    `source` is a pinned distribution for an embedded file, or the script of this repository that
    trained it; the path given by the user for an imported one. `pack` is "embedded" or the pack's
    name. `output` names the graph's outputs in order. `calibration` of an embedder holds the knots
    of `engine.values.DistanceScale`.
    """

    name: str
    role: Role
    pack: str
    file: str
    sha256: str
    size: int
    licence: str
    licence_file: str
    source: str
    source_sha256: str
    source_path: str
    input: InputSpec
    output: tuple[str, ...]
    calibration: Knots = ()


@dataclass(frozen=True, slots=True)
class TensorPattern:
    """A tensor that a graph must have; "" fits any name, 0 any dimension."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """What a swapper takes of the person to put in; see packs.toml.

    A "converted" one names the network `converter`, whose answer is brought to length 1 if `unit`;
    a "portrait" has the `input` that the picture is prepared for.
    """

    kind: SourceKind
    converter: str = ""
    unit: bool = False
    input: InputSpec | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A network that users may import: how it is recognised, and how it is used.

    It is known by one of `sha256`, else by its graph, and told apart by the file's name. `needs`
    names the networks that it is of no use without. `answer` is (low, high) of the pixels that it
    gives, None where it gives no picture; `source` is there for swappers.
    """

    name: str
    pack: str
    role: Role
    licence: str
    stems: tuple[str, ...]
    inputs: tuple[TensorPattern, ...]
    outputs: tuple[TensorPattern, ...]
    input: InputSpec
    sha256: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    answer: tuple[float, float] | None = None
    source: SourceSpec | None = None
    calibration: Knots = ()


class _Table:
    """One table of a TOML file, read field by field with errors that name the field."""

    def __init__(self, where: str, fields: object) -> None:
        if not isinstance(fields, Mapping):
            raise WeightsCorrupt(f"{where} must be a table, but is {fields!r:.80}.")
        self._where = where
        self._fields = dict(fields)

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def _take(self, key: str, kind: str) -> object:
        if key not in self._fields:
            raise WeightsCorrupt(f"{self._where} lacks the field {key!r} ({kind}).")
        return self._fields.pop(key)

    def fail(self, key: str, kind: str, value: object) -> WeightsCorrupt:
        return WeightsCorrupt(f"{self._where}: {key} must be {kind}, but is {value!r:.80}.")

    def text(self, key: str) -> str:
        value = self._take(key, "a text")
        if not isinstance(value, str):
            raise self.fail(key, "a text", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key, "a list of texts")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, "a list of texts", value)
        return tuple(value)

    def whole(self, key: str, least: int) -> int:
        value = self._take(key, "a whole number")
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.fail(key, f"a whole number of at least {least}", value)
        return value

    def wholes(self, key: str) -> tuple[int, ...]:
        value = self._take(key, "a list of whole numbers")
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            raise self.fail(key, "a list of whole numbers", value)
        return tuple(value)

    def triple(self, key: str) -> Triple:
        value = self._take(key, "three numbers")
        if not isinstance(value, list) or len(value) != 3 or not all(map(_is_number, value)):
            raise self.fail(key, "three numbers", value)
        first, second, third = (float(item) for item in value)
        return first, second, third

    def knots(self, key: str) -> Knots:
        """Pairs of numbers within -1 and 1, both rising; none where the field is absent."""
        value = self._fields.pop(key, [])
        if not (isinstance(value, list | tuple) and all(map(_is_pair, value))):
            raise self.fail(key, _KNOTS, value)
        pairs = tuple((float(own), float(reference)) for own, reference in value)
        ends = ((-1.0, -1.0), *pairs, (1.0, 1.0))
        if not all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(ends)):
            raise self.fail(key, _KNOTS, value)
        return pairs

    def pair(self, key: str) -> tuple[float, float]:
        value = self._take(key, "two numbers")
        if not isinstance(value, list) or not _is_pair(value):
            raise self.fail(key, "two numbers", value)
        return float(value[0]), float(value[1])

    def flag(self, key: str) -> bool:
        value = self._take(key, "true or false")
        if not isinstance(value, bool):
            raise self.fail(key, "true or false", value)
        return value

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in known:
            raise self.fail(key, f"one of {', '.join(known)}", value)
        return value

    def table(self, key: str) -> _Table:
        return _Table(f"{self._where}, {key}", self._take(key, "a table"))

    def tables(self, key: str) -> Iterator[_Table]:
        value = self._take(key, "a list of tables")
        if not isinstance(value, list):
            raise self.fail(key, "a list of tables", value)
        for number, item in enumerate(value, 1):
            yield _Table(f"{self._where}, {key} {number}", item)

    def end(self) -> None:
        """Nothing may be left over: a field misspelt must not pass for one left out."""
        if self._fields:
            raise WeightsCorrupt(f"{self._where} has the unknown field {min(self._fields)!r}.")


def read_manifest(path: Path) -> tuple[Weight, ...]:
    """The embedded networks.

    Raises:
        WeightsMissing: there is no such file.
        WeightsCorrupt: a field is missing, unknown or wrong; two rows have one name.
        WeightsError: the file cannot be read.
    """
    table = _read(path)
    weights = tuple(_weight(row, "embedded") for row in table.tables("weight"))
    table.end()
    _distinct(path, [weight.name for weight in weights])
    return weights


def read_packs(path: Path) -> tuple[Network, ...]:
    """The networks that can be imported; raises as `read_manifest` does."""
    table = _read(path)
    networks = tuple(_network(row) for row in table.tables("network"))
    table.end()
    _distinct(path, [network.name for network in networks])
    return networks


def parse_imported(where: str, fields: object) -> Weight:
    """A `Weight` from the record of an import; raises as `read_manifest` does."""
    table = _Table(where, fields)
    return _weight(table, table.text("pack"))


def _read(path: Path) -> _Table:
    try:
        content = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise WeightsMissing(
            f"There is no {path.name} in {path.parent}; the folder of weights is incomplete."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise WeightsCorrupt(f"{path} is damaged: {error}. Reinstall faceswap-engine.") from error
    try:
        return _Table(path.name, tomllib.loads(content))
    except (ValueError, RecursionError) as error:
        raise WeightsCorrupt(f"{path} is not valid TOML: {error}.") from error


def _weight(row: _Table, pack: str) -> Weight:
    weight = Weight(
        name=row.text("name"),
        role=cast("Role", row.choice("role", get_args(Role))),
        pack=pack,
        file=row.text("file"),
        sha256=row.text("sha256"),
        size=row.whole("size", 1),
        licence=row.text("licence"),
        licence_file=row.text("licence_file"),
        source=row.text("source"),
        source_sha256=row.text("source_sha256"),
        source_path=row.text("source_path"),
        input=_input(row.table("input")),
        output=row.texts("output"),
        calibration=row.knots("calibration"),
    )
    row.end()
    if not _SHA256.fullmatch(weight.sha256):
        raise row.fail("sha256", "64 lower-case hexadecimal digits", weight.sha256)
    if not _is_file_name(weight.file):
        raise row.fail("file", "a file name without a folder", weight.file)
    return weight


def _network(row: _Table) -> Network:
    network = Network(
        name=row.text("name"),
        pack=row.text("pack"),
        role=cast("Role", row.choice("role", get_args(Role))),
        licence=row.text("licence"),
        stems=row.texts("stems"),
        inputs=tuple(_pattern(item) for item in row.tables("inputs")),
        outputs=tuple(_pattern(item) for item in row.tables("outputs")),
        input=_input(row.table("input")),
        sha256=row.texts("sha256") if "sha256" in row else (),
        needs=row.texts("needs") if "needs" in row else (),
        answer=row.pair("answer") if "answer" in row else None,
        source=_source(row.table("source")) if "source" in row else None,
        calibration=row.knots("calibration"),
    )
    row.end()
    if not all(_SHA256.fullmatch(digest) for digest in network.sha256):
        raise row.fail("sha256", "64 lower-case hexadecimal digits each", list(network.sha256))
    if network.role == "swapper" and (network.source is None or network.answer is None):
        raise row.fail("role", "one with source and answer beside it", network.role)
    return network


def _source(table: _Table) -> SourceSpec:
    kind = cast("SourceKind", table.choice("kind", get_args(SourceKind)))
    converted, portrait = kind == "converted", kind == "portrait"
    source = SourceSpec(
        kind,
        converter=table.text("converter") if converted else "",
        unit=table.flag("unit") if converted else False,
        input=_input(table.table("input")) if portrait else None,
    )
    table.end()
    return source


def _pattern(table: _Table) -> TensorPattern:
    pattern = TensorPattern(table.text("name"), table.wholes("shape"))
    table.end()
    return pattern


def _input(table: _Table) -> InputSpec:
    name = table.text("name")
    layout = cast("Layout", table.choice("layout", get_args(Layout)))
    if layout == "NC" and "colour" not in table:
        row = InputSpec(name, layout, table.whole("size", 1), 1, "RGB", (0, 0, 0), (1, 1, 1), "")
        table.end()
        return row
    spec = InputSpec(
        name=name,
        layout=layout,
        size=table.whole("size", 0),
        multiple=table.whole("multiple", 1),
        colour=cast("Order", table.choice("colour", get_args(Order))),
        mean=table.triple("mean"),
        std=table.triple("std"),
        template=table.text("template"),
    )
    table.end()
    if not all(value > 0 for value in spec.std):
        raise table.fail("std", "three numbers above 0", list(spec.std))
    return spec


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= _LARGEST


def _is_file_name(text: str) -> bool:
    """Whether it names a file in a folder, and nothing elsewhere, on every system."""
    return text not in ("", ".", "..") and text.isprintable() and not set(text) & set("/\\:")


def _distinct(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise WeightsCorrupt(f"{path.name} has two rows of the name {name!r}.")
