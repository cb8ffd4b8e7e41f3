from __future__ import annotations

import numpy as np

from engine.api import Engine
from engine.doctor.synthetic_face import SIDE, draw_synthetic_face
from engine.options import AnalysisOptions
from engine.pixels.planes import as_frame


def test_the_drawn_face_is_one_to_the_networks() -> None:
    picture = draw_synthetic_face()
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    with Engine(device="cpu") as engine:
        analyser = engine._networks.on(engine._parse({})[0].compute()).analyser(
            {"embedding"}, AnalysisOptions(detector="yunet")
        )
        (face,) = analyser.analyse_picture(as_frame(picture))
    assert face.score > 0.8
    assert face.mesh.score > 0.9
    # The eyes are drawn above the middle, the mouth below it.
    left, right, nose, *mouth = face.detection.points
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)


def test_it_is_drawn_alike_each_time() -> None:
    assert np.array_equal(draw_synthetic_face(), draw_synthetic_face())
