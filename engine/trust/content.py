"""The content check: explicit material is refused before anything is written.

The network is Yahoo's open_nsfw, a classifier of pornographic pictures. It knows nothing of other
harm and errs both ways; it is a fence, not a judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ContentBlocked
from engine.pixels.warp import resize_area
from engine.values import Bytes

# By the notes of open_nsfw's makers, a score below 0.2 means safe and above 0.8 means explicit,
# each with high probability. Beaches and sports lie between: refusing them would teach users to
# turn the check off.
THRESHOLD = 0.8

_RESIZED, _SIDE = 256, 224
_BORDER = (_RESIZED - _SIDE) // 2
_MEAN_BGR = np.array([104, 117, 123], np.float32)
_BATCH = 4

T = TypeVar("T")


class Classifier(Protocol):
    """The network: (n, 224, 224, 3) BGR less its mean in, (n, 2) safe and explicit out."""

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]: ...


class ContentCheck:
    """Scores pictures from 0 (safe) to 1 (explicit)."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def scores(self, pictures: Iterable[Bytes]) -> list[float]:
        """A score for each RGB picture; few of them are held at a time."""
        return [
            float(score)
            for batch in _batched(map(_prepared, pictures), _BATCH)
            for score in self._classifier.run(np.stack(batch))[0][:, 1]
        ]

    def highest(self, what: str, pictures: Iterable[Bytes]) -> tuple[float, int]:
        """The highest score among the pictures (0 of none), and how many they are.

        Raises:
            ContentBlocked: It reaches `THRESHOLD`; `what` names the material.
        """
        scores = self.scores(pictures)
        highest = max(scores, default=0.0)
        if highest >= THRESHOLD:
            raise ContentBlocked(
                f"The content check refuses {what}: it scores {highest:.2f} as explicit, and "
                f"{THRESHOLD} is the limit. Nothing was written."
            )
        return highest, len(scores)


def _prepared(picture: Bytes) -> NDArray[np.float32]:
    """The middle 224 x 224 of the picture squeezed to 256 x 256, BGR less the mean of ImageNet."""
    square = resize_area(picture, (_RESIZED, _RESIZED))
    middle = square[_BORDER : _BORDER + _SIDE, _BORDER : _BORDER + _SIDE, ::-1]
    return middle.astype(np.float32) - _MEAN_BGR


def _batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
