"""A source's skin in the target's light: smooth where light is, bounded where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.pixels.tone import Field, luma
from engine.swappers.mesh.layout import COARSE, layout
from engine.swappers.mesh.light import (
    FLOOR,
    antisymmetric_light,
    compress_detail,
    light_basis,
    one_sided_detail,
    skin_light,
)
from engine.swappers.mesh.relight import _highlight_luma, estimate_light
from engine.swappers.mesh.texture import flatten_light
from engine.swappers.mesh.typical import TypicalDetail, typical_detail
from engine.swappers.mesh.warp import MeshWarp, _compress_highlights, _relight
from tests.swappers.stage import Stage, aligned

SIDE = 64
WHOLE = np.ones((SIDE, SIDE), np.float32)
RED = np.array((0.1, 0.0, 0.0), np.float32)


def ball() -> NDArray[np.float32]:
    """Normals of a ball that fills the grid."""
    y, x = np.mgrid[-0.7 : 0.7 : SIDE * 1j, -0.7 : 0.7 : SIDE * 1j]
    return np.stack([x, y, np.sqrt(1 - x * x - y * y)], axis=-1).astype(np.float32)


def even(log: float = 0.0) -> Field:
    return np.full((SIDE, SIDE, 3), log, np.float32)


def light_of(logs: Field, weights: NDArray[np.float32] = WHOLE) -> tuple[Field, Field]:
    return skin_light(logs, light_basis(ball()), weights, 6.0)


@pytest.mark.parametrize("log", [-3.0, -0.4, 0.0, 0.9])
def test_even_light_is_found_as_it_is(log: float) -> None:
    np.testing.assert_allclose(light_of(even(log))[0], log, atol=0.01)


def test_light_from_one_side_is_found_whole() -> None:
    side = np.broadcast_to(ball()[..., :1], (SIDE, SIDE, 3)).astype(np.float32)
    np.testing.assert_allclose(light_of(side)[0], side, atol=0.05)


def test_light_goes_on_under_what_is_no_skin() -> None:
    """An eye is dark, but the light on it is that of the skin around it."""
    logs, weights = even(-0.5), WHOLE.copy()
    logs[26:38, 26:38], weights[26:38, 26:38] = -3.0, 0
    np.testing.assert_allclose(light_of(logs, weights)[0], -0.5, atol=0.02)


def test_what_is_far_from_skin_in_its_light_is_not_taken_for_light() -> None:
    """A pale hand before the face: its light is not the face's."""
    logs = even()
    hand = (slice(26, 38), slice(26, 38))
    logs[hand] = 1.0
    light, trust = light_of(logs)
    assert np.abs(light[30:34, 30:34]).mean() < 0.1
    assert trust[hand].max() < 0.1
    assert trust[:16].min() > 0.9


def shadow(depth: float = -0.6) -> Field:
    """Detail of a face whose left half has a shadow, and whose both halves have a fold."""
    detail = even()
    detail[40:44, 12:20] = detail[40:44, -20:-12] = -0.3
    detail[16:32, 8:24] = depth
    return detail


def test_the_shadow_of_one_half_is_light_and_the_folds_of_both_are_the_face_s() -> None:
    taken = one_sided_detail(shadow(), WHOLE, 0.1)
    assert taken[20:28, 12:20].mean() == pytest.approx(-0.5, abs=0.03)
    assert np.abs(taken[20:28, -20:-12]).max() < 0.01
    assert np.abs(taken[40:44]).max() < 0.01


def test_small_differences_of_the_halves_are_the_face_s_own() -> None:
    assert not one_sided_detail(shadow(-0.09), WHOLE, 0.1).any()


