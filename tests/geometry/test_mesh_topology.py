"""The canonical face, and what is reckoned on meshes of its topology."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.geometry import mesh_topology as topology
from engine.geometry.mesh_topology import (
    face_mesh,
    frontal_points,
    mesh_template,
    openness,
    rigid_fit,
    signed_areas,
    vertex_normals,
)
from engine.values import Points

RINGS = (
    *("OVAL", "INNER_LIPS", "OUTER_LIPS", "NOSTRILS"),
    *("LEFT_EYE", "RIGHT_EYE", "LEFT_LIDS", "RIGHT_LIDS"),
    *("LEFT_ORBIT", "RIGHT_ORBIT", "LEFT_BROW", "RIGHT_BROW"),
)
PAIRED = ("EYE", "LIDS", "ORBIT", "BROW")


def ring(name: str) -> list[int]:
    return list(getattr(topology, name))


def area(corners: NDArray[np.float32]) -> float:
    """Return the area of a polygon, positive if it turns from x towards y."""
    x, y = corners[:, 0], corners[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def rotation(seed: int) -> NDArray[np.float64]:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return np.asarray(turn * np.sign(np.linalg.det(turn)))


def test_the_canonical_face_is_a_closed_sheet_of_triangles() -> None:
    mesh = face_mesh()
    assert mesh.vertices.shape == (468, 3)
    assert mesh.triangles.shape == (898, 3)
    assert set(np.unique(mesh.triangles)) == set(range(468))
    pairs = mesh.triangles[:, [(0, 1), (1, 2), (2, 0)]].reshape(-1, 2)
    edges, uses = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    assert set(uses) == {1, 2}
    # Its rim is the oval, and nothing else.
    assert set(edges[uses == 1].ravel()) == set(topology.OVAL)
    # Neighbours wind alike: each shared edge is walked once in either direction.
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_every_vertex_has_its_twin_on_the_other_side() -> None:
    mesh = face_mesh()
    np.testing.assert_array_equal(mesh.mirror[mesh.mirror], np.arange(468))
    mirrored = mesh.vertices[mesh.mirror] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, mesh.vertices, atol=0.05)
    on_axis = np.flatnonzero(mesh.mirror == np.arange(468))
    assert np.abs(mesh.vertices[on_axis, 0]).max() < 0.05


def test_seen_from_the_front_triangles_and_normals_face_the_camera() -> None:
    points = frontal_points(face_mesh())
    areas = signed_areas(points[face_mesh().triangles, :2])
    assert (areas > 0).mean() > 0.95
    normals = vertex_normals(points, face_mesh())
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert normals[[1, 4, 151, 50, 280], 2].min() > 0.4
    # With z away from the camera they point into the head.
    assert normals[454, 0] < -0.3 < 0.3 < normals[234, 0]
    assert normals[152, 1] < 0 < normals[10, 1]


def test_normals_turn_with_the_head() -> None:
    points = frontal_points(face_mesh())
    normals = vertex_normals(points, face_mesh())
    turn = rotation(1)
    turned = vertex_normals((points @ turn.T * 7 + 3).astype(np.float32), face_mesh())
    np.testing.assert_allclose(turned, normals @ turn.T, atol=1e-3)


def test_normals_of_a_flat_mesh_are_finite() -> None:
    assert np.isfinite(vertex_normals(np.zeros((468, 3), np.float32), face_mesh())).all()
    sheet = frontal_points(face_mesh()) * np.array((1, 1, 0), np.float32)
    normals = vertex_normals(sheet, face_mesh())
    assert np.abs(normals[:, :2]).max() < 1e-6


@pytest.mark.parametrize("name", RINGS)
def test_a_ring_goes_around_its_region_once(name: str) -> None:
    found = ring(name)
    assert len(set(found)) == len(found)
    points = frontal_points(face_mesh())[found, :2]
    around = np.arctan2(*(points - points.mean(axis=0)).T[::-1])
    steps = (np.diff(np.append(around, around[0])) + np.pi) % (2 * np.pi) - np.pi
    assert abs(steps.sum()) == pytest.approx(2 * np.pi, abs=1e-3)
    # Neither back nor forth: neighbours in the list are neighbours in the face.
    if "BROW" not in name:
        assert len({bool(step > 0) for step in steps}) == 1


@pytest.mark.parametrize("name", PAIRED)
def test_left_and_right_are_the_picture_s_and_mirror_each_other(name: str) -> None:
    left, right = ring(f"LEFT_{name}"), ring(f"RIGHT_{name}")
    assert set(face_mesh().mirror[left]) == set(right)
    points = frontal_points(face_mesh())
    assert points[left, 0].max() < 0.5 < points[right, 0].min()


def test_regions_lie_within_each_other() -> None:
    points = frontal_points(face_mesh())
    for side in ("LEFT", "RIGHT"):
        sizes = [abs(area(points[ring(f"{side}_{name}")])) for name in ("EYE", "LIDS", "ORBIT")]
        assert sizes == sorted(sizes)
    assert abs(area(points[ring("INNER_LIPS")])) < abs(area(points[ring("OUTER_LIPS")]))
    for name in RINGS[1:]:
        assert not set(ring(name)) & set(topology.OVAL)


def test_the_template_holds_the_face_and_an_open_jaw() -> None:
    template = mesh_template()
    points = np.array(template.points)
    np.testing.assert_allclose(points, frontal_points(face_mesh())[:, :2], atol=1e-7)
    assert len(template.points) == 468
    assert points.min() > 0.05
    assert points[:, 1].max() < 0.9
    # Upright: eyes above nose above mouth, the left eye at the left.
    assert points[33, 1] < points[4, 1] < points[13, 1] < points[152, 1]
    assert points[33, 0] < points[263, 0]


def test_the_nose_is_nearer_to_the_camera_than_the_cheeks() -> None:
    points = frontal_points(face_mesh())
    assert points[4, 2] < points[[50, 280, 234, 454], 2].min()


@pytest.mark.parametrize("seed", range(5))
def test_a_rigid_fit_finds_the_similarity_that_was_used(seed: int) -> None:
    points = face_mesh().vertices
    rng = np.random.default_rng(seed)
    turn, scale, shift = rotation(seed), rng.uniform(0.1, 20), rng.normal(scale=50, size=3)
    moved = points @ turn.T * scale + shift
    fitted = rigid_fit(points, moved.astype(np.float32))
    assert fitted.shape == (3, 4)
    np.testing.assert_allclose(fitted[:, :3], scale * turn, atol=1e-3 * scale)
    np.testing.assert_allclose(points @ fitted[:, :3].T + fitted[:, 3], moved, atol=1e-3 * scale)


def test_a_rigid_fit_never_mirrors_and_is_the_best() -> None:
    points = face_mesh().vertices
    mirrored = points * np.array((-1, 1, 1), np.float32)
    assert np.linalg.det(rigid_fit(points, mirrored)[:, :3]) > 0
    rng = np.random.default_rng(0)
    noisy = (points + rng.normal(size=points.shape)).astype(np.float32)
    best = rigid_fit(points, noisy)

    def error(fit: NDArray[np.float64]) -> float:
        return float(((points @ fit[:, :3].T + fit[:, 3] - noisy) ** 2).sum())

    for _ in range(20):
        turn = rotation(int(rng.integers(1000)))
        u, _, vt = np.linalg.svd(np.eye(3) + 0.02 * (turn - turn.T))
        other = np.column_stack(
            [best[:, :3] @ (u @ vt), best[:, 3] + rng.normal(scale=0.02, size=3)]
        )
        assert error(best) <= error(other)
        assert error(best) <= error(best * np.array((1.01, 1.01, 1.01, 1)))


def test_openness_is_height_over_width() -> None:
    points: Points = np.zeros((468, 3), np.float32)
    points[33], points[133] = (0, 0, 5), (10, 0, -5)
    for upper, lower in topology.LEFT_EYE_GAP:
        points[upper], points[lower] = (5, -2, 9), (5, 1, -9)
    assert openness(points, topology.LEFT_EYE_GAP, (33, 133)) == pytest.approx(0.3)
    assert openness(points * 4, topology.LEFT_EYE_GAP, (33, 133)) == pytest.approx(0.3)
    assert openness(points[:, :2], topology.LEFT_EYE_GAP, (33, 133)) == pytest.approx(0.3)
    assert np.isfinite(openness(points * 0, topology.LEFT_EYE_GAP, (33, 133)))


@pytest.mark.parametrize(
    ("gap", "lids"),
    [
        (topology.LEFT_EYE_GAP, topology.LEFT_EYE),
        (topology.RIGHT_EYE_GAP, topology.RIGHT_EYE),
        (topology.MOUTH_GAP, topology.INNER_LIPS),
    ],
)
def test_gaps_go_from_the_upper_edge_down_to_the_lower(
    gap: tuple[tuple[int, int], ...], lids: tuple[int, ...]
) -> None:
    points = frontal_points(face_mesh())
    for upper, lower in gap:
        assert {upper, lower} <= set(lids)
        assert points[upper, 1] < points[lower, 1] + 1e-6
        assert abs(points[upper, 0] - points[lower, 0]) < 0.01
