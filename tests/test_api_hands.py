"""A hand before a face survives a whole swap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.api import Engine
from engine.compose.occlusion import hand_silhouette
from engine.faces.hands import HandFinder, MediaPipeHand
from engine.faces.palms import BlazePalm
from engine.media.decode import read_image
from engine.pixels.planes import region_bytes
from engine.runtime.session import Session
from engine.values import Bytes, Rect
from engine.weights.weight_store import WeightStore
from tests.footage import asset, write_png
from tests.hands import yawn


def whole(path: Path) -> Bytes:
    frame = read_image(path)
    return region_bytes(frame, Rect(0, 0, *frame.size))


@pytest.mark.slow
def test_fingers_before_a_mouth_are_the_target_s(tmp_path: Path) -> None:
    store = WeightStore()
    finder = HandFinder(
        BlazePalm(Session(store.path("palm_detection"))),
        MediaPipeHand(Session(store.path("hand_landmark"))),
    )
    target = write_png(tmp_path / "target.png", yawn())
    result = tmp_path / "result.png"
    with Engine(device="cpu") as warm:
        warm.swap(
            asset("P003"),
            target,
            result,
            face_selector_mode="many",
            pixel_boost="256x256",
            content_check=False,
        )
        faces = warm.faces(target).faces
    before, after = whole(target).astype(int), whole(result).astype(int)
    (hand,) = finder.find(read_image(target), faces)
    height, width = before.shape[:2]
    covered = hand_silhouette(hand.points, max(height, width))[:height, :width]
    changed = np.abs(after - before).max(axis=2)
    box = faces[0].box
    on_face = np.zeros((height, width), bool)
    on_face[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = True
    # A good part of the hand lies over the face, and the rest of the face is another's.
    assert (covered[on_face] > 0.99).mean() > 0.05
    assert changed[covered > 0.99].max() <= 2
    assert changed[on_face & (covered == 0)].mean() > 5
