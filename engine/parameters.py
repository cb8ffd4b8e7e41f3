"""The public parameters: parsed once, here, into the options that the engine works with.

`SwapParameters` accepts the hosted model's parameters by their own names and defaults, and this
engine's own beside them; `SwapCall` adds what a job or a request must name besides. What they
refuse, they refuse with one sentence for each problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from engine.errors import ParameterError
from engine.options import (
    DEVICE_PATTERN,
    DEVICES,
    AnalysisOptions,
    AudioMode,
    Compute,
    Device,
    EncodeOptions,
    EnhanceOptions,
    FaceRegion,
    LimitOptions,
    MetadataMode,
    Precision,
    SelectionRule,
    SelectorMode,
    SelectorOrder,
    SwapOptions,
    Trim,
)
from engine.suggestions import closest
from engine.values import Gender, Race

PixelBoost: TypeAlias = Literal[
    "128x128", "256x256", "384x384", "512x512", "768x768", "1024x1024", "auto"
]

# The names that the hosted model knows; all others are this engine's own.
HOSTED: Final = frozenset(
    {
        "source_image",
        "target",
        "base64",
        "face_selector_mode",
        "face_selector_order",
        "face_selector_gender",
        "face_selector_race",
        "face_selector_age_start",
        "face_selector_age_end",
        "reference_face_distance",
        "reference_frame_number",
        "pixel_boost",
    }
)

_RULE = SelectionRule()
_ANALYSIS = AnalysisOptions()
_COMPUTE = Compute()
_LIMITS = LimitOptions()
_ENHANCE = EnhanceOptions()
_ENCODE = EncodeOptions()
_SWAP = SwapOptions()
_MOST_PICTURES = 16  # in a list of pictures of one person
_MOUTH: Final[frozenset[FaceRegion]] = frozenset({"mouth", "upper-lip", "lower-lip"})
_CLOCK = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d*)?)")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a field takes, in words that complete "allowed: ..."."""

    words: str


def seconds(value: object) -> object:
    """Seconds of a number, or of a "SS.mmm", "MM:SS.mmm" or "HH:MM:SS.mmm" string.

    Raises:
        ValueError: A string of another form, or with 60 or more minutes or seconds after a colon.
    """
    if not isinstance(value, str):
        return value
    match = _CLOCK.fullmatch(value.strip())
    if match is None:
        raise ValueError("this is no time")
    hours, minutes, rest = (float(match[name] or 0) for name in ("hours", "minutes", "seconds"))
    if (match["minutes"] and rest >= 60) or (match["hours"] and minutes >= 60):
        raise ValueError("this is no time")
    return hours * 3600 + minutes * 60 + rest


def _say_whose(schema: dict[str, Any]) -> None:
    """Tells the hosted parameters and the engine's own apart in a JSON schema."""
    for name, described in schema["properties"].items():
        described["x-origin"] = "hosted" if name in HOSTED else "engine"


def _none(value: object) -> object:
    return None if value == "none" else value


def _listed(value: object) -> object:
    """One or several, as a tuple."""
    listed = [value] if isinstance(value, str | Path) else value
    return tuple(listed) if isinstance(listed, list) else listed


def _paths(value: object) -> object:
    listed = _listed(value)
    if not isinstance(listed, tuple):
        return listed
    return tuple(str(item) if isinstance(item, Path) else item for item in listed)


def _path(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(seconds, json_schema_input_type=float | str),
    Field(ge=0, allow_inf_nan=False),
    Allowed('seconds from 0, as a number or as "HH:MM:SS.mmm"'),
]
Age: TypeAlias = Annotated[int, Field(ge=0, le=100), Allowed("a whole number from 0 to 100")]
Share: TypeAlias = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False), Allowed("a number from 0 to 1")
]
Pictures: TypeAlias = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_paths, json_schema_input_type=str | list[str]),
    Field(max_length=_MOST_PICTURES),
    Allowed(f"a path or a list of at most {_MOST_PICTURES} paths"),
]


