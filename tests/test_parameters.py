from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from engine.errors import ParameterError
from engine.options import Compute, Race, SelectorOrder, SwapOptions
from engine.parameters import SwapParameters, allowed, parse, parse_call, parse_seconds

HOSTED_DEFAULTS: dict[str, Any] = {
    "face_selector_mode": "reference",
    "face_selector_order": "large-small",
    "face_selector_gender": None,
    "face_selector_race": None,
    "face_selector_age_start": 0,
    "face_selector_age_end": 100,
    "reference_face_distance": 0.6,
    "reference_frame_number": 1,
    "pixel_boost": "384x384",
}


def test_the_hosted_names_have_the_hosted_defaults() -> None:
    defaults = parse({}).model_dump()
    assert {name: defaults[name] for name in HOSTED_DEFAULTS} == HOSTED_DEFAULTS
    assert parse(HOSTED_DEFAULTS) == parse({})


def test_defaults_are_those_of_the_options() -> None:
    assert parse({}).options() == SwapOptions()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("face_selector_mode", mode) for mode in ("reference", "many", "one")),
        *(("face_selector_order", order) for order in get_args(SelectorOrder)),
        *(("face_selector_gender", gender) for gender in ("female", "male", "none", None)),
        *(("face_selector_race", race) for race in (*get_args(Race), "none", None)),
        *(("face_selector_age_start", age) for age in (0, 100)),
        *(("face_selector_age_end", age) for age in (0, 100)),
        *(("reference_face_distance", distance) for distance in (0, 0.0, 0.6, 1, 1.0)),
        *(("reference_frame_number", number) for number in (0, 1, 10**6)),
        *(("pixel_boost", f"{side}x{side}") for side in (128, 256, 384, 512, 768, 1024)),
        ("reference_face_position", 3),
        ("reference_image", "a.png"),
        ("reference_image", Path("a.png")),
        ("reference_image", ["a.png", "b.png"]),
        ("reference_image", []),
        ("swapper", "mesh"),
        *(("device", device) for device in ("auto", "cpu", "cuda", "cuda:1", "tensorrt")),
        ("precision", "fp16"),
        ("vram", 4),
        ("vram", None),
        ("detector", "det_10g"),
        ("embedder", "sface"),
        ("landmarker", "1k3d68"),
        ("detect_rotated", True),
        ("detect_every", 1),
        ("video_codec", None),
        ("crf", 18),
        ("crf", 18.5),
        ("preset", "slow"),
        ("pixel_format", "keep"),
        ("pixel_format", "yuv420p10le"),
        ("pixel_format", None),
        *(("audio", mode) for mode in ("transcode", "copy", "drop")),
        *(("metadata", mode) for mode in ("keep", "none")),
        ("start", 0),
        ("end", "00:01:00.5"),
        ("overwrite", True),
        ("content_check", False),
    ],
)
def test_what_is_documented_is_taken(name: str, value: object) -> None:
    parse({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("face_selector_mode", "all"),
        ("face_selector_mode", None),
        ("face_selector_order", "Large-Small"),
        ("face_selector_gender", "woman"),
        ("face_selector_race", "arabic"),
        ("face_selector_age_start", -1),
        ("face_selector_age_start", 18.0),
        ("face_selector_age_start", True),
        ("face_selector_age_start", "18"),
        ("face_selector_age_start", None),
        ("face_selector_age_end", 101),
        ("reference_face_distance", 1.01),
        ("reference_face_distance", -0.1),
        ("reference_face_distance", "0.6"),
        ("reference_face_distance", float("nan")),
        ("reference_face_distance", True),
        ("reference_frame_number", -1),
        ("reference_frame_number", 1.5),
        ("reference_face_position", -1),
        ("reference_image", 3),
        ("reference_image", [3]),
        ("reference_image", [""]),
        ("reference_image", None),
        ("pixel_boost", "300x300"),
        ("pixel_boost", 300),
        ("pixel_boost", True),
        ("swapper", ""),
        ("swapper", None),
        ("device", "tpu"),
        ("device", "cuda:"),
        ("device", "cuda:-1"),
        ("device", "cuda\n"),
        ("precision", "int4"),
        ("vram", 0),
        ("vram", "4"),
        ("detector", ""),
        ("embedder", None),
        ("landmarker", 68),
        ("detect_rotated", "yes"),
        ("detect_every", 0),
        ("detect_every", 31),
        ("crf", 64),
        ("pixel_format", ""),
        ("pixel_format", "yuv420p:x"),
        ("pixel_format", "a" * 33),
        ("audio", "aac"),
        ("audio", None),
        ("metadata", "strip"),
        ("crf", float("inf")),
        ("source_weight", 1.6),
        ("enhance_blend", 80),
        ("enhance_fidelity", -0.1),
        ("enhance", ""),
        ("occluder", 1),
        ("face_region", "beard"),
        ("extra_source_image", 3),
        ("keep_mouth", "yes"),
        ("start", -1),
        ("start", "1:60"),
        ("end", "soon"),
        ("overwrite", 1),
    ],
)
def test_an_error_names_the_field_the_value_and_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(ParameterError) as raised:
        parse({name: value})
    shown = value[0] if isinstance(value, list) else value
    assert str(raised.value) == f"{name} is {shown!r}; allowed: {allowed(name)}."


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ParameterError) as raised:
        parse({"crf": -1, "device": "tpu", "zoom": "red", "reference_image": [1, 2, 3]})
    message = str(raised.value)
    assert message.count("allowed:") == 4
    for words in ("crf is -1", "device is 'tpu'", "zoom is no parameter", "reference_image is 1"):
        assert words in message


