"""A source's skin in the target's light: smooth where light is, bounded where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.pixels.tone import Field
from engine.swappers.mesh_light import FLOOR, light_basis, light_gain
from engine.swappers.mesh_warp import _relit

SIDE = 64
GREY = 0.3


def ball() -> NDArray[np.float32]:
    """Normals of a ball that fills the grid."""
    y, x = np.mgrid[-0.7 : 0.7 : SIDE * 1j, -0.7 : 0.7 : SIDE * 1j]
    return np.stack([x, y, np.sqrt(1 - x * x - y * y)], axis=-1).astype(np.float32)


def gain_of(target: Field, closeness: float = 1.0) -> Field:
    """The gain for a grey source, with skin all over."""
    source = np.full((SIDE, SIDE, 3), GREY, np.float32)
    whole = np.ones((SIDE, SIDE), np.float32)
    gain, _ = light_gain(target, source, light_basis(ball()), whole, whole * closeness, sigma=1.5)
    return gain


def lit(log_gain: float) -> Field:
    """A grey target that is brighter than the source by a factor."""
    shown = (GREY + FLOOR) * np.exp(log_gain) - FLOOR
    return np.full((SIDE, SIDE, 3), shown, np.float32)


@pytest.mark.parametrize("log_gain", [-1.5, -0.4, 0.0, 0.4, 0.9])
def test_even_light_is_followed_as_it_is(log_gain: float) -> None:
    np.testing.assert_allclose(gain_of(lit(log_gain)), log_gain, atol=0.01)


def test_the_strongest_gain_is_bounded() -> None:
    assert gain_of(lit(4.0)).max() == pytest.approx(2.5)


def test_what_is_no_light_is_followed_a_little_way_only() -> None:
    """A red spot, as of paint: less by a factor than half its difference is followed."""
    target = lit(0.0)
    spot = (slice(26, 38), slice(26, 38))
    target[(*spot, 0)] = (GREY + FLOOR) * np.exp(0.75) - FLOOR
    gain = gain_of(target)[..., 0]
    assert gain[30:34, 30:34].mean() - gain[:16].mean() == pytest.approx(0.5, abs=0.06)
    assert abs(gain_of(target, closeness=0.0)[..., 0][spot].mean()) < 0.2


def test_what_is_far_from_skin_in_its_light_is_not_followed_at_all() -> None:
    """A pale hand before the face: its light is not the face's."""
    target = lit(0.0)
    hand = (slice(26, 38), slice(26, 38))
    target[hand] = (GREY + FLOOR) * np.exp(1.0) - FLOOR
    gain = gain_of(target)
    assert abs(gain[30:34, 30:34].mean() - gain[:16].mean()) < 0.1


@pytest.mark.parametrize(("factor", "share"), [(4.0, 2.0), (2.0, 2**0.5), (1.0, 1.0), (0.25, 0.25)])
def test_highlights_grow_by_the_root_of_the_gain_and_fade_by_all_of_it(
    factor: float, share: float
) -> None:
    flesh = np.full((SIDE, SIDE, 3), 0.2, np.float32)
    coarse = flesh.copy()
    flesh[32, 32] += 0.1
    gain = np.full_like(coarse, np.log(factor))
    relit = _relit(flesh, coarse, gain)
    np.testing.assert_allclose(relit[0, 0], (0.2 + FLOOR) * factor - FLOOR, rtol=1e-4)
    np.testing.assert_allclose(relit[32, 32] - relit[0, 0], 0.1 * share, rtol=1e-3)
