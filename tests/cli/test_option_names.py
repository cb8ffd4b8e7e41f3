"""Messages of the engine name its parameters; the command shows them with its options."""

from __future__ import annotations

import pytest

from engine.cli.option_names import name_options


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("reference_frame_number is 9.", "--reference-frame-number is 9."),
        ("Choose it with reference_image.", "Choose it with --reference-image."),
        (
            "pixel_boost is 9; pixel_format keep helps.",
            "--pixel-boost is 9; --pixel-format keep helps.",
        ),
        ("No face is in source_image a.jpg.", "No face is in SOURCE a.jpg."),
        (
            "device is 'x'. vram is 0; allowed: more.",
            "--device is 'x'. --vram is 0; allowed: more.",
        ),
        ("api_key is empty.", "--api-key is empty."),
        # A word is no parameter, and the name of a file or a value that was given stays.
        ("The device is in use.", "The device is in use."),
        ("/a/pixel_boost/b.png has no face.", "/a/pixel_boost/b.png has no face."),
        ("pixel_boost.png has no face.", "pixel_boost.png has no face."),
        ("a-pixel_boost has no face.", "a-pixel_boost has no face."),
        ("detector is 'pixel_boost'.", "--detector is 'pixel_boost'."),
        ("Set pixel_boost='auto'.", "Set pixel_boost='auto'."),
        ("a.csv, line 2: pixel_boost is 9x9.", "a.csv, line 2: pixel_boost is 9x9."),
        (
            "a.csv, line 2: pixel_bost is no parameter; did you mean pixel_boost?",
            "a.csv, line 2: pixel_bost is no parameter; did you mean pixel_boost?",
        ),
        ("my_pixel_boost and pixel_booster", "my_pixel_boost and pixel_booster"),
    ],
)
def test_parameters_become_options(message: str, shown: str) -> None:
    assert name_options(message) == shown
