"""The content check: explicit material is refused, and no output of it is left behind.

The network is Yahoo's open_nsfw, a classifier of pornographic pictures. It knows nothing of other
harm and errs both ways; it is a fence, not a judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import ContentBlocked
from engine.pixels.planes import thumbnail
from engine.values import Bytes, Frame

# By the notes of open_nsfw's makers, a score below 0.2 means safe and above 0.8 means explicit,
# each with high probability. Beaches and sports lie between: refusing them would teach users to
# turn the check off.
LIMIT = 0.8

SAMPLE_SECONDS = 1.0  # of video, between two looks
PREVIEWED = 32  # looks at a video before the work begins, at most

_RESIZED, _SIDE = 256, 224
_BORDER = (_RESIZED - _SIDE) // 2
_MEAN_BGR = np.array([104, 117, 123], np.float32)


class Classifier(Protocol):
    """The network: (n, 224, 224, 3) BGR less its mean in, (n, 2) safe and explicit out."""

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]: ...


class ContentCheck:
    """Looks at the pictures of one source or target, which `what` names in an error.

    `highest` is the highest score so far, from 0 (safe) to 1 (explicit), `looks` their number, and
    `looks_before` how many of them were a preview.
    """

    def __init__(self, classifier: Classifier, what: str) -> None:
        self.highest: float | None = None
        self.looks = 0
        self.looks_before = 0
        self._classifier = classifier
        self._what = what

    def look(self, frame: Frame) -> float:
        """Score one picture, from 0 (safe) to 1 (explicit).

        Raises:
            ContentBlocked: It reaches `LIMIT`.
        """
        score = score_of(thumbnail(frame, (_RESIZED, _RESIZED)), self._classifier)
        self.looks += 1
        self.highest = score if self.highest is None else max(self.highest, score)
        if score >= LIMIT:
            raise ContentBlocked(
                f"The content check refuses {self._what}: it scores {score:.2f} as explicit, and "
                f"{LIMIT} is the limit. Nothing was written."
            )
        return score

    def preview(self, frames: Iterable[Frame]) -> None:
        """Score each of some frames, before the work on all begins.

        Raises:
            ContentBlocked: One of them reaches `LIMIT`.
        """
        for frame in frames:
            self.look(frame)
            self.looks_before += 1

    def guard(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames, the first and then one in every second looked at before it passes."""
        due: float | None = None
        for frame in frames:
            now = float(frame.pts * frame.time_base)
            if due is None or now >= due:
                self.look(frame)
                due = now + SAMPLE_SECONDS
            yield frame


def score_of(picture: Bytes, classifier: Classifier) -> float:
    """How explicit a picture is, 0..1: (256, 256, 3) RGB, whatever shape it was squeezed from.

    The network sees the middle 224 x 224, as in its makers' preprocessing.
    """
    middle = picture[_BORDER : _BORDER + _SIDE, _BORDER : _BORDER + _SIDE, ::-1]
    batch = (middle.astype(np.float32) - _MEAN_BGR)[None]
    return float(classifier.run(batch)[0][0, 1])
