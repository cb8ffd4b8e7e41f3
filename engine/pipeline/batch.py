"""Many swaps in one run: the rows of a batch, from targets and folders or from a list."""

from __future__ import annotations

import csv
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from engine.errors import EngineError, MediaError, ParameterError
from engine.media.containers import VIDEO_CONTAINERS
from engine.media.os_errors import explain_read_errors, read_error, write_error
from engine.media.output_file import IMAGE_SUFFIXES
from engine.media.probe import is_image
from engine.parameters import SwapParameters, is_file, parse
from engine.pipeline.pictures import Location, path_of
from engine.pipeline.prepared_source import PreparedSource
from engine.pipeline.report import SwapReport

_FILES: Final = ("source", "target", "output")
_TABLE: Final = "swap"  # of a list in TOML, one for each row
_OTHER_PICTURES: Final = (".avif", ".bmp", ".gif", ".heic", ".heif", ".tif", ".tiff")
_OTHER_VIDEOS: Final = (".3gp", ".mpeg", ".mpg", ".mxf", ".ogv", ".vob", ".wmv")
# A file of a folder is a target if its name ends in one of these.
MEDIA_SUFFIXES: Final = frozenset(
    {*IMAGE_SUFFIXES, *VIDEO_CONTAINERS, *_OTHER_PICTURES, *_OTHER_VIDEOS}
)
_SURE: Final = frozenset({".jpeg", ".jpg", *VIDEO_CONTAINERS})  # suffixes that tell the kind
_MOST_PROBLEMS: Final = 20  # that an error lists

State: TypeAlias = Literal["swapped", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One swap of a batch.

    Attributes:
        source: picture or clip of the person to put in, or a prepared source.
        target: video or picture to change.
        output: file to write.
        parameters: parameters of the swap.
        where: place in a list, such as "list.csv, line 3"; empty without a list.
    """

    source: Path | PreparedSource
    target: Path
    output: Path
    parameters: Mapping[str, Any]
    where: str = ""

    def __str__(self) -> str:
        return self.where or str(self.target)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Result of one row of a batch.

    Attributes:
        row: the row.
        state: "swapped", "skipped" as its output was there, or "failed".
        report: the report of a swap that was done; None otherwise.
        error: why the row failed; None otherwise.
    """

    row: BatchRow
    state: State
    report: SwapReport | None = None
    error: Exception | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        row, error = self.row, self.error
        source = row.source.paths[0] if isinstance(row.source, PreparedSource) else row.source
        return {
            "row": row.where or None,
            "source": str(source),
            "target": str(row.target),
            "output": str(row.output),
            "state": self.state,
            "error": None
            if error is None
            else {
                "kind": type(error).__name__,
                "message": str(error),
                "exit_code": error.exit_code if isinstance(error, EngineError) else 1,
            },
            "report": None if self.report is None else self.report.to_dict(),
        }


def rows_of_targets(
    source: Path | PreparedSource,
    targets: Sequence[Location],
    folder: Path,
    parameters: Mapping[str, Any],
) -> list[BatchRow]:
    """Return a row for each target, and for each picture and video of a target that is a folder.

    Outputs keep their targets' names, and their places within a folder. If several targets are
    folders, each gets a folder of its name. `folder` itself is not searched.

    Raises:
        MediaError: A folder cannot be read, or holds no picture and no video.
        ParameterError: A target is no path.
    """
    paths = [path_of("target", target) for target in targets]
    several = sum(path.is_dir() for path in paths) > 1
    rows: list[BatchRow] = []
    for path in paths:
        if path.is_dir():
            root = folder / path.resolve().name if several else folder
            places = [(file, root / file.relative_to(path).parent) for file in _media(path, folder)]
        else:
            places = [(path, folder)]
        rows += (
            BatchRow(source, file, place / _output_name(file), parameters) for file, place in places
        )
    return rows


def read_rows(
    path: Path,
    *,
    source: Path | PreparedSource | None,
    folder: Path | None,
    parameters: Mapping[str, Any],
) -> list[BatchRow]:
    """Return the rows of a list in CSV or TOML.

    A row of a CSV file has a cell for each name in the first line; an empty one names nothing. In
    TOML, a row is a table `[[swap]]`, and what stands above the first holds for all. Relative paths
    begin at the list's folder; those of outputs at `folder`, if it is given.

    Args:
        path: the list.
        source: source of the rows that name none.
        folder: folder of the outputs; without it each row names its output.
        parameters: parameters of the rows that do not name them.

    Raises:
        MediaError: The list cannot be read.
        ParameterError: The list is not valid; every problem is named with its row.
    """
    shared, entries = _read_list(path)
    text = path.suffix.lower() == ".csv"
    problems: list[str] = []
    rows: list[BatchRow] = []
    for where, entry in [(str(path), shared), *entries] if shared else entries:
        whole = where == str(path)
        named = {**shared, **entry}
        unnamed = {name: _at(path.parent, name, value) for name, value in named.items()}
        given = {name: value for name, value in unnamed.items() if name not in _FILES}
        try:
            parsed = parse({**parameters, **given}, from_text=text)
        except ParameterError as error:
            problems.append(f"{where}: {error}")
            if whole:  # or each row would say it again
                break
            continue
        if whole:
            continue
        faults, row = _row(path.parent, named, source, folder)
        problems += (f"{where}: {fault}" for fault in faults)
        if row is not None:
            values = parsed.model_dump(exclude_unset=True)
            rows.append(replace(row, parameters=values, where=where))
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        rest = [f"There are {more} more problems."] if more > 0 else []
        raise ParameterError("\n".join([*problems[:_MOST_PROBLEMS], *rest]))
    if not rows:
        raise ParameterError(f"{path} has no rows; add at least one.")
    return rows


def check_rows(rows: Sequence[BatchRow]) -> None:
    """Check that no two rows write one file, and that none writes a file that another reads.

    Raises:
        ParameterError: They do.
    """
    read = {_identity(path): (name, row) for row in rows for name, path in _inputs(row)}
    written: dict[object, BatchRow] = {}
    for row in rows:
        identity = _identity(row.output)
        if identity in read:
            name, other = read[identity]
            raise ParameterError(
                f"{row}: output is {row.output}, which is also the {name} of {other}; choose "
                "another name or folder."
            )
        if identity in written:
            raise ParameterError(
                f"{written[identity]} and {row} have the same output {row.output}; give each a "
                "name of its own in a list, or swap them into two folders."
            )
        written[identity] = row


def make_folder(output: Path) -> None:
    """Make the folder of an output, if it is missing.

    Raises:
        MediaError: It cannot be made.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise write_error(output, error) from error


def _media(folder: Path, output: Path) -> list[Path]:
    """Return the pictures and videos of a folder and its folders, without those of `output`."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise read_error(folder, error) from error
    own = output.resolve()
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in MEDIA_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and (own == folder.resolve() or own not in path.resolve().parents)
    ]
    if not found:
        raise MediaError(f"{folder} holds no picture and no video; name files or another folder.")
    return found


