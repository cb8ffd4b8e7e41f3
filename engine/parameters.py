"""The public parameters: one model is the source of all that is said about them.

`SwapParameters` holds the name, type, bounds, default, help text and panel of each parameter. The
command's options (`engine.cli.parameter_options`), the keywords of Python (`SwapKeywords`), the
JSON schema, the server's OpenAPI document and docs/parameters.md come from it or are held to it by
a test.
`SwapCall` adds what a job or request names besides: its files and the form of the result.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypedDict, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from engine.errors import ParameterError
from engine.options import (
    DEVICE_PATTERN,
    DEVICES,
    PIXEL_BOOSTS,
    AnalysisOptions,
    AudioMode,
    Compute,
    Device,
    EncodeOptions,
    EnhanceOptions,
    FaceRegion,
    Gender,
    LimitOptions,
    MetadataMode,
    PixelBoost,
    Precision,
    Race,
    SelectionRule,
    SelectorMode,
    SelectorOrder,
    SwapOptions,
    Trim,
)
from engine.suggestions import closest

# Parameters of the hosted model; all others are this engine's own.
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

# Panels of the help and headings of the table, in this order.
SELECTION: Final = "Faces to swap"
REFERENCE: Final = "Reference: the person to replace"
SWAP: Final = "How faces are swapped"
BLENDING: Final = "What of the swap shows"
FILES: Final = "Files and encoding"

_RULE = SelectionRule()
_ANALYSIS = AnalysisOptions()
_COMPUTE = Compute()
_LIMITS = LimitOptions()
_ENHANCE = EnhanceOptions()
_ENCODE = EncodeOptions()
_SWAP = SwapOptions()
_MAX_IMAGES = 16  # in a list of pictures of one person
_MOUTH: Final[frozenset[FaceRegion]] = frozenset({"mouth", "upper-lip", "lower-lip"})
_CLOCK = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d*)?)")
_NAME, _FILE = "NAME", "FILE"  # metavars whose meaning the help text tells in full


@dataclass(frozen=True, slots=True)
class Allowed:
    """Values that a field takes, in words that complete "allowed: ...", and as a metavar."""

    words: str
    metavar: str = "NUMBER"


def parse_seconds(value: object) -> object:
    """Return the seconds of a string "SS.mmm", "MM:SS.mmm" or "HH:MM:SS.mmm"; other types as is.

    Raises:
        ValueError: The string has another form, or 60 or more minutes or seconds after a colon.
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


def _add_origin(schema: dict[str, Any]) -> None:
    """Mark each property of a JSON schema as the hosted model's or this engine's own."""
    for name, field in schema["properties"].items():
        field["x-origin"] = "hosted" if name in HOSTED else "engine"


def _none_as_null(value: object) -> object:
    return None if value == "none" else value


def _as_tuple(value: object) -> object:
    """Return one value or a list as a tuple of strings; other types as they are."""
    values = [value] if isinstance(value, str | Path) else value
    if not isinstance(values, list | tuple):
        return values
    return tuple(_path_as_text(each) for each in values)


def _path_as_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_seconds, json_schema_input_type=float | str),
    Field(ge=0, allow_inf_nan=False),
    Allowed('seconds from 0, as a number or as "HH:MM:SS.mmm"', "TIME"),
]
Age: TypeAlias = Annotated[
    int, Field(ge=0, le=100), Allowed("a whole number from 0 to 100", "YEARS")
]
Share: TypeAlias = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False), Allowed("a number from 0 to 1")
]
Index: TypeAlias = Annotated[int, Field(ge=0), Allowed("a whole number from 0")]
Images: TypeAlias = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]),
    Field(max_length=_MAX_IMAGES),
    Allowed(f"a path or a list of at most {_MAX_IMAGES} paths", _FILE),
]


def _parameter(panel: str, default: object, description: str) -> Any:
    """Return a field of `SwapParameters`; `Any` is what pydantic declares for a field's default."""
    return Field(default, description=description, json_schema_extra={"x-panel": panel})


