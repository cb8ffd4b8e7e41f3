"""The benchmark's measures of the border between a swapped face and the skin around it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from borders import Border, border

from engine.geometry.mesh_topology import OVAL
from engine.pixels.raster import fill_polygons, inside_distance
from engine.values import Bytes, Mask
from tests.benchmarks.test_appearance import SIDE, as_bytes, mesh, skin

POINTS = mesh().points
_WIDE = float(np.ptp(POINTS[:, 0]))


def whole() -> Mask:
    """Return the face's oval, shrunk a little as a swap's is, with a hard edge."""
    oval = fill_polygons([POINTS[list(OVAL)]], SIDE)
    return np.asarray(cv2.erode(oval, np.ones((9, 9), np.uint8)), np.float32)


def soft() -> Mask:
    """Return the same, which fades in over a quarter of the face's width."""
    return np.asarray(np.clip(inside_distance(whole()) / (_WIDE / 4), 0, 1), np.float32)


def mixed(mask: Mask, colour: tuple[float, float, float]) -> Bytes:
    """Skin whose face has another tone where the mask says."""
    return as_bytes(skin() + mask[..., None] * np.array(colour))


def at(change: Callable[[], Bytes], before: Bytes | None = None) -> Border:
    return border(skin() if before is None else before, change(), POINTS)


def test_the_target_itself_has_no_step_and_no_seam() -> None:
    assert at(skin) == Border(0, 0, 0)


def test_a_face_of_another_tone_makes_a_step() -> None:
    darker = at(lambda: mixed(whole(), (-30, -30, -30)))
    assert darker.step is not None
    assert darker.coloured_step is not None
    assert darker.step > 8 > darker.coloured_step
    redder = at(lambda: mixed(whole(), (25, -12, -12)))
    assert redder.coloured_step is not None
    assert redder.coloured_step > 8


def test_a_step_that_the_target_has_is_its_own() -> None:
    shaded = mixed(1 - whole(), (-20, -20, -20))
    assert border(shaded, shaded, POINTS) == Border(0, 0, 0)
    level = border(shaded, mixed(np.ones_like(whole()), (-20, -20, -20)), POINTS)
    assert level.step == pytest.approx(0, abs=0.5)


def test_a_hard_edge_is_a_seam_and_a_fade_is_none() -> None:
    hard = at(lambda: mixed(whole(), (-40, -40, -40)))
    faded = at(lambda: mixed(soft(), (-40, -40, -40)))
    assert hard.seam > 8
    assert faded.seam < 0.5 * hard.seam


def test_where_no_skin_is_around_there_is_no_step() -> None:
    alone = as_bytes(skin() * fill_polygons([POINTS[list(OVAL)]], SIDE)[..., None])
    seen = border(alone, as_bytes(alone * 0.8), POINTS)
    assert (seen.step, seen.coloured_step) == (None, None)
