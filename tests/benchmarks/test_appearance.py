"""The benchmark's measures of a swapped face's appearance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from appearance import Appearance, appearance, skin_lightness
from numpy.typing import NDArray

from engine.geometry.mesh_topology import face_mesh
from engine.values import Bytes, Mesh

SIDE = 360
LEFT_CHEEK = 50


def as_bytes(values: NDArray[np.floating[Any]]) -> Bytes:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def mesh() -> Mesh:
    upright = face_mesh().vertices.astype(np.float64) * (1, -1, -1) * 14
    middle = np.array((SIDE / 2, SIDE / 2, 0))
    return Mesh((upright + middle).astype(np.float32), 1.0)


def skin() -> Bytes:
    """Skin with pores, in light from the left."""
    rng = np.random.default_rng(3)
    pores = rng.normal(scale=4, size=(SIDE, SIDE, 1))
    light = np.linspace(20, -20, SIDE)[None, :, None]
    tone = np.array((190, 145, 120))
    return as_bytes(tone + light + pores)


def darker(picture: Bytes) -> Bytes:
    return as_bytes(np.multiply(picture, 0.8))


def redder(picture: Bytes) -> Bytes:
    return as_bytes(picture + np.array((14.0, -4, -10)))


def flat(picture: Bytes) -> Bytes:
    light = np.linspace(20, -20, SIDE)[None, :, None]
    return as_bytes(picture - light)


def soft(picture: Bytes) -> Bytes:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8)


def at_cheek(picture: Bytes, colour: tuple[float, float, float]) -> Bytes:
    x, y = np.rint(mesh().points[LEFT_CHEEK, :2]).astype(int).tolist()
    spot = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(spot, (x, y), 9, 1, -1)
    amount = np.asarray(cv2.GaussianBlur(spot, (0, 0), 3), np.float64)[..., None]
    return as_bytes(picture + amount * np.array(colour))


def blotched(picture: Bytes) -> Bytes:
    return at_cheek(picture, (55.0, 55.0, 55.0))


def tinted(picture: Bytes) -> Bytes:
    return at_cheek(picture, (-40.0, 0.0, 60.0))


def furrowed(picture: Bytes, vertices: tuple[int, ...]) -> Bytes:
    """Return the picture with a dark line through these vertices."""
    canvas = np.zeros((SIDE, SIDE), np.float32)
    line = np.rint(mesh().points[list(vertices), :2]).astype(np.int32)
    cv2.polylines(canvas, [line], False, 1, 3)
    depth = np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.5), np.float64)[..., None]
    return as_bytes(picture - 70 * depth)


def frowning(picture: Bytes) -> Bytes:
    return furrowed(picture, (108, 8))


def smiling(picture: Bytes) -> Bytes:
    return furrowed(picture, (203, 206, 216))


def look(change: Callable[[Bytes], Bytes]) -> Appearance:
    seen = appearance((skin(), mesh()), (skin(), mesh()), change(skin()))
    assert seen is not None
    return seen


def test_the_target_itself_is_faultless() -> None:
    same = look(lambda picture: picture)
    assert (same.lightness, same.chroma) == (0, 0)
    assert (same.dirt, same.coloured_dirt) == (0, 0)
    assert (same.shading, same.highlights, same.sharpness) == (1, 1, 1)
    assert (same.frown, same.folds) == (1, 1)


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        (darker, lambda seen: seen.lightness < -8),
        (redder, lambda seen: seen.chroma > 5 and abs(seen.lightness) < 3),
        (flat, lambda seen: seen.shading < 0.5 and seen.dirt < 1),
        (soft, lambda seen: seen.sharpness < 0.5 and seen.shading > 0.9),
        (blotched, lambda seen: seen.dirt > 2 and seen.coloured_dirt < seen.dirt),
        (tinted, lambda seen: seen.coloured_dirt > 2),
        (frowning, lambda seen: seen.frown > 1.5 and abs(seen.folds - 1) < 0.1),
        (smiling, lambda seen: seen.folds > 1.5 and abs(seen.frown - 1) < 0.1),
    ],
)
def test_each_fault_is_measured_as_what_it_is(
    change: Callable[[Bytes], Bytes], holds: Callable[[Appearance], bool]
) -> None:
    assert holds(look(change))


def test_furrows_of_the_target_that_are_gone_are_told() -> None:
    target = smiling(frowning(skin()))
    seen = appearance((skin(), mesh()), (target, mesh()), skin())
    assert seen is not None
    assert seen.frown is not None
    assert seen.folds is not None
    assert max(seen.frown, seen.folds) < 0.67


def bearded() -> Bytes:
    """Skin whose lower half is dark strands."""
    strands = np.random.default_rng(4).normal(scale=25, size=(SIDE, SIDE, 1))
    hair = np.array((45, 35, 30)) + cv2.GaussianBlur(strands, (0, 0), 0.8)[..., None]
    middle = round(float(mesh().points[1, 1]))
    return as_bytes(np.where(np.arange(SIDE)[:, None, None] > middle, hair, skin()))


def test_half_a_beard_is_told_and_a_whole_one_is_none() -> None:
    smooth = np.asarray(cv2.GaussianBlur(bearded(), (0, 0), 4), np.uint8)
    for result, changed in ((bearded(), 0.0), (skin(), 1.0), (smooth, 1.0)):
        seen = appearance((skin(), mesh()), (bearded(), mesh()), result)
        assert seen is not None
        assert seen.beard_changed == pytest.approx(changed, abs=0.2)
    assert look(lambda picture: picture).beard_changed is None


def test_the_lightness_of_skin_is_that_of_what_is_seen() -> None:
    assert skin_lightness(darker(skin()), mesh()) < skin_lightness(skin(), mesh()) - 8
    assert np.isnan(skin_lightness(skin(), Mesh(mesh().points + 4 * SIDE, 1.0)))


def test_what_the_source_has_is_no_dirt() -> None:
    spotted = blotched(skin())
    seen = appearance((spotted, mesh()), (skin(), mesh()), spotted)
    assert seen is not None
    assert seen.dirt == 0


def test_a_face_outside_the_picture_shows_no_skin() -> None:
    away = Mesh(mesh().points + np.array((2 * SIDE, 0, 0), np.float32), 1.0)
    assert appearance((skin(), mesh()), (skin(), away), skin()) is None
