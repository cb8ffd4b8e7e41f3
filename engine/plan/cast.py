"""The cast of a film: who becomes whom, and corrections, as a person writes them.

One model is the source of the TOML file, of the records that Python takes, and of the JSON schema.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeAlias, TypedDict, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from engine.errors import MediaError, ParameterError
from engine.parameters import Allowed, Share, parse_seconds
from engine.suggestions import closest

KEEP: Final = "keep"  # the role of faces that stay as they are

MAX_ROLES: Final = 64
_MAX_FILES = 16  # of one role
_MAX_BYTES = 2**24  # of a file
_SHOWN = 80  # characters of a value in an error


def _as_tuple(value: object) -> object:
    """Return a list as a tuple, and one value as a tuple of it; tuples as they are."""
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, tuple) else (value,)


def _as_coordinates(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _as_files(value: object) -> object:
    files = _as_tuple(value)
    if not isinstance(files, tuple):
        return files
    return tuple(str(file) if isinstance(file, Path) else file for file in files)


def _check_time(value: str) -> str:
    parse_seconds(value)
    return value


_Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
_Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]
_Pixel: TypeAlias = Annotated[float, Field(ge=-(2**20), le=2**20, allow_inf_nan=False)]
_FileList: TypeAlias = Annotated[list[str], Field(max_length=_MAX_FILES)]
Files: TypeAlias = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(max_length=_MAX_FILES),
    BeforeValidator(_as_files, json_schema_input_type=str | _FileList),
    Allowed(f"the path of a picture or clip, or a list of up to {_MAX_FILES}"),
]
Numbers: TypeAlias = Annotated[
    tuple[_Count, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=int | list[int]),
    Allowed("a whole number from 0, or a list of them"),
]
# A frame: its number, counted from 1, or its time as a text, "HH:MM:SS.mmm".
Moment: TypeAlias = int | str
_Moment: TypeAlias = Annotated[
    Annotated[int, Field(ge=1, lt=2**31)] | Annotated[str, AfterValidator(_check_time)],
    Allowed('the number of a frame, counted from 1, or a time as "HH:MM:SS.mmm"'),
]
_Two: TypeAlias = Annotated[list[float], Field(min_length=2, max_length=2)]
Point: TypeAlias = Annotated[
    tuple[_Pixel, _Pixel],
    BeforeValidator(_as_coordinates, json_schema_input_type=_Two),
    Allowed("[x, y] in pixels of the picture as displayed"),
]
_Four: TypeAlias = Annotated[list[float], Field(min_length=4, max_length=4)]
Corners: TypeAlias = Annotated[
    tuple[_Pixel, _Pixel, _Pixel, _Pixel],
    BeforeValidator(_as_coordinates, json_schema_input_type=_Four),
    Allowed("[left, top, right, bottom] in pixels of the picture as displayed"),
]
_Name: TypeAlias = Annotated[_Text, Allowed("a text")]


class Record(BaseModel):
    """Base of the records: exact types, no other keys, never changed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Role(Record):
    """A person of the target, and who the person becomes."""

    name: _Name = Field(description="Name of the role; corrections and reports use it.")
    source: Files = Field(
        default=(), description="Picture or clip of the person to put in; several show one person."
    )
    keep: Annotated[bool, Allowed("true, false")] = Field(
        default=False, description="Leave the person as is, in place of a source."
    )
    person: Numbers = Field(
        default=(),
        description="The person in the target, by number as `faceswap-engine people` lists.",
    )
    reference: Files = Field(default=(), description="Picture of the person in the target.")
    frame: _Moment | None = Field(
        default=None, description="Frame of the target that shows the person."
    )
    position: Annotated[_Count | None, Allowed("a whole number from 0")] = Field(
        default=None, description="Number of the face in that frame, the largest is 0."
    )
    point: Point | None = Field(
        default=None, description="Point of that frame that lies on the face."
    )
    distance: Share | None = Field(
        default=None,
        description="Greatest distance to the person's embedding that is a match; left out, it is "
        "reference_face_distance.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name == KEEP:
            raise ValueError(f"name is {KEEP!r}, which stands for no role; choose another name")
        if bool(self.source) == self.keep:
            raise ValueError("give source, or keep = true, and not both")
        ways = {
            "person": bool(self.person),
            "reference": bool(self.reference),
            "frame": self.frame is not None,
        }
        if sum(ways.values()) != 1:
            raise ValueError(f"name the person of the target by one of {', '.join(ways)}")
        if self.frame is None and (self.position is not None or self.point is not None):
            raise ValueError("position and point choose a face of frame; give frame, too")
        if self.position is not None and self.point is not None:
            raise ValueError("give position or point, and not both")
        if self.person and self.distance is not None:
            raise ValueError("distance has no effect on a role by person; leave it out")
        return self


class Correction(Record):
    """A decision of the user, which goes before those of the engine."""

    role: _Name = Field(description='Name of the role that the faces get, or "keep".')
    track: Numbers = Field(default=(), description="Faces of this track.")
    person: Numbers = Field(default=(), description="Faces of this person of the target.")
    of: Annotated[_Text | None, Allowed("the name of a role")] = Field(
        default=None, description="Faces that would get this role."
    )
    start: _Moment | None = Field(
        default=None, alias="from", description="First frame; left out, it is the film's first."
    )
    to: _Moment | None = Field(
        default=None,
        description="Last frame, included; left out, it is the film's last, or with box the first.",
    )
    box: Corners | None = Field(
        default=None,
        description="A face that was missed in the first frame. It is followed to the last frame, "
        "the end of the shot, or until it is lost.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        others = bool(self.track) + bool(self.person) + (self.of is not None)
        if others > 1:
            raise ValueError("name the faces by one of track, person, of")
        self._check_box(others)
        if not others and self.start is None and self.to is None:
            raise ValueError("say what it is about by track, person, of, from or to")
        return self

    def _check_box(self, others: int) -> None:
        if self.box is None:
            return
        if others:
            raise ValueError("box is a face of its own; leave out track, person and of")
        if self.start is None:
            raise ValueError("from is missing; name the frame that box is in")
        if self.role == KEEP:
            raise ValueError("box is a face that was missed, which is kept anyway; name a role")
        if not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("box is empty; allowed: [left, top, right, bottom]")


class Cast(Record):
    """The roles of a film, and corrections."""

    role: Annotated[
        tuple[Role, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=list[Role]),
        Field(min_length=1, max_length=MAX_ROLES),
        Allowed(f"from 1 to {MAX_ROLES} roles"),
    ] = Field(description="The roles: [[role]].")
    correction: Annotated[
        tuple[Correction, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=list[Correction]),
        Allowed("corrections"),
    ] = Field(
        default=(), description="Corrections: [[correction]]. A later one goes before an earlier."
    )

    def absolute(self) -> Cast:
        """Return the cast with absolute paths, which name the same files in any folder."""
        roles = tuple(
            role.model_copy(
                update={
                    "source": tuple(str(Path(one).absolute()) for one in role.source),
                    "reference": tuple(str(Path(one).absolute()) for one in role.reference),
                }
            )
            for role in self.role
        )
        return self.model_copy(update={"role": roles})

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = self.names
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two roles are named {min(twice)!r}; give each a name of its own")
        for number, one in enumerate(self.correction, start=1):
            named = {"role": one.role, "of": one.of}
            for key, name in named.items():
                if name is not None and name != KEEP and name not in names:
                    raise ValueError(
                        f"correction {number}: {key} is {name!r}; allowed: {', '.join(names)}"
                        + (f", {KEEP}" if key == "role" else "")
                    )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the roles, in order."""
        return tuple(role.name for role in self.role)

    def under(self, folder: Path) -> Self:
        """Return the cast with its paths taken from a folder."""
        roles = tuple(
            role.model_copy(
                update={
                    "source": tuple(str(folder / one) for one in role.source),
                    "reference": tuple(str(folder / one) for one in role.reference),
                }
            )
            for role in self.role
        )
        return self.model_copy(update={"role": roles})

    def number(self, name: str) -> int | None:
        """Return the index of a role; None for "keep"."""
        return None if name == KEEP else self.names.index(name)


class RoleKeywords(TypedDict, total=False):
    """A role as Python passes it; `name` is required. docs/cast.md says what each key means."""

    name: str
    source: str | Path | Sequence[str | Path]
    keep: bool
    person: int | Sequence[int]
    reference: str | Path | Sequence[str | Path]
    frame: int | str
    position: int
    point: Sequence[float]
    distance: float


_Since = TypedDict("_Since", {"from": int | str}, total=False)


class CorrectionKeywords(_Since, total=False):
    """A correction as Python passes it; `role` is required."""

    role: str
    track: int | Sequence[int]
    person: int | Sequence[int]
    of: str
    to: int | str
    box: Sequence[float]


class CastKeywords(TypedDict, total=False):
    """A cast as Python passes it, with the keys of its file; `role` is required."""

    role: Sequence[RoleKeywords]
    correction: Sequence[CorrectionKeywords]


RecordT = TypeVar("RecordT", bound=Record)


def read_cast(path: Path) -> Cast:
    """Read a cast from a TOML file, or that of a plan; paths are relative to the file's folder.

    Raises:
        MediaError: The file cannot be read.
        ParameterError: It is no TOML, or not as `Cast` says.
    """
    values = read_toml(path)
    roles = {name: values[name] for name in Cast.model_fields if name in values}
    # A plan is a cast with further keys.
    cast = validate(roles if "tracks" in values else values, Cast, str(path))
    return cast.under(path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file.

    Raises:
        MediaError: The file cannot be read.
        ParameterError: It is no TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > _MAX_BYTES:
        raise ParameterError(f"{path} has more than {_MAX_BYTES} bytes; it is no cast or plan.")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{path} is no TOML: {error}.") from error


def validate(values: Mapping[str, Any], model: type[RecordT], where: str) -> RecordT:
    """Return a record of plain values; `where` names them in errors.

    Raises:
        ParameterError: They are not as the model says; every problem is named.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ParameterError(" ".join(_problems(error, model, where))) from None


def _problems(error: ValidationError, model: type[Record], where: str) -> Iterator[str]:
    seen: set[str] = set()
    for problem in error.errors(include_url=False):
        place, key, inner = _locate(problem["loc"], model)
        at = ", ".join((where, *place))
        if f"{at}: {key}" in seen:
            continue
        seen.add(f"{at}: {key}")
        if problem["type"] == "model_type":
            yield f"{at}: {problem['input']!r:.80} is no table of keys."
        elif key is None:
            yield f"{at}: {problem['msg'].removeprefix('Value error, ')}."
        elif problem["type"] == "extra_forbidden":
            names = [field.alias or name for name, field in inner.model_fields.items()]
            close = closest(key, names)
            hint = f"did you mean {' or '.join(close)}?" if close else ""
            hint = hint or f"allowed: {', '.join(names)}."
            yield f"{at}: {key} is no key here; {hint}"
        elif problem["type"] == "missing" and problem["loc"][-1] == key:
            yield f"{at}: {key} is missing; allowed: {_allowed(inner, key)}."
        else:
            value = repr(problem["input"])[:_SHOWN]
            yield f"{at}: {key} is {value}; allowed: {_allowed(inner, key)}."


def _locate(
    loc: tuple[int | str, ...], model: type[Record]
) -> tuple[list[str], str | None, type[Record]]:
    """Return where a problem is in words, its key, and the record that has the key."""
    place: list[str] = []
    inner = model
    rest = list(loc)
    while rest:
        key = str(rest.pop(0))
        deeper = _record_within(inner, key) if rest else None
        if deeper is None:
            return place, key, inner
        number = rest.pop(0)
        place.append(f"{key} {number + 1}" if isinstance(number, int) else f"{key}, {number}")
        inner = deeper
    return place, None, inner


def _record_within(model: type[Record], key: str) -> type[Record] | None:
    """Return the records that a key of a record holds a list or table of; None if it holds none."""
    field = model.model_fields.get(key)
    members = get_args(field.annotation) if field is not None else ()
    return next((one for one in members if isinstance(one, type) and issubclass(one, Record)), None)


def _allowed(model: type[Record], key: str) -> str:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            found = [*field.metadata, *_metadata_of(field.annotation)]
            words = [one.words for one in found if isinstance(one, Allowed)]
            return words[0] if words else "another type"
    return "another type"


def _metadata_of(annotation: Any) -> Iterator[object]:
    for member in get_args(annotation):
        yield from getattr(member, "__metadata__", ())
