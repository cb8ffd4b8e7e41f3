"""Suggestions for misspelt names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

_ALIKE: Final = 0.75  # similarity from which one word may be the other one misspelt
_MOST: Final = 3


def closest(written: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the known names that are closest to a misspelt one, at most three.

    Names that share the most words with it come first, then those with the most similar spelling:
    `--mode` gives `--face-selector-mode`, and `pixel_bost` gives `pixel_boost`. Several are
    returned only if they are equally close.
    """
    scores = {name: _score(written, name) for name in names}
    best = max(scores.values(), default=(0.0, 0.0))
    if best[0] == 0 and best[1] < _ALIKE:
        return ()
    if best[0] == 0:
        return tuple(name for name, score in scores.items() if score == best)[:_MOST]
    return tuple(name for name, score in scores.items() if score[0] == best[0])[:_MOST]


def _score(written: str, name: str) -> tuple[float, float]:
    """Return the share of the written words that the name has, and the similarity of spelling."""
    own, others = _words(written), _words(name)
    found = sum(max((_alike(word, other) for other in others), default=0.0) for word in own)
    shared = found / len(own) if own and found >= len(own) * _ALIKE else 0.0
    return round(shared, 3), SequenceMatcher(None, "".join(own), "".join(others)).ratio()


def _alike(word: str, other: str) -> float:
    ratio = SequenceMatcher(None, word, other).ratio()
    return ratio if ratio >= _ALIKE else 0.0


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())
