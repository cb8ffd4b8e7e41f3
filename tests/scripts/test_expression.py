"""The modes of expression: motion that is added to made faces is found again."""

from __future__ import annotations

import build_expression as script
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.geometry.mesh_topology import face_mesh, frontal_points

STEPS = np.linspace(-1, 1, 16)


def planted(index: int) -> NDArray[np.float64]:
    """Return a symmetric direction of unit length that moves one vertex and its twin down."""
    direction = np.zeros((468, 3))
    direction[[index, face_mesh().mirror[index]], 1] = 1
    return direction / np.linalg.norm(direction)


def made(expression: float, identity: float, seed: int = 0) -> list[script.Shown]:
    """Persons whose chins move by `expression`, and whose chins and noses differ by `identity`."""
    rng = np.random.default_rng(seed)
    chin, nose, brow = planted(152), planted(4), planted(70)
    persons = []
    for own, other in rng.normal(scale=identity, size=(12, 2)):
        rest = frontal_points(face_mesh()) + own * chin + other * nose
        done = rest + (expression * STEPS)[:, None, None] * chin
        done += (0.1 * expression * rng.permutation(STEPS))[:, None, None] * brow
        persons.append(script.Shown(done, rest, rest))
    return persons


def test_modes_are_what_each_person_does_and_not_how_persons_differ() -> None:
    found = script.learn(made(0.02, 0.05), count=2)
    assert found.modes.dtype == found.share.dtype == np.float32
    for mode, direction in zip(found.modes, (planted(152), planted(70)), strict=True):
        assert float((mode * direction).sum()) == pytest.approx(1, abs=1e-3)
    assert np.abs(found.modes * planted(4)).max() < 1e-3
    rows = found.modes.reshape(2, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(2), atol=1e-5)


@pytest.mark.parametrize(("expression", "identity"), [(0.02, 0.002), (0.02, 0.02), (0.02, 0.1)])
def test_the_share_is_expression_s_part_of_a_difference(expression: float, identity: float) -> None:
    found = script.learn(made(expression, identity), count=2)
    moved = float((STEPS**2).sum()) / 17 * expression**2
    expected = moved / (moved + 2 * identity**2)
    assert found.share[0] == pytest.approx(expected, abs=0.15)


def test_mirror_images_count_as_expressions() -> None:
    one_sided = np.zeros((468, 3))
    one_sided[61, 0] = 0.02
    rest = frontal_points(face_mesh()).astype(np.float64)
    done = rest + STEPS[:, None, None] * one_sided
    found = script.learn([script.Shown(done, rest, rest)] * 2, count=2)
    twin = face_mesh().mirror[61]
    strength = np.abs(found.modes[:, [61, twin], 0]) ** 2
    np.testing.assert_allclose(strength.sum(axis=0), 1, atol=1e-4)


def test_a_file_s_bytes_are_its_values() -> None:
    found = script.learn(made(0.02, 0.02), count=3)
    assert found.to_bytes() == found.to_bytes()
    again = script.Expression.from_bytes(found.to_bytes())
    assert again.to_bytes() == found.to_bytes()
    assert found.distance(again) == 0
    turned = script.Expression(-found.modes, found.share)
    assert found.distance(turned) == 0
    assert found.distance(script.Expression(found.modes, found.share + 0.5)) == pytest.approx(0.5)
    assert found.distance(script.Expression(found.modes[::-1], found.share)) > 1