def test_fields_that_disagree_are_told_beside_fields_that_are_wrong() -> None:
    with pytest.raises(ParameterError) as raised:
        parse_call(
            {"face_selector_age_start": 60, "face_selector_age_end": 20, "crf": -1, "target": "x"}
        )
    message = str(raised.value)
    assert message.count("allowed:") == 3
    for words in ("source_image is missing", "crf is -1", "age_start is 60 and face_selector"):
        assert words in message


def test_fields_that_disagree_are_told_once() -> None:
    with pytest.raises(ParameterError) as raised:
        parse({"face_selector_age_start": 60, "face_selector_age_end": 20, "start": 3, "end": 2})
    assert str(raised.value).count("allowed:") == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pixel_bost", "pixel_boost"),
        ("reference_distance", "reference_face_distance"),
        ("face_selector_sex", "face_selector_race"),
        ("codec", "video_codec"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest(name: str, meant: str) -> None:
    with pytest.raises(ParameterError, match=f"{name} is no parameter; did you mean .*{meant}"):
        parse({name: 1})


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(ParameterError) as raised:
        parse({"zzzz": 1})
    assert all(name in str(raised.value) for name in SwapParameters.model_fields)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ParameterError) as raised:
        parse({"device": "x" * 10_000})
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"face_selector_age_start": 60, "face_selector_age_end": 20},
            "face_selector_age_start is 60 and face_selector_age_end is 20",
        ),
        ({"start": 2, "end": "00:00:02"}, "start is 2 s and end is 2 s"),
    ],
)
def test_bounds_that_cross_are_an_error(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parse(parameters)


def test_all_bounds_that_cross_are_named() -> None:
    with pytest.raises(ParameterError, match=r"age_start is 9 .* end\. start is 2 s .* end\.$"):
        parse({"face_selector_age_start": 9, "face_selector_age_end": 1, "start": 2, "end": 1})


def test_equal_ages_are_no_error() -> None:
    rule = parse({"face_selector_age_start": 30, "face_selector_age_end": 30}).options().selection
    assert (rule.age_start, rule.age_end) == (30, 30)


def test_none_null_and_absent_mean_no_filter() -> None:
    spoken = {"face_selector_gender": "none", "face_selector_race": "none"}
    silent = {"face_selector_gender": None, "face_selector_race": None}
    assert parse(spoken) == parse(silent) == parse({})


def test_frame_zero_is_the_first_frame() -> None:
    assert parse({"reference_frame_number": 0}).options() == parse({}).options()


def test_one_reference_image_is_a_list_of_one() -> None:
    images = parse({"reference_image": "a.png"}).options().selection.reference_images
    assert images == (Path("a.png"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("90", 90),
        ("90.25", 90.25),
        ("1:30", 90),
        ("01:30.5", 90.5),
        ("01:00:00", 3600),
        ("10:00:01.125", 36001.125),
        (" 5 ", 5),
    ],
)
def test_times_are_read_as_a_clock_shows_them(text: str, expected: float) -> None:
    assert parse_seconds(text) == expected


@pytest.mark.parametrize("text", ["", ":", "1:", "-1", "1:60", "1:60:00", "1:2:3:4", "1e3", "5s"])
def test_what_no_clock_shows_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no time"):
        parse_seconds(text)


def test_a_call_names_its_files_and_how_it_is_done_and_no_more() -> None:
    call = parse_call({"source_image": Path("a.png"), "target": "b.mp4", "base64": True, "crf": 18})
    assert (call.source_image, call.target, call.base64, call.output) == (
        "a.png",
        "b.mp4",
        True,
        None,
    )
    assert call.swap_parameters() == {"crf": 18}
    assert parse(call.swap_parameters()).crf == 18


def test_the_problems_of_a_call_are_named_at_once() -> None:
    with pytest.raises(ParameterError) as raised:
        parse_call({"target": "", "base64": 1, "output": 3, "tarrget": "x"})
    for words in (
        "source_image is missing; allowed: a path",
        "target is ''; allowed: a path, a file:// or data: URI, or base64",
        "base64 is 1; allowed: true, false",
        "output is 3; allowed: a path, a file:// URI or null",
        "tarrget is no parameter; did you mean target?",
    ):
        assert words in str(raised.value)


def test_a_swap_by_itself_knows_nothing_of_calls() -> None:
    with pytest.raises(ParameterError, match="base64 is no parameter"):
        parse({"base64": True})


def test_options_carry_every_choice() -> None:
    options = parse(
        {
            "face_selector_mode": "one",
            "face_selector_gender": "male",
            "pixel_boost": "1024x1024",
            "video_codec": "libx265",
            "crf": 20,
            "pixel_format": "keep",
            "audio": "drop",
            "metadata": "none",
            "start": "0:01",
            "end": 3,
            "detect_every": 2,
            "overwrite": True,
            "content_check": False,
        }
    ).options()
    assert (options.selection.mode, options.selection.gender) == ("one", "male")
    assert options.pixel_boost == 1024
    assert (options.encode.codec, options.encode.crf, options.encode.preset) == (
        "libx265",
        20.0,
        None,
    )
    encode = options.encode
    assert (encode.pixel_format, encode.audio, encode.metadata) == ("keep", "drop", "none")
    assert (options.trim.start, options.trim.end) == (1.0, 3.0)
    assert options.analysis.detect_every == 2
    assert (options.overwrite, options.content_check) == (True, False)


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse({}).crf = 3.0


def test_the_json_schema_takes_what_the_parser_takes() -> None:
    schema = json.loads(json.dumps(SwapParameters.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(SwapParameters.model_fields)
    assert "none" in json.dumps(schema["properties"]["face_selector_gender"])
    start = json.dumps(schema["properties"]["start"])
    assert '"number"' in start
    assert '"string"' in start


@pytest.mark.parametrize("device", ["cpu", "tensorrt"])
def test_a_limit_of_memory_is_for_cuda(device: str) -> None:
    with pytest.raises(ParameterError, match=rf"vram is 4 and device is {device}"):
        parse({"device": device, "vram": 4})
    assert parse({"device": "cuda:1", "vram": 4}).compute() == Compute("cuda:1", "fp32", 4.0)


def test_int8_is_for_the_cpu() -> None:
    with pytest.raises(ParameterError, match=r"precision is int8 and device is cuda:1"):
        parse({"device": "cuda:1", "precision": "int8"})
    assert parse({"device": "auto", "precision": "int8"}).compute() == Compute("auto", "int8")


def test_regions_may_be_one_or_a_list() -> None:
    assert parse({"face_region": "nose"}).options().limits.regions == ("nose",)
    assert parse({"face_region": ["nose", "skin"]}).options().limits.regions == ("nose", "skin")
    with pytest.raises(ParameterError, match=r"'ear'; allowed: one or more of skin, .*repeat"):
        parse({"face_region": ["nose", "ear"]})


@pytest.mark.parametrize("regions", ["mouth", ["upper-lip", "lower-lip"]])
def test_a_mouth_is_not_both_kept_and_all_that_is_swapped(regions: str | list[str]) -> None:
    with pytest.raises(ParameterError, match="keep_mouth is true and face_region is "):
        parse({"keep_mouth": True, "face_region": regions})
    parse({"face_region": regions})
    parse({"keep_mouth": True})
    parse({"keep_mouth": True, "face_region": ["skin", "mouth"]})


@pytest.mark.parametrize("name", SwapParameters.model_fields)
def test_what_is_allowed_can_be_said_on_a_command_line_too(name: str) -> None:
    assert "or null" not in allowed(name)


@pytest.mark.parametrize("side", [512, "512"])
def test_one_side_stands_for_a_square_but_in_hosted_calls(side: object) -> None:
    assert parse({"pixel_boost": side}).pixel_boost == "512x512"
    call = {"source_image": "a.png", "target": "b.mp4", "pixel_boost": side}
    with pytest.raises(ParameterError, match="512x512"):
        parse_call(call)


def test_pixel_boost_may_be_left_to_each_face() -> None:
    assert parse({"pixel_boost": "auto"}).options().pixel_boost is None


@pytest.mark.parametrize("name", ["reference_image", "extra_source_image"])
def test_a_person_is_shown_by_so_many_pictures_at_most(name: str) -> None:
    assert len(getattr(parse({name: ["a.png"] * 16}), name)) == 16
    with pytest.raises(ParameterError, match=rf"{name} is .*; allowed: .* at most 16 paths"):
        parse({name: ["a.png"] * 17})


# A choice other than the default for every parameter, with others that it needs.
CHOICES: dict[str, dict[str, Any]] = {
    "face_selector_mode": {"face_selector_mode": "many"},
    "face_selector_order": {"face_selector_order": "left-right"},
    "face_selector_gender": {"face_selector_gender": "female"},
    "face_selector_race": {"face_selector_race": "asian"},
    "face_selector_age_start": {"face_selector_age_start": 20},
    "face_selector_age_end": {"face_selector_age_end": 60},
    "reference_face_distance": {"reference_face_distance": 0.4},
    "reference_frame_number": {"reference_frame_number": 12},
    "reference_face_position": {"reference_face_position": 2},
    "reference_image": {"reference_image": "one.png"},
    "extra_source_image": {"extra_source_image": "one.png"},
    "pixel_boost": {"pixel_boost": "512x512"},
    "source_weight": {"source_weight": 1.2},
    "swapper": {"swapper": "mesh"},
    "device": {"device": "cpu"},
    "precision": {"precision": "fp16"},
    "vram": {"vram": 4},
    "detector": {"detector": "yunet"},
    "embedder": {"embedder": "sface"},
    "landmarker": {"landmarker": "face_mesh"},
    "enhance": {"enhance": "auto"},
    "enhance_blend": {"enhance_blend": 0.4},
    "enhance_fidelity": {"enhance_fidelity": 0.9},
    "occluder": {"occluder": "none"},
    "face_region": {"face_region": "nose"},
    "parser": {"parser": "bisenet"},
    "any_source": {"any_source": True},
    "keep_mouth": {"keep_mouth": True},
    "match_colour": {"match_colour": True},
    "detect_rotated": {"detect_rotated": True},
    "detect_every": {"detect_every": 2},
    "video_codec": {"video_codec": "ffv1"},
    "crf": {"crf": 18},
    "preset": {"preset": "fast"},
    "pixel_format": {"pixel_format": "yuv420p"},
    "audio": {"audio": "copy"},
    "metadata": {"metadata": "none"},
    "start": {"start": 1},
    "end": {"end": 2},
    "overwrite": {"overwrite": True},
    "content_check": {"content_check": False},
}


@pytest.mark.parametrize("name", SwapParameters.model_fields)
def test_every_choice_reaches_the_engine(name: str) -> None:
    assert name in CHOICES, f"name another value of {name} here"
    default, chosen = parse({}), parse(CHOICES[name])
    assert (chosen.options(), chosen.compute(), chosen.swapper) != (
        default.options(),
        default.compute(),
        default.swapper,
    ), f"{name} is missing in SwapParameters.options"
