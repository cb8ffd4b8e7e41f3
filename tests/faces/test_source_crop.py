"""The face to put in, cut out of whatever picture it is in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.faces.motion import map_face
from engine.faces.source_crop import cut_portrait
from engine.geometry import affine
from engine.pixels.align import warp_crop
from engine.values import Bytes, Face, Landmarks
from tests import people
from tests.faces.pictures import frame_of


def scene(width: int, height: int) -> Bytes:
    """Slow waves of colour: what is cut and shrunk can be told where it came from."""
    xs, ys = np.meshgrid(np.arange(width) / 90, np.arange(height) / 70)
    waves = np.stack([np.sin(xs), np.cos(ys), np.sin(xs + ys)], axis=-1)
    picture: Bytes = np.rint(127 + 100 * waves).astype(np.uint8)
    return picture


def face_at(left: float, top: float, size: float) -> Face:
    face = people.face(left, top, size)
    marks = Landmarks("2d106", np.full((106, 2), (left, top), np.float32))
    return replace(face, landmarks=marks)


@pytest.mark.parametrize(
    ("left", "top", "size", "shape"),
    [
        (700, 500, 100, (300, 300)),  # a small face in a large picture
        (0, 0, 100, (200, 200)),  # in a corner: there is no more
        (100, 50, 900, (1000, 1200)),  # a face that fills the picture
    ],
)
def test_a_portrait_is_a_face_and_what_is_around_it(
    left: float, top: float, size: float, shape: tuple[int, int]
) -> None:
    picture = scene(1200, 1000)
    portrait = cut_portrait("somebody", frame_of(picture), face_at(left, top, size))
    assert portrait.name == "somebody"
    assert np.abs(np.subtract(portrait.pixels.shape[:2], shape)).max() <= 2
    y, x = np.rint(portrait.face.detection.points[2]).astype(int)[::-1]
    there = np.rint(face_at(left, top, size).detection.points[2]).astype(int)
    assert np.abs(portrait.pixels[y, x] * 255 - picture[there[1], there[0]]).max() < 3


def test_a_vast_face_is_shrunk_with_all_that_is_known_of_it() -> None:
    picture, face = scene(4000, 3600), face_at(300, 200, 3200)
    portrait = cut_portrait("somebody", frame_of(picture), face)
    assert max(portrait.pixels.shape) <= 3072
    assert portrait.face.box.width == pytest.approx(1600, abs=1)
    # An aligned crop of the portrait is that of the picture.
    to_crop = affine.compose(affine.shift(-500, -400), affine.rescale(1 / 20))
    whole = warp_crop((picture / np.float32(255)).astype(np.float32), to_crop, 128)
    moved = affine.fit_similarity(portrait.face.detection.points, face.detection.points)
    part = warp_crop(portrait.pixels, affine.compose(moved, to_crop), 128)
    assert np.abs(whole - part).max() < 0.02


def test_a_face_is_placed_with_its_box_its_mesh_and_its_marks() -> None:
    face = face_at(10, 20, 40)
    depth = np.linspace(-5, 5, 468, dtype=np.float32)
    mesh = face.mesh.points.copy()
    mesh[:, 2] = depth
    face = replace(face, mesh=replace(face.mesh, points=mesh))
    half = map_face(face, affine.compose(affine.shift(-10, -20), affine.rescale(0.5)))
    assert (half.box.width, half.box.height) == (20, 20)
    np.testing.assert_allclose(half.mesh.points[:, 2], depth / 2, atol=1e-6)
    assert half.landmarks is not None
    np.testing.assert_allclose(half.landmarks.points, -0.25)
    np.testing.assert_allclose(
        half.detection.points, (face.detection.points - (10, 20)) / 2 - 0.25, atol=1e-5
    )