class SwapParameters(BaseModel):
    """Parameters of one swap, without its three paths (source, target and output)."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, json_schema_extra=_add_origin
    )

    # Parameters of the hosted model.
    face_selector_mode: SelectorMode = _parameter(
        SELECTION,
        _RULE.mode,
        "Faces to swap: those of the reference person, all (many), or the first in order (one).",
    )
    face_selector_order: SelectorOrder = _parameter(
        SELECTION, _RULE.order, "Order that the faces of a frame are numbered in."
    )
    face_selector_gender: Annotated[
        Gender | None,
        BeforeValidator(_none_as_null, json_schema_input_type=Gender | Literal["none"] | None),
    ] = _parameter(SELECTION, _RULE.gender, "Keep only faces estimated as this gender.")
    face_selector_race: Annotated[
        Race | None,
        BeforeValidator(_none_as_null, json_schema_input_type=Race | Literal["none"] | None),
    ] = _parameter(
        SELECTION,
        _RULE.race,
        "Keep only faces estimated as this race; needs the imported network fairface.",
    )
    face_selector_age_start: Age = _parameter(
        SELECTION, _RULE.age_start, "Youngest estimated age that is kept."
    )
    face_selector_age_end: Age = _parameter(
        SELECTION, _RULE.age_end, "Oldest estimated age that is kept, included."
    )
    reference_face_distance: Share = _parameter(
        REFERENCE,
        _RULE.reference_distance,
        "Greatest distance (1 - cosine of the embeddings) to the reference face that is a match.",
    )
    reference_frame_number: Index = _parameter(
        REFERENCE,
        _RULE.reference_frame,
        "Frame of the target that shows the reference face; 1 is the first, and so is 0. Frames "
        "are counted from the beginning of the file, wherever start is.",
    )
    pixel_boost: PixelBoost = _parameter(
        SWAP,
        "384x384",
        "Resolution that faces are swapped at; auto takes for each face the smallest that holds "
        "all of its pixels. If it is left out and the swapper cannot do the default, the next "
        "larger one is taken.",
    )

    # Parameters of this engine.
    reference_face_position: Index = _parameter(
        REFERENCE,
        _RULE.reference_position,
        "Number of the reference face among the filtered, ordered faces of the reference frame or "
        "picture; 0 is the first.",
    )
    reference_image: Images = _parameter(
        REFERENCE, (), "Picture of the person to replace, instead of a frame of the target."
    )
    extra_source_image: Images = _parameter(
        SWAP,
        (),
        "Further picture or clip of the person in the source. The swapper mesh takes from it what "
        "the first one hides; swappers that take an embedding use the mean.",
    )
    source_weight: Annotated[
        float, Field(ge=0, le=1.5, allow_inf_nan=False), Allowed("a number from 0 to 1.5")
    ] = _parameter(
        SWAP,
        _SWAP.source_weight,
        "Weight of the source's identity in swappers that take an embedding: 0 is the target's "
        "own, 1 the source's, and more goes further away from the target's.",
    )
    swapper: Annotated[
        str, Field(min_length=1), Allowed('"auto" or the name of a swapper', _NAME)
    ] = _parameter(
        SWAP,
        "auto",
        "Swapper; auto takes an imported one that is complete and can do the pixel boost, else "
        "mesh.",
    )
    device: Annotated[Device, Field(pattern=DEVICE_PATTERN), Allowed(DEVICES, "DEVICE")] = (
        _parameter(
            SWAP,
            _COMPUTE.device,
            "Device that the networks run on; auto takes CUDA where it works. It is an error if a "
            "named device does not work.",
        )
    )
    precision: Precision = _parameter(
        SWAP,
        _COMPUTE.precision,
        "Precision of the swapper's and the restorer's network; all others run at fp32. fp16 is "
        "validated against fp32 first. int8 is for the CPU, after faceswap-engine weights "
        "calibrate.",
    )
    vram: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False),
        Allowed("GiB above 0, as a number, or left out for no limit", "GIB"),
    ] = _parameter(
        SWAP, _COMPUTE.vram, "Most memory of the card that one network may take, in GiB."
    )
    detector: Annotated[
        str, Field(min_length=1), Allowed('"auto" or the name of a detector', _NAME)
    ] = _parameter(
        SWAP,
        _ANALYSIS.detector,
        "Network that detects faces; auto takes the best that is installed.",
    )
    embedder: Annotated[
        str, Field(min_length=1), Allowed('"auto" or the name of an embedder', _NAME)
    ] = _parameter(
        SWAP,
        _ANALYSIS.embedder,
        "Network that tells people apart, by the embeddings of their faces; auto takes the best "
        "that is installed.",
    )
    landmarker: Annotated[
        str, Field(min_length=1), Allowed('"auto" or the name of a landmark network', _NAME)
    ] = _parameter(
        SWAP,
        _ANALYSIS.landmarker,
        "Network whose landmarks faces are aligned by; auto takes the two meshes together.",
    )
    enhance: Annotated[
        str | None,
        Field(min_length=1),
        Allowed('"auto", the name of a restorer, or left out', _NAME),
    ] = _parameter(
        BLENDING,
        _ENHANCE.enhancer,
        "Restorer that sharpens swapped faces; auto takes the best that is installed. Left out, "
        "none runs.",
    )
    enhance_blend: Share = _parameter(BLENDING, _ENHANCE.blend, "Opacity of the restored face.")
    enhance_fidelity: Share = _parameter(
        BLENDING,
        _ENHANCE.fidelity,
        "Fidelity of the restorer codeformer to the swapped face; at 0 it restores most freely.",
    )
    occluder: Annotated[
        str | None, Field(min_length=1), Allowed('"auto", "none" or the name of an occluder', _NAME)
    ] = _parameter(
        BLENDING,
        _LIMITS.occluder,
        "Occlusion network: objects in front of the face, such as glasses and hands, are left "
        "untouched. auto takes the embedded network, none (or null) takes none.",
    )
    face_region: Annotated[
        tuple[FaceRegion, ...],
        BeforeValidator(_as_tuple, json_schema_input_type=FaceRegion | list[FaceRegion]),
        Allowed(
            f"one or more of {', '.join(get_args(FaceRegion))}; on the command line, repeat the "
            "option for each",
            "REGION",
        ),
    ] = _parameter(BLENDING, (), "Part of the face to swap, instead of all of it.")
    parser: Annotated[
        str, Field(min_length=1), Allowed('"auto" or the name of a face parser', _NAME)
    ] = _parameter(
        BLENDING,
        _LIMITS.parser,
        "Face parser that segments these parts; auto takes the best that is installed.",
    )
    any_source: bool = _parameter(
        SWAP,
        _SWAP.any_source,
        "Accept a source whose face is partly hidden: turned away, cut off, behind dark glasses, "
        "in coloured light or blurred beyond recognition.",
    )
    keep_mouth: bool = _parameter(
        BLENDING, _LIMITS.keep_mouth, "Keep the target's own mouth, with its lips."
    )
    match_colour: bool = _parameter(
        BLENDING,
        _LIMITS.match_colour,
        "Match the colours of the swapped face to those of the target's face.",
    )
    detect_rotated: bool = _parameter(
        SWAP, _ANALYSIS.detect_rotated, "Also detect heads rotated by 90, 180 and 270 degrees."
    )
    # As many frames wait in memory as lie between detections, hence the upper bound.
    detect_every: Annotated[int, Field(ge=1, le=30), Allowed("a whole number from 1 to 30")] = (
        _parameter(
            SWAP,
            _ANALYSIS.detect_every,
            "Frames from one detection to the next; faces are tracked in between.",
        )
    )
    video_codec: Annotated[
        str | None, Field(min_length=1), Allowed("the name of a video encoder, or left out", _NAME)
    ] = _parameter(
        FILES,
        _ENCODE.codec,
        "Video encoder. Left out, it is one that fits the target and the output.",
    )
    crf: Annotated[
        float | None,
        Field(ge=0, le=63, allow_inf_nan=False),
        Allowed("a number from 0 (best) to 63, or left out"),
    ] = _parameter(
        FILES, _ENCODE.crf, "Constant quality of the video encoder; less is better and larger."
    )
    preset: Annotated[
        str | None,
        Field(min_length=1),
        Allowed("one of the encoder's presets, or left out", _NAME),
    ] = _parameter(
        FILES, _ENCODE.preset, "Preset of the video encoder, which trades speed for size."
    )
    pixel_format: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9]{1,32}$"),
        Allowed('"keep", the name of a pixel format such as yuv420p, or left out', "FORMAT"),
    ] = _parameter(
        FILES,
        _ENCODE.pixel_format,
        "Pixel format of an output video; keep takes the nearest to the target's. Left out, it is "
        "one that players of the container can show.",
    )
    audio: AudioMode = _parameter(
        FILES,
        _ENCODE.audio,
        "Sound and text subtitles that the output's container cannot hold: transcode converts "
        "them, copy leaves them out, drop leaves out all sound.",
    )
    metadata: MetadataMode = _parameter(
        FILES,
        _ENCODE.metadata,
        "Tags, EXIF and location of the target: keep copies them, none leaves them out. The mark "
        "that the output is synthetic always stays.",
    )
    start: Seconds | None = _parameter(FILES, None, "Time in the target to start at.")
    end: Seconds | None = _parameter(FILES, None, "Time in the target to stop at, exclusive.")
    overwrite: bool = _parameter(FILES, _SWAP.overwrite, "Replace an output that exists.")
    content_check: bool = _parameter(
        SWAP, _SWAP.content_check, "Refuse explicit material before anything is written."
    )

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
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
        """Return the device, precision and memory of the networks."""
        return Compute(device=self.device, precision=self.precision, vram=self.vram)

    def options(self) -> SwapOptions:
        """Return all other choices, but `swapper`, as the engine's frozen options."""
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
    BeforeValidator(_path_as_text),
    Field(min_length=1),
    Allowed("a path, a file:// or data: URI, or base64", _FILE),
]