def _output_name(target: Path) -> str:
    """Return the name of a target's output: the target's own, if a file of its kind may have it."""
    suffix = target.suffix.lower()
    if suffix in _SURE:
        return target.name
    try:
        still = is_image(target)
    except MediaError:
        return target.name  # The row says what is wrong.
    if suffix in (IMAGE_SUFFIXES if still else VIDEO_CONTAINERS):
        return target.name
    return f"{target.name}{'.png' if still else '.mp4'}"


def _read_list(path: Path) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Return what holds for all rows of a list, and the rows with their places."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".toml"):
        raise ParameterError(f"The list {path} must end in .csv or .toml.")
    with explain_read_errors(path):
        content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is no text in UTF-8; save it as UTF-8.") from error
    if suffix == ".csv":
        return {}, list(_csv_rows(path, text))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{path} is no valid TOML: {error}; correct it.") from error
    tables = document.pop(_TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ParameterError(f"{path}: {_TABLE} is no list of tables; write [[{_TABLE}]].")
    return document, [(f"{path}, swap {n}", table) for n, table in enumerate(tables, start=1)]


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(names):
                raise ParameterError(
                    f"{where}: there are {len(cells)} cells and {len(names)} names in the first "
                    "line; put a cell that holds the delimiter in quotes."
                )
            pairs = zip(names, (cell.strip() for cell in cells), strict=False)
            yield where, {name: cell for name, cell in pairs if cell}
    except csv.Error as error:
        raise ParameterError(
            f"{path}, line {reader.line_num}: {error}; correct the quotes."
        ) from error
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ParameterError(f"{path}: the first line names {', '.join(doubled)} twice; drop one.")


def _row(
    base: Path,
    named: Mapping[str, Any],
    source: Path | PreparedSource | None,
    folder: Path | None,
) -> tuple[list[str], BatchRow | None]:
    """Return the faults of a row's files, and the row without its parameters if there are none."""
    faults = [
        f"{name} is {named[name]!r}; allowed: the path of a file."
        for name in _FILES
        if name in named and (not isinstance(named[name], str) or not named[name])
    ]
    person = base / named["source"] if "source" in named and not faults else source
    if person is None and not faults:
        faults.append("source is missing; name it in the row, or for all rows.")
    if "target" not in named:
        faults.append("target is missing; name it.")
    if "output" not in named and folder is None:
        faults.append("output is missing; name it, or a folder for all outputs.")
    if faults or person is None:
        return faults, None
    target = base / named["target"]
    output = (folder or base) / (named.get("output") or _output_name(target))
    if output.suffix.lower() not in (*IMAGE_SUFFIXES, *VIDEO_CONTAINERS):
        known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_CONTAINERS))
        return [f"output is {output}; allowed: a name that ends in {known}."], None
    return [], BatchRow(person, target, output, {})


def _at(base: Path, name: str, value: Any) -> Any:
    """Return a value of a list; paths of files begin at `base`."""
    if name not in SwapParameters.model_fields or not is_file(name):
        return value
    if isinstance(value, str):
        return str(base / value) if value else value
    if isinstance(value, list):
        return [str(base / one) if isinstance(one, str) and one else one for one in value]
    return value


def _inputs(row: BatchRow) -> Iterator[tuple[str, Path]]:
    yield "target", row.target
    sources = row.source.paths if isinstance(row.source, PreparedSource) else (row.source,)
    yield from (("source", path) for path in sources)
    for name, value in row.parameters.items():
        if is_file(name):
            paths: Iterable[Any] = [value] if isinstance(value, str | os.PathLike) else value
            yield from ((name, Path(path)) for path in paths)


def _identity(path: Path) -> object:
    """Return what is equal for two paths of one file, which need not exist."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino
