"""A patch takes its crop's colours, and nothing else of it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike

from engine.compose.colour import match_colours
from engine.values import Mask, Pixels
from tests.compose.crops import patch_of, plain, target_of
from tests.faces.pictures import picture

SIDES = (64, 128, 384, 1024)
PEOPLE = ("P001", "P004", "P006", "P009")
TINTS = ((0.6, 1, 1), (1, 0.8, 0.55), (0.55, 0.55, 0.55), (0.7, 0.9, 1.1), (0.8, 1, 0.7))
GREYED = 0.3 * np.array((0.2126, 0.7152, 0.0722))


def crop(who: str, side: int) -> Pixels:
    """Return a synthetic person's face, RGB 0..1."""
    image = picture(who)
    height, width = image.shape[:2]
    half, top = round(0.24 * width), round(0.12 * height)
    face = image[top : top + 2 * half, width // 2 - half : width // 2 + half]
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return (small / np.float32(255)).astype(np.float32)


def middle(side: int) -> Mask:
    mask = np.zeros((side, side), np.float32)
    mask[side // 6 : -side // 6, side // 5 : -side // 5] = 1
    return mask


def psnr(one: Pixels, other: Pixels, where: Mask) -> float:
    error = (one - other)[where > 0]
    return float(10 * np.log10(1 / max(float(np.mean(error**2)), 1e-12)))


def tinted(pixels: Pixels, tint: ArrayLike) -> Pixels:
    return np.clip(pixels * np.array(tint, np.float32), 0, 1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("who", PEOPLE)
def test_what_has_the_colours_keeps_them(who: str, side: int) -> None:
    pixels = crop(who, side)
    patch = patch_of(pixels, middle(side))
    result = match_colours(target_of(pixels), patch)
    assert psnr(result.pixels, pixels, np.ones((side, side), np.float32)) > 80
    assert result.pixels.dtype == np.float32
    assert result.mask is patch.mask
    assert result.to_crop is patch.to_crop


@pytest.mark.parametrize("tint", TINTS)
@pytest.mark.parametrize("who", PEOPLE)
def test_light_of_another_colour_is_undone(who: str, tint: tuple[float, ...]) -> None:
    pixels, mask = crop(who, 256), middle(256)
    # A gain above 1 would cut highlights off.
    before = tinted(0.85 * pixels, tint)
    after = match_colours(target_of(0.85 * pixels), patch_of(before, mask)).pixels
    assert psnr(before, 0.85 * pixels, mask) < 27
    assert psnr(after, 0.85 * pixels, mask) > 47


@pytest.mark.parametrize("who", PEOPLE)
def test_paleness_and_haze_are_undone(who: str) -> None:
    pixels, mask = crop(who, 256), middle(256)
    grey = (pixels @ GREYED.astype(np.float32))[..., None]
    pale = np.clip(0.1 + 0.75 * (0.7 * pixels + grey), 0, 1)
    assert psnr(pale, pixels, mask) < 30
    assert psnr(match_colours(target_of(pixels), patch_of(pale, mask)).pixels, pixels, mask) > 40


@pytest.mark.parametrize("pair", [("P001", "P009"), ("P004", "P001"), ("P006", "P004")])
def test_another_person_takes_the_colours_and_stays_another(pair: tuple[str, str]) -> None:
    target, other = (crop(who, 256) for who in pair)
    mask = middle(256)
    result = match_colours(target_of(target), patch_of(other, mask)).pixels
    apart = [np.abs((p - target)[mask > 0].mean(axis=0)).max() for p in (other, result)]
    assert apart[1] < max(0.5 * apart[0], 0.04)
    detail = np.stack([p[mask > 0].mean(axis=1) for p in (other, result)])
    assert np.asarray(np.corrcoef(detail))[0, 1] > 0.98


def test_what_hides_the_target_has_no_say() -> None:
    target, mask = crop("P006", 256), middle(256)
    patch = patch_of(tinted(target, (0.7, 0.9, 0.8)), mask)
    hidden = target.copy()
    hidden[170:215, 60:150] = (0.1, 0.2, 0.9)
    free, beside = (match_colours(target_of(one), patch).pixels for one in (target, hidden))
    assert psnr(beside, free, mask) > 35


def test_only_what_the_mask_shows_is_compared() -> None:
    pixels, mask = crop("P001", 256), middle(256)
    patch = patch_of(tinted(pixels, (0.7, 0.9, 0.8)), mask)
    elsewhere = pixels.copy()
    elsewhere[cv2.dilate(mask, np.ones((25, 25))) == 0] = (0, 1, 0)
    free, other = (match_colours(target_of(one), patch).pixels for one in (pixels, elsewhere))
    np.testing.assert_allclose(other, free, atol=1e-5)


@pytest.mark.parametrize("shown", [0.0, 1e-5])
def test_a_patch_that_shows_nothing_is_left_as_it_is(shown: float) -> None:
    patch = patch_of(crop("P001", 128), np.full((128, 128), shown, np.float32))
    assert match_colours(target_of(plain(128, (1, 0, 0))), patch) is patch


@pytest.mark.parametrize("level", [0.0, 0.02, 0.5, 1.0])
def test_on_flat_and_dark_faces_nothing_explodes(level: float) -> None:
    """Grain at most doubles, whatever the contrast of the target is."""
    rng = np.random.default_rng(2)
    flat = np.clip(level + rng.normal(scale=1e-3, size=(128, 128, 3)), 0, 1).astype(np.float32)
    for target in (crop("P004", 128), plain(128, (0, 0, 0)), flat):
        result = match_colours(target_of(target), patch_of(flat, middle(128))).pixels
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 1
        assert np.ptp(result.reshape(-1, 3), axis=0).max() < 2 * np.sqrt(3) * np.ptp(flat) + 1e-3


def test_what_was_given_is_not_written_to() -> None:
    target, own = crop("P001", 128), crop("P009", 128)
    before = own.copy()
    match_colours(target_of(target), patch_of(own, middle(128)))
    np.testing.assert_array_equal(own, before)


def test_what_is_before_the_target_lends_no_colour() -> None:
    target = target_of(plain(64, (0.7, 0.5, 0.4)))
    target.pixels[28:] = (0.85, 0.92, 1.0)
    bare = np.ones((64, 64), np.float32)
    bare[28:] = 0
    same = patch_of(plain(64, (0.7, 0.5, 0.4)))
    result = match_colours(replace(target, bare=bare), same)
    np.testing.assert_allclose(result.pixels, same.pixels, atol=0.02)
    assert np.abs(match_colours(target, same).pixels - same.pixels).max() > 0.05