class SwapParameters(BaseModel):
    """How one swap is done; the three paths (source, target, output) travel beside it."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, json_schema_extra=_say_whose
    )

    # The hosted model's parameters.
    face_selector_mode: SelectorMode = Field(
        _RULE.mode, description="Which of several faces: those of one person, all, or one."
    )
    face_selector_order: SelectorOrder = Field(_RULE.order, description="Which face comes first.")
    face_selector_gender: Annotated[
        Gender | None,
        BeforeValidator(_none, json_schema_input_type=Gender | Literal["none"] | None),
    ] = Field(None, description="Keep only faces read as this gender.")
    face_selector_race: Annotated[
        Race | None,
        BeforeValidator(_none, json_schema_input_type=Race | Literal["none"] | None),
    ] = Field(None, description="Keep only faces read as this race; needs the fairface weights.")
    face_selector_age_start: Age = Field(0, description="Youngest age that is kept.")
    face_selector_age_end: Age = Field(100, description="Oldest age that is kept.")
    reference_face_distance: Share = Field(
        _RULE.reference_distance,
        description="Greatest distance (1 - cosine) to the reference face that is a match.",
    )
    reference_frame_number: Annotated[int, Field(ge=0), Allowed("a whole number from 0")] = Field(
        _RULE.reference_frame,
        description="Frame that the reference face is read from, counted in the whole target; "
        "1 is the first, and so is 0.",
    )
    pixel_boost: PixelBoost = Field(
        "384x384",
        description="Resolution the face is swapped at; auto is what each face's size is worth. "
        "Where none is given and the swapper cannot do the default, its next larger one is.",
    )

    # This engine's own.
    reference_face_position: Annotated[int, Field(ge=0), Allowed("a whole number from 0")] = Field(
        _RULE.reference_position,
        description="Which of the reference's ordered, filtered faces; 0 is the first.",
    )
    reference_image: Pictures = Field(
        (), description="Pictures of the person to replace, instead of a reference frame."
    )
    extra_source_image: Pictures = Field(
        (),
        description="More pictures or clips of the person to put in, for swappers that take "
        "several.",
    )
    source_weight: Annotated[
        float, Field(ge=0, le=1.5, allow_inf_nan=False), Allowed("a number from 0 to 1.5")
    ] = Field(
        _SWAP.source_weight,
        description="How much of the source's identity is put in: 0 is the target's own, 1 the "
        "source's, more is further from the target's.",
    )
    swapper: Annotated[str, Field(min_length=1), Allowed('"auto" or the name of a swapper')] = (
        Field("auto", description="What swaps the face; auto takes the best that is installed.")
    )
    device: Annotated[Device, Field(pattern=DEVICE_PATTERN), Allowed(DEVICES)] = Field(
        _COMPUTE.device, description="Where the networks run; auto takes a card that works."
    )
    precision: Precision = Field(
        _COMPUTE.precision,
        description="Arithmetic of the swapper's and the restorer's network; fp16 is tested "
        "against fp32 first, int8 runs on the CPU and must be calibrated first.",
    )
    vram: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False),
        Allowed("GiB above 0, as a number, or left out for no limit"),
    ] = Field(None, description="Memory of the card that one network may take, in GiB.")
    detector: Annotated[str, Field(min_length=1), Allowed('"auto" or the name of a detector')] = (
        Field(
            _ANALYSIS.detector,
            description="What finds faces; auto takes the best that is installed.",
        )
    )
    embedder: Annotated[str, Field(min_length=1), Allowed('"auto" or the name of an embedder')] = (
        Field(
            _ANALYSIS.embedder,
            description="What tells who a face is; auto takes the best that is installed.",
        )
    )
    landmarker: Annotated[
        str, Field(min_length=1), Allowed('"auto" or the name of a landmark network')
    ] = Field(_ANALYSIS.landmarker, description="What faces are aligned by; auto takes the mesh.")
    enhance: Annotated[
        str | None, Field(min_length=1), Allowed('"auto", the name of a restorer, or left out')
    ] = Field(
        _ENHANCE.enhancer,
        description="What draws swapped faces anew; auto takes the best that is installed, null "
        "leaves them as they are.",
    )
    enhance_blend: Share = Field(
        _ENHANCE.blend, description="How much of the restorer's answer shows."
    )
    enhance_fidelity: Share = Field(
        _ENHANCE.fidelity,
        description="How closely codeformer keeps to the swapped face; 0 is its own idea of it.",
    )
    occluder: Annotated[
        str | None, Field(min_length=1), Allowed('"auto", "none" or the name of an occluder')
    ] = Field(
        _LIMITS.occluder,
        description="What finds things before the face, such as glasses and hands, which stay; "
        "auto takes the embedded network, none (or null) asks none.",
    )
    face_region: Annotated[
        tuple[FaceRegion, ...],
        BeforeValidator(_listed, json_schema_input_type=FaceRegion | list[FaceRegion]),
        Allowed(
            f"one or more of {', '.join(get_args(FaceRegion))}; on the command line, repeat the "
            "option for each"
        ),
    ] = Field((), description="The only parts of the face to swap, instead of all of it.")
    parser: Annotated[str, Field(min_length=1), Allowed('"auto" or the name of a face parser')] = (
        Field(
            _LIMITS.parser,
            description="What tells the parts apart; auto takes the best that is installed.",
        )
    )
    any_source: bool = Field(
        default=False,
        description="Go on with a source whose face is hidden in part: turned away, cut off, "
        "behind dark glasses or in coloured light.",
    )
    keep_mouth: bool = Field(
        _LIMITS.keep_mouth, description="Leave the target's own mouth, lips and all."
    )
    match_colour: bool = Field(
        _LIMITS.match_colour,
        description="Move the swapped face's colours to those of the target's face.",
    )
    detect_rotated: bool = Field(
        _ANALYSIS.detect_rotated,
        description="Also look for heads turned by 90, 180 and 270 degrees.",
    )
    # As many frames wait in memory as lie between detections.
    detect_every: Annotated[int, Field(ge=1, le=30), Allowed("a whole number from 1 to 30")] = (
        Field(
            _ANALYSIS.detect_every,
            description="Frames between detections; faces are followed in between.",
        )
    )
    video_codec: Annotated[
        str | None, Field(min_length=1), Allowed("the name of a video encoder, or left out")
    ] = Field(None, description="Video encoder; null takes what fits the target.")
    crf: Annotated[
        float | None,
        Field(ge=0, le=63, allow_inf_nan=False),
        Allowed("a number from 0 (best) to 63, or left out"),
    ] = Field(None, description="Constant quality of the encoder; less is better and larger.")
    preset: Annotated[
        str | None, Field(min_length=1), Allowed("one of the encoder's presets, or left out")
    ] = Field(None, description="The encoder's trade of speed for size.")
    pixel_format: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9]{1,32}$"),
        Allowed('"keep", the name of a pixel format such as yuv420p, or left out'),
    ] = Field(
        _ENCODE.pixel_format,
        description="Pixel format of an output video: null takes one that players of its container "
        "can show, keep the one nearest to the target's.",
    )
    audio: AudioMode = Field(
        _ENCODE.audio,
        description="Sound and text subtitles that the output's container cannot hold: transcode "
        "converts them, copy leaves them out, drop leaves out all sound.",
    )
    metadata: MetadataMode = Field(
        _ENCODE.metadata,
        description="The target's tags, EXIF and location: keep copies them, none leaves them out. "
        "The mark that the output is synthetic always stays.",
    )
    start: Seconds | None = Field(None, description="Where in the target to begin.")
    end: Seconds | None = Field(None, description="Where in the target to stop, exclusive.")
    overwrite: bool = Field(default=False, description="Replace an output that exists.")
    content_check: bool = Field(
        default=True, description="Refuse explicit material before anything is written."
    )

    @model_validator(mode="after")
    def _agreeing(self) -> Self:
        problems = []
        if self.face_selector_age_start > self.face_selector_age_end:
            problems.append(
                f"face_selector_age_start is {self.face_selector_age_start} and "
                f"face_selector_age_end is {self.face_selector_age_end}; "
                "allowed: a start that is not above the end."
            )
        if self.start is not None and self.end is not None and self.start >= self.end:
            problems.append(
                f"start is {self.start:g} s and end is {self.end:g} s; "
                "allowed: a start before the end."
            )
        if self.vram is not None and self.device in ("cpu", "tensorrt"):
            problems.append(
                f"vram is {self.vram:g} and device is {self.device}; "
                "allowed: a limit with the device auto, cuda or cuda:N."
            )
        if self.precision == "int8" and self.device not in ("auto", "cpu"):
            problems.append(
                f"precision is int8 and device is {self.device}; "
                "allowed: int8 with the device auto or cpu, as it is made for the CPU."
            )
        if self.keep_mouth and self.face_region and _MOUTH.issuperset(self.face_region):
            problems.append(
                f"keep_mouth is true and face_region is {', '.join(self.face_region)}, which "
                "leaves nothing to swap; allowed: one of the two, or another region beside."
            )
        if problems:
            raise ValueError(" ".join(problems))
        return self

    def compute(self) -> Compute:
        """Where and how exactly the networks run."""
        return Compute(device=self.device, precision=self.precision, vram=self.vram)

    def options(self) -> SwapOptions:
        """The same choices as the engine's frozen options; `swapper` and `compute` beside them."""
        return SwapOptions(
            selection=SelectionRule(
                mode=self.face_selector_mode,
                order=self.face_selector_order,
                gender=self.face_selector_gender,
                race=self.face_selector_race,
                age_start=self.face_selector_age_start,
                age_end=self.face_selector_age_end,
                reference_distance=self.reference_face_distance,
                reference_frame=max(self.reference_frame_number, 1),
                reference_position=self.reference_face_position,
                reference_images=tuple(map(Path, self.reference_image)),
            ),
            analysis=AnalysisOptions(
                detect_rotated=self.detect_rotated,
                detect_every=self.detect_every,
                detector=self.detector,
                embedder=self.embedder,
                landmarker=self.landmarker,
            ),
            encode=EncodeOptions(
                codec=self.video_codec,
                crf=self.crf,
                preset=self.preset,
                pixel_format=self.pixel_format,
                audio=self.audio,
                metadata=self.metadata,
            ),
            trim=Trim(start=self.start, end=self.end),
            limits=LimitOptions(
                occluder=None if self.occluder == "none" else self.occluder,
                regions=self.face_region,
                parser=self.parser,
                keep_mouth=self.keep_mouth,
                match_colour=self.match_colour,
            ),
            enhance=EnhanceOptions(
                enhancer=self.enhance, blend=self.enhance_blend, fidelity=self.enhance_fidelity
            ),
            pixel_boost=(
                None if self.pixel_boost == "auto" else int(self.pixel_boost.partition("x")[0])
            ),
            exact_boost="pixel_boost" in self.model_fields_set,
            extra_sources=tuple(map(Path, self.extra_source_image)),
            source_weight=self.source_weight,
            any_source=self.any_source,
            overwrite=self.overwrite,
            content_check=self.content_check,
        )


