from __future__ import annotations

import pytest

from engine.parameters import SwapParameters
from engine.suggestions import closest

NAMES = tuple(SwapParameters.model_fields)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("mode", {"face_selector_mode"}),
        ("selector_mode", {"face_selector_mode"}),
        ("pixel_bost", {"pixel_boost"}),
        ("pixelboost", {"pixel_boost"}),
        ("match_color", {"match_colour"}),
        ("distance", {"reference_face_distance"}),
        ("age", {"face_selector_age_start", "face_selector_age_end"}),
        ("codec", {"video_codec"}),
        ("fps", set()),
        ("", set()),
        ("\udcff\n", set()),
    ],
)
def test_the_name_that_shares_words_or_letters_is_meant(written: str, expected: set[str]) -> None:
    assert set(closest(written, NAMES)) == expected


def test_of_no_names_none_is_meant() -> None:
    assert closest("mode", ()) == ()
