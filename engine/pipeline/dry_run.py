"""Rows of what a swap would do, gathered from the records of its frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine.pipeline.records import FaceRecord, FrameRecord


@dataclass(frozen=True, slots=True)
class TrackDecision:
    """Planned treatment of a face from one frame to another.

    Attributes:
        track: number of the face's track; None in a still picture.
        first: time of the first frame, in seconds after the target's first.
        last: time of the last frame.
        frames: number of frames.
        chosen: True if the face would be swapped.
        role: name of the role that a cast gives it; None if it gives none.
        reason: why.
        distance: smallest distance to the reference or the role's person; None if none was
            measured.
    """

    track: int | None
    first: float
    last: float
    frames: int
    chosen: bool
    role: str | None
    reason: str
    distance: float | None


def track_decisions(records: Iterable[FrameRecord]) -> tuple[TrackDecision, ...]:
    """Return a row for each part of a track with one decision, in the order of time."""
    rows: list[TrackDecision] = []
    last: dict[int, int] = {}  # the last row of each track
    for record in records:
        for face in record.faces:
            at = None if face.track is None else last.get(face.track)
            if at is not None and _goes_on(rows[at], face):
                rows[at] = replace(
                    rows[at],
                    last=record.seconds,
                    frames=rows[at].frames + 1,
                    distance=_smaller(rows[at].distance, face.distance),
                )
                continue
            if face.track is not None:
                last[face.track] = len(rows)
            rows.append(
                TrackDecision(
                    face.track,
                    record.seconds,
                    record.seconds,
                    1,
                    face.chosen,
                    face.role,
                    face.reason,
                    face.distance,
                )
            )
    return tuple(rows)


def _goes_on(row: TrackDecision, face: FaceRecord) -> bool:
    return (row.chosen, row.role, row.reason) == (face.chosen, face.role, face.reason)


def _smaller(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