Media: TypeAlias = Annotated[
    str,
    BeforeValidator(_path),
    Field(min_length=1),
    Allowed("a path, a file:// or data: URI, or base64"),
]


class SwapCall(SwapParameters):
    """One call: which files, how the swap is done, and how its result is given back."""

    source_image: Media = Field(description="Picture or clip of the person to put in.")
    target: Media = Field(description="Video or picture to change.")
    base64: bool = Field(
        default=False, description="Answer with the output in base64 instead of its URI."
    )
    output: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        BeforeValidator(_path),
        Allowed("a path, a file:// URI or null"),
    ] = Field(None, description="File to write; null takes one in the job's own folder.")

    def swap_parameters(self) -> dict[str, Any]:
        """What the call says of how the swap is done, and no more, as JSON has it."""
        return self.model_dump(
            mode="json",
            include=self.model_fields_set & SwapParameters.model_fields.keys(),
        )


ModelT = TypeVar("ModelT", bound=SwapParameters)


def parse(parameters: Mapping[str, Any]) -> SwapParameters:
    """Parameters of a mapping, as it comes from keyword arguments; `pixel_boost` may be one side.

    Raises:
        ParameterError: A name is unknown, or a value has the wrong type or is out of range; every
            problem is named, with the field, the value and what is allowed.
    """
    boost = parameters.get("pixel_boost")
    square = f"{boost}x{boost}"
    if not isinstance(boost, bool) and square in get_args(PixelBoost):
        parameters = {**parameters, "pixel_boost": square}
    return _parsed(SwapParameters, parameters)


