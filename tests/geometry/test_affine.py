import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.geometry import affine
from engine.values import Affine

POINTS = np.array([[3.0, 4.0], [40.0, 6.0], [20.0, 30.0], [8.0, 44.0], [35.0, 45.0]])


def similarity(scale: float, angle: float, x: float, y: float) -> Affine:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


@settings(deadline=None)  # a slow machine is no failure
@given(st.floats(0.01, 100), st.floats(-3.1, 3.1), st.floats(-5000, 5000), st.floats(-5000, 5000))
def test_an_exact_similarity_is_found_again(scale: float, angle: float, x: float, y: float) -> None:
    truth = similarity(scale, angle, x, y)
    found = affine.fit_similarity(POINTS, affine.apply(truth, POINTS))
    np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-7 * max(1, scale))
    assert affine.scale_of(found) == pytest.approx(scale)
    assert affine.angle_of(found) == pytest.approx(angle, abs=1e-9)


def test_a_rotation_keeps_its_centre_and_turns_x_towards_y() -> None:
    turned = affine.rotate(90, 10, 20)
    np.testing.assert_allclose(affine.apply(turned, np.array([[10.0, 20.0]])), [[10, 20]])
    np.testing.assert_allclose(affine.apply(turned, np.array([[13.0, 20.0]])), [[10, 23]])
    assert affine.angle_of(affine.rotate(30, 5, 6)) == pytest.approx(np.pi / 6)


def test_a_mirrored_target_is_not_answered_by_a_reflection() -> None:
    found = affine.fit_similarity(POINTS, POINTS * [-1, 1])
    assert np.linalg.det(found[:, :2]) > 0


def test_no_nearby_similarity_fits_better() -> None:
    rng = np.random.default_rng(0)
    target = POINTS * 1.7 + rng.normal(size=POINTS.shape)
    weights = np.array([1.0, 2.0, 0.5, 3.0, 1.0])
    best = affine.fit_similarity(POINTS, target, weights)

    def loss(a: Affine) -> float:
        return float(weights @ ((affine.apply(a, POINTS) - target) ** 2).sum(axis=1))

    for step in similarity(1, 0, 0, 0) * 0, *(rng.normal(size=(20, 4)) * 1e-3):
        if step.shape == (4,):
            turned = affine.compose(best, similarity(1 + step[0], step[1], step[2], step[3]))
            assert loss(turned) >= loss(best)


def test_a_weight_of_zero_leaves_a_point_out() -> None:
    target = affine.apply(similarity(2, 0.5, 1, 2), POINTS)
    spoiled = target.copy()
    spoiled[2] += 1000
    found = affine.fit_similarity(POINTS, spoiled, [1, 1, 0, 1, 1])
    np.testing.assert_allclose(affine.apply(found, POINTS), target, atol=1e-9)


@pytest.mark.parametrize(
    ("source", "target", "weights", "said"),
    [
        (np.ones((5, 2)), POINTS, None, "coincide"),
        (np.full((5, 2), 3000.1), POINTS, None, "coincide"),
        (POINTS[:1], POINTS[:1], None, "at least two"),
        (POINTS, POINTS[:4], None, "two equal lists"),
        (POINTS * np.nan, POINTS, None, "finite"),
        (POINTS, POINTS, np.zeros(5), "one positive"),
        (POINTS, POINTS, np.ones(4), "as many weights"),
        (POINTS, POINTS, [1, 1, 0, 0, -1], "none negative"),
    ],
)
def test_degenerate_input_is_refused_with_its_reason(
    source: object, target: object, weights: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        affine.fit_similarity(source, target, weights)  # type: ignore[arg-type]


def test_inverting_and_composing_give_the_identity() -> None:
    a = similarity(0.3, 2.0, 17, -5)
    np.testing.assert_allclose(affine.compose(a, affine.invert(a)), affine.identity(), atol=1e-12)


def test_composition_goes_from_left_to_right() -> None:
    a, b = similarity(2, 0, 0, 0), affine.shift(1, 0)
    np.testing.assert_allclose(affine.apply(affine.compose(a, b), POINTS), POINTS * 2 + [1, 0])


def test_a_flat_map_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="cannot be inverted"):
        affine.invert(np.zeros((2, 3)))


def test_depth_takes_the_scale_and_the_dtype_stays() -> None:
    points = np.array([[1, 2, 3]], np.float32)
    moved = affine.apply(similarity(2, 1.0, 5, 5), points)
    assert moved.dtype == np.float32
    assert moved[0, 2] == pytest.approx(6)


def test_resampling_keeps_the_edges_of_the_picture() -> None:
    edges = np.array([[-0.5, -0.5], [9.5, 9.5]])
    np.testing.assert_allclose(affine.apply(affine.rescale(3), edges), [[-0.5, -0.5], [29.5, 29.5]])
