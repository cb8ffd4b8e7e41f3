"""Meshes and maps on grids: exact where they can be, harmless where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.pixels.raster import (
    convex_hull,
    displace,
    draw_triangles,
    fill_polygons,
    inside_distance,
    interpolate,
    sample_map,
)

SIZE = 64
SQUARE = np.array([(10, 12), (50, 12), (50, 44), (10, 44)], np.float32)


def random_mesh(seed: int, size: int = SIZE) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return a grid of jittered vertices, two triangles to a cell, well inside the picture."""
    rng = np.random.default_rng(seed)
    across = np.linspace(6, size - 7, 7)
    points = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
    points += rng.uniform(-2, 2, points.shape)
    corner = (np.arange(6)[:, None] * 7 + np.arange(6)).reshape(-1, 1)
    halves = np.array([(0, 1, 7), (1, 8, 7)])
    triangles = (corner + halves[:, None]).reshape(-1, 3)
    return points.astype(np.float32), triangles.astype(np.intp)


def linear(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Two linear functions of the plane."""
    x, y = points[:, 0], points[:, 1]
    return np.stack([3 + 0.5 * x - 0.25 * y, 40 - x + 2 * y], axis=1).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_linear_functions_are_spread_exactly(seed: int) -> None:
    points, triangles = random_mesh(seed)
    ids = draw_triangles(points, triangles, np.arange(len(triangles)), SIZE)
    spread = interpolate(ids, points, triangles, linear(points))
    ys, xs = np.nonzero(ids >= 0)
    expected = linear(np.stack([xs, ys], axis=1).astype(np.float32))
    inner = (xs > 10) & (xs < SIZE - 11) & (ys > 10) & (ys < SIZE - 11)
    assert inner.sum() > 1000
    # A triangle owns its outline too, up to a pixel outside, and is not continued there.
    np.testing.assert_allclose(spread[ys, xs][inner], expected[inner], atol=1.5)
    assert np.median(np.abs(spread[ys, xs] - expected)[inner]) < 1e-4
    assert (ids[8 : SIZE - 9, 8 : SIZE - 9] >= 0).all()


def test_beyond_the_mesh_all_is_zero() -> None:
    points, triangles = random_mesh(0)
    ids = draw_triangles(points, triangles, np.arange(len(triangles)), SIZE)
    spread = interpolate(ids, points, triangles, linear(points) + 10)
    assert (ids[:3] == -1).all()
    assert (spread[ids < 0] == 0).all()
    assert spread.shape == (SIZE, SIZE, 2)
    assert spread.dtype == np.float32


@pytest.mark.parametrize("nearer", [0, 1])
def test_what_is_drawn_later_covers(nearer: int) -> None:
    points = np.array([(5, 5), (55, 5), (5, 55), (30, 5), (55, 55)], np.float32)
    triangles = np.array([(0, 1, 2), (0, 3, 4)], np.intp)
    order = np.array([1 - nearer, nearer])
    ids = draw_triangles(points, triangles, order, SIZE)
    assert ids[15, 20] == nearer


@pytest.mark.parametrize("flatness", [0.0, 1e-6, 1e-4, 1e-2, 1.0])
def test_values_stay_within_their_triangle_s_corners(flatness: float) -> None:
    points = np.array([(5, 20), (60, 20 + flatness), (30, 20), (30, 50)], np.float32)
    points[2, 1] += 1.5 * flatness
    triangles = np.array([(0, 1, 2), (0, 1, 3)], np.intp)
    values = np.array([[1.0], [2.0], [5.0], [-3.0]], np.float32)
    for order in (np.array([0, 1]), np.array([1, 0])):
        ids = draw_triangles(points, triangles, order, SIZE)
        spread = interpolate(ids, points, triangles, values)
        assert np.isfinite(spread).all()
        for number, (low, high) in enumerate([(1, 5), (-3, 2)]):
            assert (spread[ids == number] >= low).all()
            assert (spread[ids == number] <= high).all()


def test_a_triangle_seen_edge_on_takes_its_mean() -> None:
    points = np.array([(10, 20), (50, 20), (30, 20)], np.float32)
    triangles = np.array([(0, 1, 2)], np.intp)
    ids = draw_triangles(points, triangles, np.array([0]), SIZE)
    assert (ids == 0).any()
    spread = interpolate(ids, points, triangles, np.array([[0.0], [3.0], [6.0]], np.float32))
    np.testing.assert_allclose(spread[ids == 0], 3.0)


def test_a_triangle_partly_outside_is_drawn_as_far_as_it_goes() -> None:
    points = np.array([(-40, 10), (200, 10), (30, 300)], np.float32)
    triangles = np.array([(0, 1, 2)], np.intp)
    ids = draw_triangles(points, triangles, np.array([0]), SIZE)
    assert (ids[12:, 30] == 0).all()
    spread = interpolate(ids, points, triangles, points)
    np.testing.assert_allclose(spread[40, 30], (30, 40), atol=1e-3)


def test_a_polygon_has_its_area_and_smooth_edges() -> None:
    mask = fill_polygons([SQUARE], SIZE)
    assert mask.dtype == np.float32
    assert mask[14:43, 12:49].min() == 1
    assert mask[:9].max() == mask[:, 53:].max() == 0
    diamond = np.array([(32, 8.3), (55.7, 32), (32, 55.7), (8.3, 32)], np.float32)
    filled = fill_polygons([diamond], SIZE)
    # What is drawn reaches half a sample, an eighth of a pixel, beyond the outline.
    assert filled.sum() == pytest.approx(2 * 23.8**2, rel=0.02)
    assert np.logical_and(filled > 0, filled < 1).sum() > 40


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("middle", [(32.0, 30.0), (30.4, 31.7)])
def test_the_scale_keeps_edges_of_pixels_in_place(
    scale: float, middle: tuple[float, float]
) -> None:
    """A shape's middle stays at the same share of the grid, whose edges are at -0.5."""
    around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ellipse = np.stack([18 * np.cos(around), 13 * np.sin(around)], axis=1) + middle
    grid = round(SIZE * scale)
    mask = fill_polygons([ellipse.astype(np.float32)], grid, scale)
    ys, xs = np.mgrid[:grid, :grid]
    found = np.array([(xs * mask).sum(), (ys * mask).sum()]) / mask.sum()
    np.testing.assert_allclose(found, (np.array(middle) + 0.5) * scale - 0.5, atol=0.15)
    grown = np.pi * (18 * scale + 0.125) * (13 * scale + 0.125)
    assert mask.sum() == pytest.approx(grown, rel=0.02)


def test_a_hull_fills_what_a_ring_leaves_open() -> None:
    notched = np.array([(10, 10), (30, 28), (50, 10), (50, 50), (10, 50)], np.float32)
    shuffled = notched[[3, 0, 4, 1, 2]]
    whole = fill_polygons([notched[[0, 2, 3, 4]]], SIZE)
    np.testing.assert_allclose(fill_polygons([convex_hull(shuffled)], SIZE), whole, atol=1e-6)
    assert fill_polygons([notched], SIZE)[14, 30] == 0
    assert fill_polygons([convex_hull(shuffled)], SIZE)[14, 30] == 1


def test_a_third_coordinate_is_not_looked_at() -> None:
    deep = np.column_stack([SQUARE, [5.0, -7, 100, 3]]).astype(np.float32)
    np.testing.assert_array_equal(fill_polygons([deep], SIZE), fill_polygons([SQUARE], SIZE))
    np.testing.assert_array_equal(
        fill_polygons([convex_hull(deep)], SIZE), fill_polygons([convex_hull(SQUARE)], SIZE)
    )


def test_distances_count_from_the_nearest_outside_pixel() -> None:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[10:31, 20:41] = 1
    distance = inside_distance(mask)
    assert distance[20, 30] == pytest.approx(11)
    assert distance[10, 25] == pytest.approx(1)
    assert distance[9, 25] == distance[0, 0] == 0
    assert inside_distance(mask * 0.49).max() == 0


def test_a_map_samples_between_pixels_and_finds_nothing_outside() -> None:
    ys, xs = np.mgrid[:30, :40].astype(np.float32)
    texture = np.stack([xs, ys, xs + ys, np.ones_like(xs)], axis=-1)
    rng = np.random.default_rng(0)
    map_x = rng.uniform(0, 39, (SIZE, SIZE)).astype(np.float32)
    map_y = rng.uniform(0, 29, (SIZE, SIZE)).astype(np.float32)
    found = sample_map(texture, map_x, map_y)
    # OpenCV places samples on a grid of 1/32 pixel.
    expected = np.stack([map_x, map_y, map_x + map_y, np.ones_like(map_x)], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1 / 30)
    assert (sample_map(texture, map_x + 100, map_y) == 0).all()


def test_displacing_takes_pixels_from_there_and_repeats_the_border() -> None:
    ys, xs = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    picture = np.stack([xs, ys, xs - ys], axis=-1)
    by = np.zeros((SIZE, SIZE, 2), np.float32)
    np.testing.assert_array_equal(displace(picture, by), picture)
    by[..., 0], by[..., 1] = 3, -2.5
    moved = displace(picture, by)
    np.testing.assert_allclose(moved[20, 30], (33, 17.5, 15.5), atol=1e-4)
    np.testing.assert_allclose(moved[20, SIZE - 1, 0], SIZE - 1, atol=1e-4)
    np.testing.assert_allclose(moved[0, 30, 1], 0, atol=1e-4)
