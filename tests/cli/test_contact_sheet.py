from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.cli.contact_sheet import contact_sheet
from engine.media.decode import read_image
from engine.media.still import write_image
from engine.pixels.align import face_picture
from engine.pixels.planes import as_frame
from engine.values import Box, Bytes, Colour, Frame, Orientation, PixelFormat
from tests.people import face

INK = (40, 90, 200)


def frame(width: int = 320, height: int = 180, *, quarter_turns: int = 0) -> Frame:
    """Return a grey frame with a blue square at (100, 40) to (150, 90) of its coded picture."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[40:90, 100:150] = INK
    return Frame(
        index=0,
        pts=0,
        time_base=Fraction(1, 25),
        planes=tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3)),
        format=PixelFormat("gbrp", "rgb", 8),
        colour=Colour(matrix="rgb", full_range=True),
        orientation=Orientation(quarter_turns),
    )


def share_of_ink(sheet: Bytes) -> float:
    return float((np.abs(sheet.astype(int) - INK) <= 2).all(axis=2).mean())


@pytest.mark.parametrize("count", [0, 1, 5, 6, 23])
def test_the_sheet_keeps_its_width_and_grows_by_rows(count: int) -> None:
    sheets = [contact_sheet(frame(), [face(100, 40, 50)] * faces) for faces in (1, count)]
    assert sheets[0].shape[1] == sheets[1].shape[1]
    assert (sheets[1].shape[0] > sheets[0].shape[0]) == (count > 5)
    assert sheets[1].dtype == np.uint8


def test_a_card_shows_the_face_in_its_middle() -> None:
    none, one = (contact_sheet(frame(), faces) for faces in ((), [face(99.5, 39.5, 50)]))
    below = one[none.shape[0] :]
    card = below[:, :252]
    rows, columns = np.nonzero((np.abs(card.astype(int) - INK) <= 2).all(axis=2))
    assert len(rows) > 10_000
    assert abs(columns.mean() - (12 + 119.5)) < 0.6


def test_a_turned_frame_is_shown_as_displayed() -> None:
    upright = contact_sheet(frame(), [])
    turned = contact_sheet(frame(quarter_turns=1), [])
    assert turned.shape[0] > upright.shape[0]


@pytest.mark.parametrize("size", [(16, 16), (4000, 20), (20, 4000), (1, 1)])
def test_frames_of_any_shape_fit(size: tuple[int, int]) -> None:
    sheet = contact_sheet(frame(*size), [face(0, 0, 8)])
    assert sheet.shape[0] < 1400


def test_faces_over_the_border_are_drawn() -> None:
    faces = [face(-30, -30, 60), face(300, 160, 90), face(500, 500, 10), face(10, 10, 0)]
    assert contact_sheet(frame(), faces).any()


def test_what_is_outside_the_frame_is_grey() -> None:
    # The blue square would reach down if the border were repeated.
    for picture, rows in (
        (face_picture(frame(320, 90), Box(100, 40, 150, 90), 80), slice(66, 80)),
        (face_picture(frame(), Box(100, 500, 150, 550), 80), slice(0, 80)),
        (face_picture(frame(), Box(100, -500, 150, -450), 80), slice(0, 80)),
    ):
        assert (picture[rows] == 64).all()
    inside = face_picture(frame(320, 90), Box(100, 40, 150, 90), 80)[:64]
    assert not (inside == 64).all(axis=2).any()
    corner = face_picture(frame(), Box(-10, -10, 40, 40), 80)
    assert ((corner == 64).all(axis=2)).sum() == 80 * 80 - 56 * 56


def test_attributes_and_distances_are_written() -> None:
    bare = contact_sheet(frame(), [face(100, 40, 50)])
    read = contact_sheet(
        frame(), [face(100, 40, 50, age=30, gender="male", race="asian")], distances=[0.25]
    )
    assert bare.shape == read.shape
    assert (bare != read).any()


def test_distances_pair_with_faces() -> None:
    with pytest.raises(ValueError, match="zip"):
        contact_sheet(frame(), [face()], distances=[0.1, 0.2])


def test_the_frame_is_not_drawn_on() -> None:
    shown = frame()
    before = [plane.copy() for plane in shown.planes]
    contact_sheet(shown, [face(100, 40, 50)])
    assert all(np.array_equal(was, now) for was, now in zip(before, shown.planes, strict=True))
    assert share_of_ink(contact_sheet(shown, [])) > 0.01


def test_a_written_sheet_reads_back_as_it_was(tmp_path: Path) -> None:
    sheet = contact_sheet(frame(), [face(100, 40, 50)])
    write_image(as_frame(sheet), tmp_path / "sheet.png")
    again = read_image(tmp_path / "sheet.png")
    assert again.size == (sheet.shape[1], sheet.shape[0])
    assert np.array_equal(np.dstack(again.planes), sheet)
