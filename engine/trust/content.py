"""Content check: explicit sources and targets are refused, and no output is kept.

The network is Yahoo's open_nsfw, a classifier of pornographic pictures. It does not detect other
harmful content, and it makes errors in both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import ContentBlocked
from engine.pixels.planes import thumbnail
from engine.values import Bytes, Frame

CLASSIFIER: Final = "open_nsfw"  # the embedded network

# According to the authors of open_nsfw, a score below 0.2 means safe and above 0.8 explicit, each
# with high probability. Beaches and sports lie between; if they were refused, users would turn the
# check off.
LIMIT = 0.8

SAMPLE_SECONDS = 1.0  # seconds of video between two samples
MAX_PREVIEWED = 32  # most frames of a video that are checked before the work begins

_RESIZED, _SIDE = 256, 224
_BORDER = (_RESIZED - _SIDE) // 2
_MEAN_BGR = np.array([104, 117, 123], np.float32)


class Classifier(Protocol):
    """Network with input (n, 224, 224, 3), BGR minus mean, and output (n, 2), safe and explicit."""

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]: ...


class ContentCheck:
    """Content check of the frames of one source or target.

    Attributes:
        highest: highest score so far, from 0 (safe) to 1 (explicit); None before the first frame.
        checked: number of frames that were scored.
        previewed: number of these that `preview` scored.
    """

    def __init__(self, classifier: Classifier, name: str) -> None:
        self.highest: float | None = None
        self.checked = 0
        self.previewed = 0
        self._classifier = classifier
        self._name = name

    def check_frame(self, frame: Frame) -> float:
        """Return the score of one frame, from 0 (safe) to 1 (explicit).

        Raises:
            ContentBlocked: the score reaches `LIMIT`.
        """
        score = explicit_score(thumbnail(frame, (_RESIZED, _RESIZED)), self._classifier)
        self.checked += 1
        self.highest = score if self.highest is None else max(self.highest, score)
        if score >= LIMIT:
            raise ContentBlocked(
                f"The content check refuses {self._name}: it scores {score:.2f} as explicit, and "
                f"{LIMIT} is the limit. Nothing was written."
            )
        return score

    def add_earlier(self, highest: float | None, checked: int) -> None:
        """Add the results of frames that were checked by an earlier run."""
        self.checked += checked
        scores = [score for score in (self.highest, highest) if score is not None]
        self.highest = max(scores, default=None)

    def preview(self, frames: Iterable[Frame]) -> None:
        """Check frames before the work on the whole video begins.

        Raises:
            ContentBlocked: a score reaches `LIMIT`.
        """
        for frame in frames:
            self.check_frame(frame)
            self.previewed += 1

    def guard(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames; check the first and then one every `SAMPLE_SECONDS`.

        Raises:
            ContentBlocked: a score reaches `LIMIT`; the frame is not yielded.
        """
        due: float | None = None
        for frame in frames:
            now = float(frame.pts * frame.time_base)
            if due is None or now >= due:
                self.check_frame(frame)
                due = now + SAMPLE_SECONDS
            yield frame


def explicit_score(picture: Bytes, classifier: Classifier) -> float:
    """Return how explicit a picture (256, 256, 3), uint8 RGB, is: 0 (safe) to 1 (explicit).

    The whole picture is resized to the square. The network gets the central 224 x 224 pixels, as in
    its authors' preprocessing.
    """
    middle = picture[_BORDER : _BORDER + _SIDE, _BORDER : _BORDER + _SIDE, ::-1]
    batch = (middle.astype(np.float32) - _MEAN_BGR)[None]
    return float(classifier.run(batch)[0][0, 1])
