"""Gather the tracks of a film into people.

Average-linkage clustering of the tracks' embeddings (Sokal and Michener, 1958) under a constraint:
two tracks that are seen in one frame are never one person. Where it is unsure it keeps two groups,
as a wrong merge would put a face on somebody else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.film_analysis import BestFace, FilmAnalysis, Track
from engine.values import Attributes, DistanceScale

# Mean distance of two groups' tracks up to which they are one person. A reference matches up to
# 0.6 by default; groups are merged without anybody looking, so they need to be nearer. By SFace,
# single pictures of 275 strangers are merged 20 times at 0.4 and 61 times at 0.5; 220 pictures of
# ten people in every expression make 15 groups at 0.4 and 10 at 0.5, with 1 and 22 pictures in a
# wrong one.
LIMIT: Final = 0.4
_CLEAR = 24.0  # weight of a track's best face from which its embedding may join it to others
_NEVER = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Tracks that show one person; `number` counts from 0 by frames, the most first."""

    number: int
    tracks: tuple[Track, ...]

    @property
    def frames(self) -> int:
        """Frames that show the person."""
        return sum(track.frames for track in self.tracks)

    @property
    def first(self) -> int:
        """The pts of the first frame."""
        return min(track.first for track in self.tracks)

    @property
    def last(self) -> int:
        """The pts of the last frame."""
        return max(track.last for track in self.tracks)

    @property
    def best(self) -> tuple[BestFace, ...]:
        """The best faces of all tracks, the best first."""
        return tuple(
            sorted((one for t in self.tracks for one in t.best), key=lambda one: -one.weight)
        )

    @property
    def attributes(self) -> Attributes | None:
        """Age, gender and race of the longest track that has any."""
        read = [track for track in self.tracks if track.attributes is not None]
        return max(read, key=lambda track: track.frames).attributes if read else None


def find_people(
    analysis: FilmAnalysis, scale: DistanceScale, limit: float = LIMIT
) -> tuple[Person, ...]:
    """Return the people of a film, those in most frames first.

    `scale` is that of the embedder. Tracks without an embedding, and those that are too small,
    blurred or turned to tell, are people of their own.
    """
    groups = group(analysis.tracks, analysis.together, scale, limit)
    ordered = sorted(groups, key=lambda tracks: (-sum(t.frames for t in tracks), tracks[0].first))
    return tuple(Person(number, tuple(tracks)) for number, tracks in enumerate(ordered))


def group(
    tracks: Iterable[Track],
    together: Collection[tuple[int, int]],
    scale: DistanceScale,
    limit: float = LIMIT,
) -> list[list[Track]]:
    """Return the tracks in groups, each in the order of time.

    Groups are merged nearest first while their mean distance is at most `limit` and no track of
    one is seen together with a track of the other.
    """
    tracks = list(tracks)
    clear = [track for track in tracks if _is_clear(track)]
    apart = _distances(clear, scale)
    row = {track.number: index for index, track in enumerate(clear)}
    for one, other in together:
        if one in row and other in row:
            apart[row[one], row[other]] = apart[row[other], row[one]] = _NEVER
    merged = [[clear[index] for index in members] for members in _cluster(apart, limit)]
    alone = [[track] for track in tracks if not _is_clear(track)]
    return [sorted(members, key=lambda track: track.first) for members in (*merged, *alone)]


def _is_clear(track: Track) -> bool:
    return track.embedding is not None and bool(track.best) and track.best[0].weight >= _CLEAR


def _distances(tracks: Sequence[Track], scale: DistanceScale) -> NDArray[np.float64]:
    """Return the distances of all pairs of tracks with embeddings, as `selection.distance` does."""
    if not tracks:
        return np.zeros((0, 0))
    embeddings = np.stack([one.embedding for one in tracks if one.embedding is not None])
    rows = embeddings.astype(np.float64)
    return 1.0 - scale.references(rows @ rows.T)


def _cluster(apart: NDArray[np.float64], limit: float) -> list[list[int]]:
    """Return rows in clusters by average linkage; rows at infinity are never in one."""
    members = {index: [index] for index in range(len(apart))}
    means = apart.copy()
    np.fill_diagonal(means, _NEVER)
    # The nearest row of each row; only rows that a merge touches are searched again.
    nearest = np.argmin(means, axis=1) if members else np.zeros(0, np.intp)
    least = means[np.arange(len(means)), nearest]
    while members:
        at = int(np.argmin(least))
        if not least[at] <= limit:
            break
        one, other = sorted((at, int(nearest[at])))
        a, b = len(members[one]), len(members[other])
        # Lance and Williams (1967): the mean over all pairs; infinity stays infinity.
        means[one] = means[:, one] = (a * means[one] + b * means[other]) / (a + b)
        means[one, one] = _NEVER
        means[other] = means[:, other] = _NEVER  # merged: at infinity, it is never found again
        members[one] += members.pop(other)
        touched = np.flatnonzero((nearest == one) | (nearest == other))
        touched = np.union1d(touched, (one, other))
        nearest[touched] = np.argmin(means[touched], axis=1)
        least[touched] = means[touched, nearest[touched]]
        nearer = means[one] < least
        nearest[nearer], least[nearer] = one, means[one][nearer]
    return list(members.values())
