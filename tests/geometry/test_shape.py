"""Identity apart from pose and expression."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.geometry.mesh_topology import LEFT_EYE, OVAL, RIGHT_EYE, face_mesh, frontal_points
from engine.geometry.shape import (
    _expression,
    _weights,
    angle_to_camera,
    to_frontal,
    transfer_shape,
    yaw,
)
from engine.swappers.mesh.masks import eye_openings
from engine.values import Points

NOSE, MOUTH = (4, 1, 5, 195), (13, 14, 61, 291)


def posed(points: Points, degrees: float = 0, scale: float = 300) -> Points:
    """Return a mesh of the unit square as it lies in a picture, turned about the vertical axis."""
    angle = np.radians(degrees)
    turn = np.array(
        [(np.cos(angle), 0, np.sin(angle)), (0, 1, 0), (-np.sin(angle), 0, np.cos(angle))]
    )
    moved: Points = ((points - 0.5) @ turn.T * scale + (200, 150, 0)).astype(np.float32)
    return moved


def person(seed: int) -> Points:
    """Return the canonical face with a smooth change of its own."""
    points = frontal_points(face_mesh())
    rng = np.random.default_rng(seed)
    change = np.zeros_like(points)
    for _ in range(6):
        centre = points[rng.integers(468)]
        near = np.exp(-(((points - centre) ** 2).sum(axis=1)) / 0.02)
        change += near[:, None] * rng.normal(scale=0.01, size=3)
    return np.asarray(points + change, np.float32)


def doing(points: Points, mode: int, amount: float = 0.15) -> Points:
    """Return the mesh with a mode of expression added."""
    modes, _ = _expression()
    return np.asarray(points + amount * modes[mode].reshape(-1, 3), np.float32)


def move(points: Points, other: Points, indices: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray((points - other)[list(indices)], np.float32)


@pytest.mark.parametrize("degrees", [-40, 0, 25])
def test_turning_to_the_front_undoes_the_pose(degrees: float) -> None:
    shape, pose = to_frontal(person(1))
    turned, back = to_frontal(posed(person(1), degrees))
    np.testing.assert_allclose(turned, shape, atol=1e-4)
    assert shape.dtype == np.float32
    assert pose.shape == back.shape == (3, 4)
    mesh = posed(person(1), degrees)
    np.testing.assert_allclose(mesh @ back[:, :3].T + back[:, 3], turned, atol=1e-4)


def test_modes_are_orthonormal_and_shares_are_shares() -> None:
    modes, shares = _expression()
    assert modes.shape == (len(shares), 1404)
    np.testing.assert_allclose(modes @ modes.T, np.eye(len(modes)), atol=1e-5)
    assert (shares > 0).all()
    assert (shares < 1).all()


def test_a_strong_mode_opens_the_mouth() -> None:
    """The strongest thing that faces do: the lower lip leaves the upper one."""
    modes, shares = _expression()
    assert shares[0] > 0.8
    first = modes[0].reshape(-1, 3)
    gap = abs(first[14, 1] - first[13, 1])
    assert gap > 5 * np.linalg.norm(first[list(NOSE)], axis=1).mean()


@pytest.mark.parametrize("degrees", [-30, 0, 30])
def test_the_own_shape_changes_nothing(degrees: float) -> None:
    target = posed(person(1), degrees)
    np.testing.assert_allclose(transfer_shape(target, to_frontal(target)[0]), target, atol=1e-3)


@pytest.mark.parametrize("degrees", [-30, 0, 30])
def test_the_inside_moves_to_the_source_and_the_oval_stays(degrees: float) -> None:
    target, source = posed(person(1), degrees), to_frontal(person(2))[0]
    result = transfer_shape(target, source)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[list(OVAL)], target[list(OVAL)])
    inner = _weights() > 0.99
    before = np.linalg.norm(to_frontal(target)[0] - source, axis=1)[inner].mean()
    after = np.linalg.norm(to_frontal(result)[0] - source, axis=1)[inner].mean()
    assert after < 0.75 * before


@pytest.mark.parametrize("mode", [0, 1])
def test_what_the_source_does_is_left_behind(mode: int) -> None:
    target = posed(person(1))
    quiet = transfer_shape(target, to_frontal(person(2))[0])
    busy = transfer_shape(target, to_frontal(doing(person(2), mode))[0])
    reference = posed(doing(person(1), mode))
    assert np.abs(busy - quiet).mean() < 0.3 * np.abs(reference - target).mean()


@pytest.mark.parametrize("mode", [0, 1])
def test_what_the_target_does_is_kept(mode: int) -> None:
    source = to_frontal(person(2))[0]
    quiet, busy = posed(person(1)), posed(doing(person(1), mode))
    done = busy - quiet
    kept = transfer_shape(busy, source) - transfer_shape(quiet, source)
    assert np.abs(kept - done).mean() < 0.3 * np.abs(done).mean()


def test_a_source_s_closed_eyes_do_not_close_the_target_s() -> None:
    """An eye that is wide is the person's own, a closed one is not."""
    target = posed(person(1))
    opened = eye_openings(target)
    results = {}
    for scale in (1.6, 0.1):
        shape = person(2)
        for ring in (LEFT_EYE, RIGHT_EYE):
            middle = shape[list(ring), 1].mean()
            shape[list(ring), 1] = middle + scale * (shape[list(ring), 1] - middle)
        results[scale] = eye_openings(transfer_shape(target, to_frontal(shape)[0]))
    np.testing.assert_allclose(results[0.1], opened, rtol=0.12)
    assert min(results[1.6]) > 1.1 * max(opened)


def test_a_similar_move_of_the_target_moves_the_result() -> None:
    target, source = posed(person(1), 20), to_frontal(person(2))[0]
    result = transfer_shape(target, source)
    moved = (target * 1.7 + np.array((12, -30, 5))).astype(np.float32)
    expected = result * 1.7 + np.array((12, -30, 5))
    np.testing.assert_allclose(transfer_shape(moved, source), expected, atol=1e-2)


def test_weights_rise_from_the_oval_inwards() -> None:
    weights = _weights()
    assert weights[list(OVAL)].max() == 0
    assert weights[[*NOSE, *MOUTH]].min() == 1
    assert weights.min() >= 0
    assert weights.max() <= 1
    np.testing.assert_allclose(weights, weights[face_mesh().mirror], atol=0.02)


def canonical(degrees: float) -> Points:
    """The canonical face as the camera sees it, its nose turned to the picture's right."""
    upright = face_mesh().vertices.astype(np.float64) * (1, -1, -1) * 10
    angle = np.radians(degrees)
    turn = [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
    return (upright @ np.array(turn).T + (300, 200, 0)).astype(np.float32)


@pytest.mark.parametrize("degrees", [-50, -20, 0, 10, 35])
def test_yaw_is_the_angle_of_the_turn(degrees: float) -> None:
    assert yaw(canonical(degrees)) == pytest.approx(degrees, abs=0.01)


FIVE = np.array([(80, 80), (120, 80), (100, 100), (85, 120), (115, 120)], np.float32)


@pytest.mark.parametrize("degrees", [-50, -20, 0, 35])
def test_a_mesh_that_is_turned_is_turned(degrees: float) -> None:
    assert angle_to_camera(canonical(degrees), FIVE) == pytest.approx(abs(degrees), abs=0.01)


def test_a_nose_outside_the_eyes_is_a_profile_whatever_the_mesh_says() -> None:
    aside = FIVE + np.array([(0, 0), (0, 0), (36, 0), (0, 0), (0, 0)], np.float32)
    assert angle_to_camera(canonical(0), aside) > 55