class SwapCall(SwapParameters):
    """One call: the files, the parameters of the swap, and the form of the result."""

    source_image: Media = Field(description="Picture or clip of the person to put in.")
    target: Media = Field(description="Video or picture to change.")
    base64: bool = Field(
        default=False, description="Return the output in base64 instead of its URI."
    )
    output: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        BeforeValidator(_path_as_text),
        Allowed("a path, a file:// URI or null", _FILE),
    ] = Field(None, description="File to write; null takes one in the job's own folder.")

    def swap_parameters(self) -> dict[str, Any]:
        """Return the parameters of the swap that the call sets, as JSON values."""
        return self.model_dump(
            mode="json",
            include=self.model_fields_set & SwapParameters.model_fields.keys(),
        )


# Parameters that say how the faces of a film are found.
ANALYSING: Final = (
    *("device", "vram", "detector", "embedder"),
    *("landmarker", "detect_rotated", "detect_every"),
)

# Parameters that say how a source is prepared.
PREPARING: Final = (
    *("extra_source_image", "source_weight", "swapper", "device", "detector", "embedder"),
    *("landmarker", "detect_rotated", "occluder", "any_source", "content_check"),
)


class SwapKeywords(TypedDict, total=False):
    """Keywords of `engine.swap`, `Engine.swap` and their like: the fields of `SwapParameters`.

    docs/parameters.md says what each of them does.
    """

    face_selector_mode: SelectorMode
    face_selector_order: SelectorOrder
    face_selector_gender: Gender | Literal["none"] | None
    face_selector_race: Race | Literal["none"] | None
    face_selector_age_start: int
    face_selector_age_end: int
    reference_face_distance: float
    reference_frame_number: int
    pixel_boost: PixelBoost | int
    reference_face_position: int
    reference_image: str | Path | Sequence[str | Path]
    extra_source_image: str | Path | Sequence[str | Path]
    source_weight: float
    swapper: str
    device: Device
    vram: float | None
    detector: str
    embedder: str
    landmarker: str
    detect_rotated: bool
    detect_every: int
    precision: Precision
    enhance: str | None
    enhance_blend: float
    enhance_fidelity: float
    occluder: str | None
    face_region: FaceRegion | Sequence[FaceRegion]
    parser: str
    any_source: bool
    keep_mouth: bool
    match_colour: bool
    video_codec: str | None
    crf: float | None
    preset: str | None
    pixel_format: str | None
    audio: AudioMode
    metadata: MetadataMode
    start: float | str | None
    end: float | str | None
    overwrite: bool
    content_check: bool


