from __future__ import annotations

from typing import Any

import pytest

from engine.parameters import parse
from engine.pipeline.unused_options import unused_option_notes


@pytest.mark.parametrize(
    ("parameters", "names", "why"),
    [
        (
            {"face_selector_mode": "many", "reference_image": "a.png", "reference_frame_number": 3},
            "reference_frame_number, reference_image have",
            "face_selector_mode is many",
        ),
        (
            {"face_selector_mode": "one", "reference_face_distance": 0.3},
            "reference_face_distance has",
            "face_selector_mode is one",
        ),
        (
            {"reference_image": "a.png", "reference_frame_number": 3},
            "reference_frame_number has",
            "reference_image names the person",
        ),
    ],
)
def test_references_that_nobody_asks_are_told(
    parameters: dict[str, Any], names: str, why: str
) -> None:
    notes = (f"{names} no effect: {why}.",)
    assert (
        unused_option_notes(parse(parameters).options(), "video", averages=True, draws_source=True)
        == notes
    )
    assert (
        unused_option_notes(parse(parameters).options(), "image", averages=True, draws_source=True)
        == notes
    )


def test_a_picture_has_no_use_for_what_is_about_videos() -> None:
    options = parse({"reference_frame_number": 2, "crf": 20, "audio": "copy", "end": 3}).options()
    assert unused_option_notes(options, "video", averages=True, draws_source=True) == ()
    assert unused_option_notes(options, "image", averages=True, draws_source=True) == (
        "reference_frame_number has no effect: the target is a picture.",
        "crf, audio, end have no effect: the target is a picture.",
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"face_selector_mode": "many", "face_selector_gender": "male"},
        {
            "reference_image": "a.png",
            "reference_face_position": 1,
            "face_selector_order": "left-right",
        },
    ],
)
def test_nothing_is_said_of_what_is_used(parameters: dict[str, Any]) -> None:
    options = parse(parameters).options()
    assert (
        unused_option_notes(options, "video", averages=True, draws_source=True)
        == unused_option_notes(options, "image", averages=True, draws_source=True)
        == ()
    )


@pytest.mark.parametrize(
    ("parameters", "averages", "note"),
    [
        (
            {"extra_source_image": ["b.png"]},
            False,
            "extra_source_image has no effect: the swapper takes one picture of the source.",
        ),
        (
            {"enhance_blend": 0.5, "enhance_fidelity": 0.1},
            True,
            "enhance_blend, enhance_fidelity have no effect: enhance names no restorer.",
        ),
        (
            {"parser": "bisenet_resnet_34"},
            True,
            "parser has no effect: face_region names no part of the face.",
        ),
        (
            {"enhance": "auto", "enhance_blend": 0},
            True,
            "enhance has no effect: enhance_blend is 0.",
        ),
        ({"extra_source_image": ["b.png"]}, True, None),
        ({"enhance": "auto", "enhance_blend": 0.5}, True, None),
        ({"face_region": "nose", "parser": "bisenet_resnet_34"}, True, None),
    ],
)
def test_choices_that_no_network_uses_are_told(
    parameters: dict[str, Any], averages: bool, note: str | None
) -> None:
    notes = unused_option_notes(
        parse(parameters).options(), "video", averages=averages, draws_source=True
    )
    assert notes == (() if note is None else (note,))


def test_a_swapper_that_draws_faces_itself_refuses_no_source() -> None:
    options = parse({"any_source": True}).options()
    assert unused_option_notes(options, "video", averages=True, draws_source=True) == ()
    assert unused_option_notes(options, "video", averages=True, draws_source=False) == (
        "any_source has no effect: the swapper draws no part of the source's picture.",
    )
