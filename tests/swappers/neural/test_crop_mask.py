"""A network's answer counts on the face and fades out before the crop ends."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.geometry.mesh_topology import OVAL
from engine.pixels.box_mask import box_mask
from engine.swappers.mesh.warp import MeshWarp
from engine.swappers.neural.crop_mask import face_mask
from tests.swappers.stage import Stage, aligned

SIZES = (128, 256, 384, 512, 768, 1024)


@pytest.mark.parametrize("size", SIZES)
def test_off_the_face_the_mask_is_empty(stage: Stage, size: int) -> None:
    target = aligned(MeshWarp(), stage.shot("P006"), size)
    mask = face_mask(target)
    contour = np.rint(target.mesh[list(OVAL), :2]).astype(np.int32)
    inside = cv2.fillPoly(np.zeros((size, size), np.uint8), [contour], 1)
    margin = np.ones((size // 64, size // 64), np.uint8)
    assert mask[cv2.dilate(inside, margin) == 0].max() < 0.01
    core = cv2.erode(inside, np.ones((size // 10, size // 10), np.uint8)) == 1
    assert mask[core].min() > 0.9
    assert (mask <= box_mask(size)).all()


def test_where_the_mesh_is_lost_the_box_is_left(stage: Stage) -> None:
    target = aligned(MeshWarp(), stage.shot("P006"), 128)
    lost = face_mask(replace(target, score=0.0))
    np.testing.assert_array_equal(lost, box_mask(128))
    lost[0, 0] = 1
    half = face_mask(replace(target, score=0.07))
    assert ((face_mask(target) <= half + 1e-6) & (half <= box_mask(128) + 1e-6)).all()


def test_a_mesh_that_is_half_trusted_has_half_a_say(stage: Stage) -> None:
    target = aligned(MeshWarp(), stage.shot("P006"), 256)
    off_the_face = (face_mask(target) == 0) & (box_mask(256) > 0.9)
    assert off_the_face.any()
    half = face_mask(replace(target, score=0.07))
    np.testing.assert_allclose(half[off_the_face], 0.5, atol=0.02)