ModelT = TypeVar("ModelT", bound=SwapParameters)
FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def parse(parameters: Mapping[str, Any], *, from_text: bool = False) -> SwapParameters:
    """Return the parameters of a mapping of keywords; `pixel_boost` may be one side of the square.

    Args:
        parameters: Values by name.
        from_text: Numbers may also come as strings, as on a command line.

    Raises:
        ParameterError: A name is unknown, or a value has the wrong type or is out of range; every
            problem is named, with the field, the value and what is allowed.
    """
    boost = parameters.get("pixel_boost")
    if not isinstance(boost, bool) and str(boost) in map(str, PIXEL_BOOSTS):
        parameters = {**parameters, "pixel_boost": f"{boost}x{boost}"}
    return _validate(SwapParameters, parameters, strict=not from_text)


def parse_call(parameters: Mapping[str, Any]) -> SwapCall:
    """Return the call of a mapping. Raises as `parse` does, also if a file is not named."""
    return _validate(SwapCall, parameters)


def allowed(name: str, model: type[SwapParameters] = SwapParameters) -> str:
    """Return what the field takes, in words."""
    field = model.model_fields[name]
    words = [extra.words for extra in _extras(field)]
    return words[0] if words else _choices(field.annotation)


def metavar(name: str, model: type[SwapParameters] = SwapParameters) -> str:
    """Return the placeholder of the field's value in a help text, such as NUMBER."""
    words = [extra.metavar for extra in _extras(model.model_fields[name])]
    return words[0] if words else name.rpartition("_")[2].upper()


def is_file(name: str) -> bool:
    """Return True if the field of `SwapParameters` names files."""
    return metavar(name) == _FILE


