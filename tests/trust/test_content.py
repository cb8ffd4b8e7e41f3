"""The content check: what reaches the network, and what its scores lead to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ContentBlocked
from engine.runtime.session import Session
from engine.trust.content import THRESHOLD, ContentCheck
from engine.values import Bytes

NETWORK = Path(__file__).parents[2] / "weights" / "open_nsfw.onnx"


class Classifier:
    """Answers with the scores it was given, and keeps what it saw."""

    def __init__(self, *scores: float) -> None:
        self.seen: list[NDArray[np.float32]] = []
        self._scores = iter(scores)

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        (batch,) = inputs
        self.seen.append(batch)
        scores = [next(self._scores) for _ in batch]
        return [np.array([(1 - score, score) for score in scores], np.float32)]


def plain(red: int, green: int, blue: int, size: tuple[int, int] = (90, 60)) -> Bytes:
    return np.full((size[1], size[0], 3), (red, green, blue), np.uint8)


def test_the_network_sees_bgr_less_its_mean() -> None:
    classifier = Classifier(0.1)
    ContentCheck(classifier).scores([plain(10, 20, 30)])
    (batch,) = classifier.seen
    assert batch.shape == (1, 224, 224, 3)
    assert batch.dtype == np.float32
    assert np.allclose(batch[0, 0, 0], [30 - 104, 20 - 117, 10 - 123])


def test_the_network_sees_the_middle() -> None:
    picture = plain(0, 0, 0, (256, 256))
    picture[16:240, 16:240] = 255
    classifier = Classifier(0.1)
    ContentCheck(classifier).scores([picture])
    assert (classifier.seen[0] > 100).all()


@pytest.mark.parametrize("size", [(20, 900), (1920, 1080), (1, 1)])
def test_pictures_of_any_shape_are_scored(size: tuple[int, int]) -> None:
    assert ContentCheck(Classifier(0.25)).scores([plain(1, 2, 3, size)]) == [0.25]


def test_pictures_are_drawn_a_few_at_a_time() -> None:
    classifier = Classifier(*np.linspace(0, 0.7, 11))

    def pictures() -> Iterator[Bytes]:
        for index in range(11):
            assert index <= sum(map(len, classifier.seen)) + 4
            yield plain(index, 0, 0)

    scores = ContentCheck(classifier).scores(pictures())
    assert np.allclose(scores, np.linspace(0, 0.7, 11), atol=1e-6)


def test_the_highest_score_and_the_count_are_reported() -> None:
    check = ContentCheck(Classifier(0.1, 0.5, 0.2))
    highest, count = check.highest("the target", [plain(0, 0, 0)] * 3)
    assert highest == pytest.approx(0.5)
    assert count == 3


def test_no_picture_at_all_is_no_reason_to_refuse() -> None:
    assert ContentCheck(Classifier()).highest("the target", []) == (0.0, 0)


def test_one_picture_at_the_limit_is_refused_and_named() -> None:
    check = ContentCheck(Classifier(0.1, THRESHOLD + 1e-3))
    with pytest.raises(ContentBlocked, match=r"refuses film\.mp4.*0\.80.*Nothing was written"):
        check.highest("film.mp4", [plain(0, 0, 0)] * 2)


def test_the_embedded_network_calls_people_and_plain_colours_safe() -> None:
    check = ContentCheck(Session(NETWORK, threads=1))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert max(check.scores([plain(200, 160, 140), plain(30, 90, 160), noise])) < 0.5
