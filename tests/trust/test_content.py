"""The content check: the network's inputs, and the effect of its scores."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ContentBlocked
from engine.runtime.session import Session
from engine.trust.content import LIMIT, ContentCheck, explicit_score
from engine.values import Bytes, Colour, Frame, PixelFormat

NETWORK = Path(__file__).parents[2] / "weights" / "open_nsfw.onnx"
RGB = PixelFormat("gbrp", "rgb", 8)


class Classifier:
    """Returns the given scores, and keeps its inputs."""

    def __init__(self, *scores: float) -> None:
        self.seen: list[NDArray[np.float32]] = []
        self._scores = iter(scores)

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        (batch,) = inputs
        self.seen.append(batch)
        scores = [next(self._scores) for _ in batch]
        return [np.array([(1 - score, score) for score in scores], np.float32)]


def square(red: int, green: int, blue: int) -> Bytes:
    return np.full((256, 256, 3), (red, green, blue), np.uint8)


def frame(pts: int = 0, size: tuple[int, int] = (40, 30)) -> Frame:
    width, height = size
    planes = tuple(np.full((height, width), value, np.uint8) for value in (10, 20, 30))
    return Frame(0, pts, Fraction(1, 10), planes, RGB, Colour(matrix="rgb", full_range=True))


def test_the_network_sees_bgr_less_its_mean() -> None:
    classifier = Classifier(0.1)
    explicit_score(square(10, 20, 30), classifier)
    (batch,) = classifier.seen
    assert batch.shape == (1, 224, 224, 3)
    assert batch.dtype == np.float32
    assert np.allclose(batch, [30 - 104, 20 - 117, 10 - 123])


def test_the_network_sees_the_middle() -> None:
    picture = square(0, 0, 0)
    picture[16:240, 16:240] = 255
    classifier = Classifier(0.1)
    explicit_score(picture, classifier)
    assert (classifier.seen[0] > 100).all()


@pytest.mark.parametrize("size", [(20, 900), (1920, 1080), (2, 2)])
def test_frames_of_any_shape_are_looked_at_in_rgb(size: tuple[int, int]) -> None:
    classifier = Classifier(0.25)
    ContentCheck(classifier, "film").check_frame(frame(size=size))
    assert np.allclose(classifier.seen[0][0, 100, 100], [30 - 104, 20 - 117, 10 - 123], atol=1)


def test_the_highest_score_and_the_number_of_looks_are_kept() -> None:
    check = ContentCheck(Classifier(0.1, 0.5, 0.2), "film")
    assert check.highest is None
    for _ in range(3):
        check.check_frame(frame())
    assert check.highest == pytest.approx(0.5)
    assert check.checked == 3


def test_one_picture_at_the_limit_is_refused_and_named() -> None:
    check = ContentCheck(Classifier(0.1, LIMIT + 1e-3), "film.mp4")
    check.check_frame(frame())
    with pytest.raises(ContentBlocked, match=r"refuses film\.mp4.*0\.80.*Nothing was written"):
        check.check_frame(frame())


def test_a_video_is_looked_at_once_a_second_from_its_first_frame() -> None:
    classifier = Classifier(*[0.0] * 20)
    check = ContentCheck(classifier, "film")
    frames = [frame(pts) for pts in range(7, 52)]  # ten a second
    assert list(check.guard(frames)) == frames
    assert check.checked == 5


def test_a_preview_is_counted_apart_and_refuses() -> None:
    check = ContentCheck(Classifier(0.3, 0.1, 0.2, 0.9), "film.mp4")
    check.preview(iter([frame(), frame()]))
    assert (check.checked, check.previewed) == (2, 2)
    list(check.guard([frame()]))
    assert (check.checked, check.previewed) == (3, 2)
    assert check.highest == pytest.approx(0.3)
    with pytest.raises(ContentBlocked, match=r"film\.mp4"):
        check.preview([frame()])


def test_no_frame_passes_from_the_refused_one_on() -> None:
    check = ContentCheck(Classifier(0, 0, 0.9), "film")
    passed: list[Frame] = []
    with pytest.raises(ContentBlocked):
        passed.extend(check.guard(frame(pts) for pts in range(100)))
    assert [one.pts for one in passed] == list(range(20))


def test_the_embedded_network_calls_plain_colours_and_noise_safe() -> None:
    session = Session(NETWORK, threads=1)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for picture in (square(200, 160, 140), square(30, 90, 160), noise):
        assert explicit_score(picture, session) < 0.5
