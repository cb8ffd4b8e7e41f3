"""Faults of a picture as a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.geometry import affine
from engine.pixels.tone import luma
from engine.swappers.mesh.source_faults import portrait_faults
from engine.values import BareFace, Pixels, Portrait
from tests.swappers.stage import Stage

EYES = ((130, 243, 27, 23), (359, 463, 257, 253))  # outer and inner corner, above and below


def words(portrait: Portrait) -> list[str]:
    return [fault.words for fault in portrait_faults(portrait)]


def hiding(portrait: Portrait) -> list[bool]:
    return [fault.hides for fault in portrait_faults(portrait)]


@pytest.mark.parametrize("who", ["P001", "P003", "P006", "P008", "P010"])
def test_a_portrait_in_a_studio_has_no_fault(stage: Stage, who: str) -> None:
    assert portrait_faults(stage.shot(who).portrait) == ()


def test_a_face_that_is_turned_away_hides_its_other_half(stage: Stage) -> None:
    turned = stage.shot("P001", "turned").portrait
    assert words(turned)[0].startswith("shows a face turned ")
    assert hiding(turned)[0]


@pytest.mark.parametrize(("share", "hides"), [(0.05, False), (0.35, True)])
def test_a_face_that_is_cut_off_is_told(stage: Stage, share: float, hides: bool) -> None:
    portrait = stage.shot("P001").portrait
    points = portrait.face.mesh.points
    bottom = int(np.quantile(points[:, 1], 1 - share))
    cut = replace(portrait, pixels=portrait.pixels[:bottom])
    assert "of the face outside its border" in words(cut)[0]
    assert hiding(cut)[0] is hides


def behind_dark_glasses(portrait: Portrait) -> Portrait:
    pixels = portrait.pixels.copy()
    for outer, inner, above, below in EYES:
        points = portrait.face.mesh.points[[outer, inner, above, below], :2]
        middle, reach = points.mean(axis=0), np.ptp(points, axis=0) * (0.75, 1.4)
        centre, axes = (np.rint(each).astype(int).tolist() for each in (middle, reach))
        cv2.ellipse(pixels, centre, axes, 0, 0, 360, (0.02, 0.02, 0.02), -1)
    return replace(portrait, pixels=pixels)


def test_dark_glasses_hide_the_eyes(stage: Stage) -> None:
    hidden = behind_dark_glasses(stage.shot("P001").portrait)
    assert words(hidden) == ["shows eyes behind dark glasses or in the dark"]
    assert hiding(hidden) == [True]


@pytest.mark.parametrize(("top", "hides"), [(0.75, False), (0.4, True)])
def test_what_is_before_the_face_is_told(stage: Stage, top: float, hides: bool) -> None:
    portrait = stage.shot("P001").portrait
    points = portrait.face.mesh.points
    bare = np.ones(portrait.pixels.shape[:2], np.float32)
    bare[int(points[:, 1].min() + top * np.ptp(points[:, 1])) :] = 0
    covered = replace(portrait, bare=BareFace(bare, affine.identity()))
    assert words(covered)[0].startswith("shows a face with something before ")
    assert hiding(covered)[0] is hides


@pytest.mark.parametrize(("share", "told"), [(0.2, False), (1.0, True)])
def test_eyes_behind_something_are_told(stage: Stage, share: float, told: bool) -> None:
    """Lenses that shine are not dark; a mask over the eyes, as high as `share` of them, is told."""
    portrait = stage.shot("P001").portrait
    bare = np.ones(portrait.pixels.shape[:2], np.float32)
    points = portrait.face.mesh.points
    brows, cheeks = (float(points[pair, 1].mean()) for pair in ([105, 334], [118, 347]))
    bare[int(brows) : int(brows + share * (cheeks - brows))] = 0
    covered = replace(portrait, bare=BareFace(bare, affine.identity()))
    assert ("has its eyes covered" in words(covered)) is told
    assert any(hiding(covered)) is told


def lit_from_one_side(pixels: Pixels) -> Pixels:
    across = np.linspace(-1.8, 1.8, pixels.shape[1])[:, None]
    return (pixels * np.exp(1.7 * np.clip(across, -1, 1) - 1.2)).astype(np.float32)


def blurred(pixels: Pixels) -> Pixels:
    return cv2.GaussianBlur(pixels, (0, 0), pixels.shape[1] / 100).astype(np.float32)


def darkened(pixels: Pixels) -> Pixels:
    return pixels * np.float32(0.25)


def reddened(pixels: Pixels) -> Pixels:
    return pixels * np.array((1, 0.3, 0.25), np.float32)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lit_from_one_side, "shows a face lit from one side"),
        (blurred, "shows a blurred face"),
        (darkened, "shows a face in the dark"),
        (reddened, "shows a face in coloured light"),
    ],
)
def test_a_poor_picture_is_told_and_hides_nothing(
    stage: Stage, spoilt: Callable[[Pixels], Pixels], said: str
) -> None:
    portrait = stage.shot("P001").portrait
    poor = replace(portrait, pixels=np.clip(spoilt(portrait.pixels), 0, 1))
    assert said in words(poor)
    assert not any(hiding(poor))


@pytest.mark.parametrize("who", ["P001", "P003", "P005", "P007", "P008"])
@pytest.mark.parametrize("spoil", ["blur", "blur and noise", "enlarge", "move aside", "move up"])
def test_a_blur_that_leaves_no_features_hides_the_face(stage: Stage, who: str, spoil: str) -> None:
    portrait = stage.shot(who).portrait
    width = float(np.ptp(portrait.face.mesh.points[:, 0]))
    pixels, (height, across) = portrait.pixels, portrait.pixels.shape[:2]
    if spoil == "enlarge":
        small = cv2.resize(pixels, None, fx=8 / width, fy=8 / width, interpolation=cv2.INTER_AREA)
        smeared = cv2.resize(small, (across, height), interpolation=cv2.INTER_CUBIC)
    elif spoil.startswith("move"):
        reach = round(width / 6)
        smeared = cv2.blur(pixels, (reach, 1) if spoil == "move aside" else (1, reach))
    else:
        smeared = cv2.GaussianBlur(pixels, (0, 0), width / 22)
    if spoil == "blur and noise":
        smeared = smeared + np.random.default_rng(0).normal(scale=0.03, size=pixels.shape)
    poor = replace(portrait, pixels=np.clip(smeared, 0, 1).astype(np.float32))
    assert "shows a face blurred beyond recognition" in words(poor)
    assert hiding(poor)[0]
    soft = cv2.GaussianBlur(pixels, (0, 0), width / 45).astype(np.float32)
    assert not any(hiding(replace(portrait, pixels=soft)))


def test_a_face_in_red_light_hides_itself(stage: Stage) -> None:
    portrait = stage.shot("P001").portrait
    red = portrait.pixels * np.array((1, 0.03, 0.03), np.float32)
    assert hiding(replace(portrait, pixels=red))[0]


def test_dark_skin_in_good_light_is_no_face_in_the_dark(stage: Stage) -> None:
    portrait = stage.shot("P001").portrait
    dark = portrait.pixels * np.float32(0.2)
    shining = np.where(luma(portrait.pixels)[..., None] > 0.6, 0.45, dark)
    assert "shows a face in the dark" in words(replace(portrait, pixels=dark))
    shown = words(replace(portrait, pixels=shining.astype(np.float32)))
    assert "shows a face in the dark" not in shown


def test_dark_glasses_are_told_by_the_eye_that_is_seen(stage: Stage) -> None:
    portrait = behind_dark_glasses(stage.shot("P001").portrait)
    nose = int(portrait.face.mesh.points[6, 0]) + 6
    half = replace(portrait, pixels=np.ascontiguousarray(portrait.pixels[:, :nose]))
    assert "shows eyes behind dark glasses or in the dark" in words(half)


def test_a_mouth_wide_open_is_told(stage: Stage) -> None:
    assert words(stage.shot("P004", "shocked").portrait) == ["shows a mouth wide open"]