def help_text(name: str, model: type[SwapParameters] = SwapParameters) -> str:
    """Return the field's description, and what it takes where the description does not tell."""
    field = model.model_fields[name]
    if field.annotation is bool or metavar(name, model) in (_NAME, _FILE):
        return field.description or ""
    words = allowed(name, model).replace("null, ", "")  # "none" says it, too
    return f"{field.description} Allowed: {words}."


def panel(field: FieldInfo) -> str:
    """Return the panel that a field of `SwapParameters` is shown in."""
    extra = field.json_schema_extra
    return str(extra["x-panel"]) if isinstance(extra, dict) else ""


def table(model: type[SwapParameters] = SwapParameters) -> str:
    """Return the parameters as tables in Markdown, one for each panel."""
    panels: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        if not panel(field):
            continue  # of a call, not of the swap
        default = "" if field.default is None else f"`{json.dumps(field.default)}`"
        cells = (f"`{name}`", default, allowed(name, model), field.description or "")
        panels.setdefault(panel(field), []).append(f"| {' | '.join(cells)} |\n")
    head = "| Name | Default | Allowed | Meaning |\n| --- | --- | --- | --- |\n"
    return "\n".join(f"## {title}\n\n{head}{''.join(rows)}" for title, rows in panels.items())


def documented(function: FunctionT) -> FunctionT:
    """List the parameters of a swap in the function's docstring, in place of "{parameters}"."""
    text = function.__doc__ or ""
    indent = text[: text.index("{parameters}")].rpartition("\n")[2]
    listed = f"\n{indent}".join(
        f"{name}: {help_text(name)}" for name in SwapParameters.model_fields
    )
    function.__doc__ = text.replace("{parameters}", listed)
    return function


def documented_as(method: Callable[..., object]) -> Callable[[FunctionT], FunctionT]:
    """Append the sections of a method's docstring, from "Args:" on, to that of a function."""

    def decorate(function: FunctionT) -> FunctionT:
        _, heading, sections = inspect.cleandoc(method.__doc__ or "").partition("Args:\n")
        summary = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = f"{summary}\n\n{heading}{sections}"
        return function

    return decorate


def _validate(model: type[ModelT], parameters: Mapping[str, Any], *, strict: bool = True) -> ModelT:
    try:
        return model.model_validate(dict(parameters), strict=strict)
    except ValidationError as error:
        problems = (*_problems(error, model), *_disagreements(error, parameters, strict=strict))
        raise ParameterError(" ".join(problems)) from None


def _disagreements(
    error: ValidationError, parameters: Mapping[str, Any], *, strict: bool
) -> Iterator[str]:
    """Yield how the valid fields disagree; pydantic does not check that if others are invalid."""
    wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    right = (SwapParameters.model_fields.keys() - wrong) & parameters.keys() if wrong else ()
    try:
        SwapParameters.model_validate({name: parameters[name] for name in right}, strict=strict)
    except ValidationError as further:
        yield from _problems(further, SwapParameters)


def _problems(error: ValidationError, model: type[SwapParameters]) -> Iterator[str]:
    """Yield a sentence for each invalid field, in the order of the fields."""
    seen: set[str] = set()
    for problem in error.errors(include_url=False):
        if not problem["loc"]:
            yield problem["msg"].removeprefix("Value error, ")
            continue
        name = str(problem["loc"][0])
        if name in seen:
            continue
        seen.add(name)
        if name not in model.model_fields:
            yield _unknown(name, model)
        elif problem["type"] == "missing":
            yield f"{name} is missing; allowed: {allowed(name, model)}."
        else:
            value = _shortened(repr(problem["input"]))
            yield f"{name} is {value}; allowed: {allowed(name, model)}."


def _unknown(name: str, model: type[SwapParameters]) -> str:
    close = closest(name, model.model_fields)
    if close:
        return f"{_shortened(name)} is no parameter; did you mean {' or '.join(close)}?"
    return f"{_shortened(name)} is no parameter; allowed: {', '.join(model.model_fields)}."


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"


def _extras(field: FieldInfo) -> Iterator[Allowed]:
    """Yield the `Allowed` of a field, also of a member of its union."""
    yield from (extra for extra in field.metadata if isinstance(extra, Allowed))
    for member in get_args(field.annotation):
        yield from (extra for extra in get_args(member) if isinstance(extra, Allowed))


def _choices(annotation: Any) -> str:
    """Return the values of a bool, of a Literal, or of an optional Literal."""
    if annotation is bool:
        return "true, false"
    words: list[str] = []
    for member in get_args(annotation):
        words += [member] if isinstance(member, str) else list(get_args(member)) or ["null", "none"]
    return ", ".join(words)