def parse_call(parameters: Mapping[str, Any]) -> SwapCall:
    """A whole call of a mapping. Raises as `parse` does, also for a file that is not named."""
    return _parsed(SwapCall, parameters)


def allowed(name: str, model: type[SwapParameters] = SwapParameters) -> str:
    """What the field of that name takes, in words."""
    field = model.model_fields[name]
    words = [extra.words for extra in _extras(field.annotation, field.metadata)]
    return words[0] if words else _choices(field.annotation)


def _parsed(model: type[ModelT], parameters: Mapping[str, Any]) -> ModelT:
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        problems = (*_problems(error, model), *_disagreements(error, parameters))
        raise ParameterError(" ".join(problems)) from None


def _disagreements(error: ValidationError, parameters: Mapping[str, Any]) -> Iterator[str]:
    """How the fields that are right by themselves disagree, where others kept that from view."""
    wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    right = (SwapParameters.model_fields.keys() - wrong) & parameters.keys() if wrong else ()
    try:
        SwapParameters.model_validate({name: parameters[name] for name in right})
    except ValidationError as further:
        yield from _problems(further, SwapParameters)


def _problems(error: ValidationError, model: type[SwapParameters]) -> Iterator[str]:
    """A sentence for each field that is wrong, in the order of the fields."""
    said: set[str] = set()
    for problem in error.errors(include_url=False):
        if not problem["loc"]:
            yield problem["msg"].removeprefix("Value error, ")
            continue
        name = str(problem["loc"][0])
        if name in said:
            continue
        said.add(name)
        if name not in model.model_fields:
            yield _unknown(name, model)
        elif problem["type"] == "missing":
            yield f"{name} is missing; allowed: {allowed(name, model)}."
        else:
            yield f"{name} is {_shown(problem['input'])}; allowed: {allowed(name, model)}."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _unknown(name: str, model: type[SwapParameters]) -> str:
    close = closest(name, model.model_fields)
    if close:
        return f"{_shown_name(name)} is no parameter; did you mean {' or '.join(close)}?"
    return f"{_shown_name(name)} is no parameter; allowed: {', '.join(model.model_fields)}."


def _shown_name(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:80]}…"


def _extras(annotation: Any, metadata: list[Any]) -> Iterator[Allowed]:
    """The `Allowed` of a field, also where it sits on a member of a union."""
    yield from (extra for extra in metadata if isinstance(extra, Allowed))
    for member in get_args(annotation):
        yield from (extra for extra in get_args(member) if isinstance(extra, Allowed))


def _choices(annotation: Any) -> str:
    """The values of a bool, of a Literal, or of an optional Literal."""
    if annotation is bool:
        return "true, false"
    words: list[str] = []
    for member in get_args(annotation):
        words += [member] if isinstance(member, str) else list(get_args(member)) or ["null", "none"]
    return ", ".join(words)