def test_a_half_that_is_not_seen_tells_nothing_of_light() -> None:
    weights = WHOLE.copy()
    weights[:, SIDE // 2 :] = 0
    assert np.abs(one_sided_detail(shadow(), weights, 0.1)).max() < 1e-3
    assert np.abs(antisymmetric_light(shadow(), weights, 0.1)).max() < 1e-3


def test_a_target_s_shadow_darkens_its_half_and_lightens_the_other() -> None:
    light = antisymmetric_light(shadow(), WHOLE, 0.08)
    np.testing.assert_allclose(light, -light[:, ::-1], atol=1e-6)
    assert light[22:26, 14:18].mean() == pytest.approx(-0.22, abs=0.03)


def usual(bright: float = 0.2, dark: float = 0.4, colour: float = 0.2) -> TypicalDetail:
    """Faces that are a little darker than their light everywhere, and a little red."""
    red = np.broadcast_to(RED - luma(RED), (SIDE, SIDE, 3))
    return TypicalDetail(-0.1 * WHOLE, dark * WHOLE, bright * WHOLE, red, colour * WHOLE)


def drawn_in(detail: Field, skin: float = 1.0, hair: float = 0.0) -> Field:
    return compress_detail(detail, skin * WHOLE, hair * WHOLE, usual())


def test_detail_that_faces_have_stays_and_glare_and_shadow_beyond_are_drawn_in() -> None:
    """Faces are between -0.5 and 0.1 there."""
    tones = np.array((0.1, -0.5, 1.5, -2.0), np.float32)
    detail = usual().colour + np.resize(tones, SIDE)[:, None, None]
    calm = luma(drawn_in(detail))[:4, 0]
    np.testing.assert_allclose(calm[:2], tones[:2], atol=1e-4)
    assert 0.13 <= calm[2] <= 0.25
    assert -0.8 <= calm[3] <= -0.56


def test_colour_that_faces_have_stays_and_coloured_light_is_drawn_in() -> None:
    own, tint = usual().colour, np.array((-0.4, 0.0, 0.5), np.float32)
    tint -= luma(tint)
    np.testing.assert_allclose(drawn_in(own), own, atol=1e-4)
    left = drawn_in(own + tint) - own
    assert np.linalg.norm(left, axis=-1).max() < 0.12 < np.linalg.norm(tint)
    np.testing.assert_allclose(luma(left), 0, atol=1e-4)
    features = drawn_in(own + tint, skin=0) - own
    assert 1.5 < np.linalg.norm(features) / np.linalg.norm(left) < 2.5


def test_features_keep_their_light_and_shade_and_a_beard_its_darkness() -> None:
    detail = even()
    detail[0], detail[1] = 0.9, -2.0
    np.testing.assert_allclose(luma(drawn_in(detail, skin=0)), luma(detail), atol=1e-4)
    beard = luma(drawn_in(detail, hair=1))
    np.testing.assert_allclose(beard[1], -2.0, atol=1e-4)
    assert beard[0].max() < 0.3


def test_the_typical_face_is_symmetric_and_has_dark_brows_and_red_lips() -> None:
    plan, typical = layout(COARSE), typical_detail()
    cheeks = (plan.centre * plan.skin > 0.9) & (plan.beardless > 0.95)
    for field in (typical.tone, typical.spread, typical.colour):
        np.testing.assert_array_equal(field, field[:, ::-1])
    assert typical.tone[plan.browless < 0.05].mean() < typical.tone[cheeks].mean() - 0.2
    lips = typical.colour[plan.outside_mouth < 0.05].mean(axis=0) - typical.colour[cheeks].mean(
        axis=0
    )
    assert lips[0] > 0 > lips[1]
    for most in (typical.brighter, typical.darker, typical.spread):
        assert 0.05 < np.median(most[cheeks]) < 0.3


def test_coloured_light_leaves_brows_and_skin_but_not_the_lips() -> None:
    plan, tint = layout(COARSE), np.array((-0.4, 0.0, 0.5), np.float32)
    brows, lips = plan.browless < 0.05, plan.lipless < 0.05
    for place, left in ((brows, 0.45), (lips, 1.0)):
        plain = np.full((COARSE, COARSE, 3), 0.5, np.float32)
        blue = np.where(place[..., None], plain * np.exp(tint), plain).astype(np.float32)
        good = np.ones((COARSE, COARSE), np.float32)
        change = (flatten_light(blue, good, 0 * good) - flatten_light(plain, good, 0 * good))[place]
        hue = np.linalg.norm(change - luma(change)[..., None], axis=-1)
        whole = np.linalg.norm(tint - luma(tint), axis=-1)
        assert np.median(hue) / whole == pytest.approx(left, abs=0.15)


@pytest.mark.parametrize("log", [-1.5, 0.0, 0.8])
def test_plain_skin_becomes_the_light_itself(log: float) -> None:
    relit = _relight(np.ones((128, 128, 3), np.float32), even(log), 1.0)
    np.testing.assert_allclose(relit, np.exp(log) - FLOOR, rtol=1e-4)


def test_a_black_and_white_target_stays_black_and_white() -> None:
    flesh = np.random.default_rng(0).uniform(0.6, 1.4, (SIDE, SIDE, 3)).astype(np.float32)
    assert np.ptp(_relight(flesh, even(-1.0), 0.0), axis=-1).max() < 1e-5
    assert np.ptp(_relight(flesh, even(-1.0), 1.0), axis=-1).max() > 0.1


def test_the_source_s_colours_bring_no_colour_into_a_black_and_white_target(stage: Stage) -> None:
    crop = aligned(MeshWarp(), stage.shot("P006"))
    grey = np.repeat(luma(crop.pixels)[..., None], 3, axis=2)
    yellow = np.full((COARSE, COARSE, 3), (0.3, 0.2, -0.5), np.float32)
    lit = estimate_light(replace(crop, pixels=grey), yellow, np.zeros_like(yellow[..., 0]))
    assert lit.colour == 0
    assert np.ptp(lit.light, axis=-1).max() < 1e-4


def test_glare_of_the_source_stays_near_the_target_s_highlights() -> None:
    pixels = np.full((2, 2, 3), 0.5, np.float32)
    pixels[0, 0], pixels[0, 1] = 1.2, (0.9, 0.7, 0.6)
    before = pixels.copy()
    _compress_highlights(pixels, 0.6)
    assert 0.6 < luma(pixels)[0].max() < 0.65
    assert np.array_equal(pixels[1], before[1])
    np.testing.assert_allclose(pixels[0, 1] / pixels[0, 1, 0], before[0, 1] / 0.9, rtol=1e-5)


def test_a_target_without_skin_bounds_no_glare() -> None:
    assert _highlight_luma(even(0.3), np.zeros((SIDE, SIDE), np.float32)) == 1.0
