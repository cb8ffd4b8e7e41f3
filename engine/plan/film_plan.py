"""The plan of a film as a text file: a cast, and for each track who it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from engine.errors import MediaError
from engine.parameters import Allowed
from engine.plan.cast import KEEP, Cast, Record, read_toml, validate

VERSION: Final = 1
_HEAD: Final = """\
# A plan of faceswap-engine: who becomes whom in a film. Edit it, then draw it by
#     faceswap-engine render PLAN -o OUT
# A track gets the role that its row names, or "keep"; corrections go before rows. Rows are made
# anew by `faceswap-engine plan FILM --cast PLAN`; roles and corrections stay. See docs/cast.md.
"""


class TrackRow(Record):
    """Planned treatment of a track."""

    role: Annotated[str, Field(min_length=1), Allowed("the name of a role, or keep")] = Field(
        description='Name of the role that the track gets, or "keep".'
    )
    start: Annotated[str, Allowed("a time")] = Field(
        alias="from", description="Time of the track's first frame."
    )
    to: Annotated[str, Allowed("a time")] = Field(description="Time of the track's last frame.")
    distance: Annotated[
        float | None, Field(ge=0, le=2, allow_inf_nan=False), Allowed("a number from 0 to 2")
    ] = Field(default=None, description="Distance to the role's person, or the nearest one.")
    reason: Annotated[str, Allowed("a text")] = Field(
        default="", description="Why it gets the role."
    )


class Plan(Cast):
    """A cast with the film that it is for, and a row for each track of the film."""

    version: Annotated[Literal[1], Allowed("1")] = Field(description="Version of the format.")
    film: Annotated[str, Field(min_length=1), Allowed("the path of the film, in UTF-8")] = Field(
        description="The film's path, from the plan's folder."
    )
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$"), Allowed("64 digits from 0 to f")] = (
        Field(description="sha256 of the film's file.")
    )
    parameters: Annotated[
        dict[str, str | int | float | bool], Allowed("parameters of the swap by name")
    ] = Field(default={}, description="Parameters of the swap that rendering takes, by name.")
    tracks: Annotated[dict[str, TrackRow], Allowed("rows by the number of the track")] = Field(
        description="What becomes of each track, by its number. A track without a row is kept."
    )

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        for number, row in self.tracks.items():
            if not number.isascii() or not number.isdecimal():
                raise ValueError(f"tracks, {number}: a track is named by a number from 0")
            if row.role != KEEP and row.role not in self.names:
                raise ValueError(
                    f"tracks, {number}: role is {row.role!r}; allowed: {', '.join(self.names)}, "
                    f"{KEEP}"
                )
        return self

    @property
    def rows(self) -> Mapping[int, TrackRow]:
        """The rows by the number of the track."""
        return {int(number): row for number, row in self.tracks.items()}


def read_plan(path: Path) -> Plan:
    """Read a plan; its paths are relative to the file's folder.

    Raises:
        MediaError: The file cannot be read.
        ParameterError: It is no TOML, or not as `Plan` says.
    """
    folder = path.parent
    plan = validate(read_toml(path), Plan, str(path)).under(folder)
    return plan.model_copy(update={"film": str(folder / plan.film)})


def write_plan(plan: Plan, path: Path, scratch: Path) -> None:
    """Write a plan that will lie at `path` to the file `scratch`.

    Raises:
        MediaError: The file cannot be written.
    """
    try:
        scratch.write_text(plan_text(plan, path.parent), encoding="utf-8")
    except OSError as error:
        raise MediaError(f"{path} cannot be written: {error.strerror or error}.") from error


def plan_text(plan: Plan, folder: Path) -> str:
    """Return a plan as TOML; paths within the plan's folder are written relative to it."""
    lines = [
        _HEAD,
        f"version = {plan.version}",
        f"film = {_toml(_relative(plan.film, folder))}",
        f"sha256 = {_toml(plan.sha256)}",
    ]
    if plan.parameters:
        lines += ["", "[parameters]", *_keys(plan.parameters)]
    for role in plan.role:
        values = role.model_dump(exclude_defaults=True)
        for name in ("source", "reference"):
            if name in values:
                values[name] = [_relative(one, folder) for one in values[name]]
        lines += ["", "[[role]]", *_keys(values)]
    for correction in plan.correction:
        values = correction.model_dump(exclude_defaults=True, by_alias=True)
        lines += ["", "[[correction]]", *_keys(values)]
    lines += ["", "[tracks]"]
    for number, row in plan.rows.items():
        values = row.model_dump(exclude_defaults=True, by_alias=True)
        lines.append(f"{number} = {{ {', '.join(_keys(values))} }}")
    return "\n".join(lines) + "\n"


def _relative(path: str, folder: Path) -> str:
    """Return a path from a folder if it lies within, else the absolute path."""
    whole, base = Path(path).absolute(), folder.absolute()
    return str(whole.relative_to(base) if whole.is_relative_to(base) else whole)


def _keys(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        one = isinstance(value, list | tuple) and len(value) == 1
        yield f"{name} = {_toml(value[0] if one else value)}"


def _toml(value: object) -> str:
    """Return a text, number, boolean or list of these as TOML."""
    if isinstance(value, str):
        # A text of JSON is one of TOML, but for this control character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Iterable):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
