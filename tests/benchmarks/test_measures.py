"""The measures of the benchmarks."""

from __future__ import annotations

import measures
import numpy as np
import pytest

from engine.geometry.mesh_topology import face_mesh
from engine.values import Points


def canonical(degrees: float = 0.0, scale: float = 10.0) -> Points:
    """The canonical face as the camera sees it, its nose turned to the picture's right."""
    upright = face_mesh().vertices.astype(np.float64) * (1, -1, -1) * scale
    angle = np.radians(degrees)
    turn = [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
    return (upright @ np.array(turn).T + (300, 200, 0)).astype(np.float32)


@pytest.mark.parametrize("scale", [3, 10, 40])
def test_an_error_is_a_share_of_the_eye_distance(scale: float) -> None:
    mesh = canonical(scale=scale)
    moved = mesh + np.array((0, 0.1 * measures.eye_distance(mesh), 0), np.float32)
    assert measures.landmark_error(mesh, mesh) == 0
    assert measures.landmark_error(mesh, moved) == pytest.approx(0.1, rel=1e-3)
    assert measures.landmark_error(mesh, moved, measures.EYES) == pytest.approx(0.1, rel=1e-3)
    assert measures.shift(mesh, moved) == pytest.approx(0.1 * measures.eye_distance(mesh), rel=1e-3)


def test_openings_grow_as_the_lids_and_lips_part() -> None:
    closed = canonical()
    opened = closed.copy()
    for upper, lower in (*((159, 145), (386, 374)), (13, 14)):
        opened[upper, 1] -= 8
        opened[lower, 1] += 8
    assert measures.eye_opening(opened) > measures.eye_opening(closed)
    assert measures.mouth_opening(opened) > measures.mouth_opening(closed)


@pytest.mark.parametrize(
    ("name", "vertices", "shift"),
    [
        ("mouth", (13, 82, 312), (0, -6)),
        ("smile", (78,), (-9, 0)),
        ("brows", measures._BROWS[0] + measures._BROWS[1], (0, -5)),
        ("lids", (158, 159, 160, 385, 386, 387), (0, -4)),
    ],
)
def test_an_expression_is_measured_where_it_is(
    name: str, vertices: tuple[int, ...], shift: tuple[float, float]
) -> None:
    calm = canonical()
    moved = calm.copy()
    moved[list(vertices), :2] += shift
    was, now = measures.expression(calm), measures.expression(moved)
    assert getattr(now, name) - getattr(was, name) > 0.02
    for other in {"mouth", "smile", "brows", "lids"} - {name}:
        assert getattr(now, other) == pytest.approx(getattr(was, other), abs=0.01)
    tilt = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    turned = (moved[:, :2] @ tilt.T * 2).astype(np.float32)
    assert getattr(measures.expression(turned), name) == pytest.approx(getattr(now, name), rel=1e-3)


def test_a_tone_that_drifts_is_steady_and_one_that_jumps_is_not() -> None:
    drift = np.linspace(50, 60, 20)
    assert measures.tone_steps(drift) == pytest.approx(0, abs=1e-9)
    assert measures.tone_steps(drift + np.tile((0.0, 1.0), 10)) > 0.9


def test_even_motion_is_steady_and_jumps_are_not() -> None:
    ramp = np.linspace(0, 1, 9, dtype=np.float32)[:, None, None, None] * np.ones((1, 4, 4, 3))
    shaken = ramp.copy()
    shaken[4] += 0.1
    assert measures.flicker(ramp.astype(np.float32)) == pytest.approx(0, abs=1e-6)
    assert measures.flicker(shaken.astype(np.float32)) > 0.01


def test_a_mesh_that_glides_does_not_jitter() -> None:
    glide = np.stack([canonical() + np.float32(3 * step) for step in range(6)])
    shaken = glide.copy()
    shaken[3] += 5
    assert measures.jitter(glide) == pytest.approx(0, abs=1e-4)
    assert measures.jitter(shaken) > 0.01
