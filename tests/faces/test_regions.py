import numpy as np
import pytest

from engine.faces.regions import (
    Region,
    interpolate_region,
    region_around_detection,
    region_around_known,
    region_around_mesh,
    regions_agree,
)
from engine.geometry import affine as maps
from engine.values import Affine, Face, Mesh


def turn(degrees: float, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> Affine:
    angle = np.radians(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def test_a_region_fills_its_crop() -> None:
    region = Region(100, 50, 40, 0.0)
    corners = np.array([[79.5, 29.5], [100.0, 50.0], [119.5, 69.5]])
    in_crop = maps.apply(region.to_crop(80), corners)
    np.testing.assert_allclose(in_crop, [[-1.5, -1.5], [39.5, 39.5], [78.5, 78.5]])


@pytest.mark.parametrize("degrees", [0, 35, 90, 178, -120])
def test_a_region_turns_and_moves_with_its_mesh(portrait_face: Face, degrees: float) -> None:
    motion = turn(degrees, 0.7, 30, -20)
    moved = Mesh(maps.apply(motion, portrait_face.mesh.points), 1.0)
    here, there = region_around_mesh(portrait_face.mesh), region_around_mesh(moved)
    assert there.side == pytest.approx(0.7 * here.side, rel=1e-4)
    turned_by = there.angle - here.angle - np.radians(degrees)
    assert np.exp(1j * turned_by) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(
        [there.x, there.y], maps.apply(motion, np.array([[here.x, here.y]]))[0], atol=0.05
    )


def test_the_face_is_upright_in_its_crop_and_fills_two_thirds(portrait_face: Face) -> None:
    region = region_around_mesh(portrait_face.mesh)
    points = maps.apply(region.to_crop(192), portrait_face.mesh.points)
    assert abs(points[33, 1] - points[263, 1]) < 6
    assert np.ptp(points[:, :2], axis=0).max() == pytest.approx(128, abs=1)


def test_detection_mesh_and_known_face_agree_on_the_region(portrait_face: Face) -> None:
    by_mesh = region_around_mesh(portrait_face.mesh)
    assert regions_agree(by_mesh, region_around_detection(portrait_face.detection), 0.25)
    assert regions_agree(by_mesh, region_around_known(portrait_face, portrait_face.detection), 1e-4)


def test_half_way_goes_the_short_way_round() -> None:
    middle = interpolate_region(Region(0, 0, 10, 3.0), Region(10, 20, 40, -3.0), 0.5)
    assert (middle.x, middle.y, middle.side) == pytest.approx((5, 10, 20))
    assert abs(np.cos(middle.angle) - np.cos(np.pi)) < 0.01
    ends = interpolate_region(Region(0, 0, 10, 1.0), Region(10, 20, 40, -3.0), 0.0)
    assert ends == Region(0, 0, 10, 1.0)


def test_regions_apart_or_of_other_size_disagree() -> None:
    region = Region(0, 0, 100, 0)
    assert regions_agree(region, Region(20, 0, 90, 1), 0.25)
    assert not regions_agree(region, Region(30, 0, 100, 0), 0.25)
    assert not regions_agree(region, Region(0, 0, 70, 0), 0.25)
