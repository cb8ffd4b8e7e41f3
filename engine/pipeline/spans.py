"""Find spans of a film that want a look: the swap fades, is covered, unsure or missing there.

The spans follow from the records alone, and are found while these arrive. What is kept does not
grow with the length of the film.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from engine.pipeline.records import FaceRecord, FrameRecord, SwapRecord

SpanReason: TypeAlias = Literal[
    "turned away",
    "poor mesh",
    "hand",
    "covered",
    "low score",
    "near the threshold",
    "short track",
    "missed between two sightings",
]
_Bounds: TypeAlias = tuple[float, float, float, float]

MOST: Final = 20  # spans that are kept
_JOIN = 0.25  # seconds without a reason that one span may hold
_PATIENCE = 1.0  # seconds for which a face may be missed between two sightings
_SHORT = 0.4  # seconds of a track that may be no face at all
_NEAR = 0.05  # distance from the threshold at which a decision is unsure
_FAINT = 0.6  # strength below which a swap is seen to be faded
_TURNED = 65.0  # degrees beyond which a swap that does not fade is doubtful
_HAND = 0.03  # share of a face
_COVERED = 0.35  # share of a face
_LOW_SCORE = 0.7
_BESIDE = 0.75  # of its side: how far a face may move while it is missed
_GROWN = 1.5  # times by which its size may change meanwhile
_LEAST = 1.0  # weight of a span that is listed: one bad frame


@dataclass(frozen=True, slots=True)
class Span:
    """Frames of a track that want a look, for one reason.

    Attributes:
        reason: what is to be looked at.
        track: the track.
        first: number of the first frame in the output; the film's first is 1.
        last: number of the last frame.
        start: time of the first frame, in seconds after the target's first.
        end: time of the last frame.
        frame: number of the worst frame.
        seconds: time of the worst frame.
        box: left, top, right and bottom of the face there.
        weight: how bad it is: the sum over the frames, each at most 1.
    """

    reason: SpanReason
    track: int
    first: int
    last: int
    start: float
    end: float
    frame: int
    seconds: float
    box: _Bounds
    weight: float


@dataclass(slots=True)
class _Moment:
    """A face in a frame."""

    frame: int
    seconds: float
    box: _Bounds


@dataclass(slots=True)
class _Open:
    """A span that may go on."""

    first: _Moment
    last: _Moment
    worst: _Moment
    badness: float
    weight: float


@dataclass(slots=True)
class _Track:
    """A track that may go on."""

    first: _Moment
    last: _Moment
    chosen: _Moment | None = None  # when it was last chosen
    was_chosen: bool = False
    at_cut: bool = False  # it began with the shot
    open: dict[SpanReason, _Open] = field(default_factory=dict)


class SpanFinder:
    """Finds the spans of a film.

    `limit` is the greatest distance at which a face is chosen, `limits` that of roles by name.
    """

    def __init__(self, limit: float, limits: Mapping[str, float] | None = None) -> None:
        self._limit = limit
        self._limits = limits or {}
        self._tracks: dict[int, _Track] = {}
        self._worst: list[tuple[float, int, Span]] = []  # a heap, the least bad first
        self._count = 0
        self._begun = False

    def add(self, record: FrameRecord) -> None:
        """Take in the next frame."""
        begins = record.cut or not self._begun
        self._begun = True
        if begins:
            self._end_shot()
        self._end_tracks(record.seconds)
        tracked = [(face.track, face) for face in record.faces if face.track is not None]
        here = {number for number, _ in tracked}
        for number, face in tracked:
            moment = _Moment(record.frame, record.seconds, face.box)
            track = self._tracks.setdefault(number, _Track(moment, moment, at_cut=begins))
            track.last = moment
            if face.chosen:
                self._note_missed(number, track.chosen or self._take_lost(here, moment), moment)
                track.chosen, track.was_chosen = moment, True
            elif face.reason == "correction":
                track.chosen = None  # kept on purpose, not missed
            self._judge(number, track, face, moment)

    def found(self) -> tuple[tuple[Span, ...], int]:
        """End the film; return its spans, the worst first, and the number of those left out."""
        self._end_shot()
        kept = sorted(self._worst, reverse=True)
        return tuple(span for _, _, span in kept), self._count - len(kept)

    def _judge(self, number: int, track: _Track, face: FaceRecord, now: _Moment) -> None:
        """Begin, extend and close the spans of a track by its face in one frame."""
        limit = self._limits.get(face.role or "", self._limit)
        for reason, badness in _judgements(face, limit):
            span = track.open.get(reason)
            if span is None:
                track.open[reason] = _Open(now, now, now, badness, badness)
                continue
            span.last = now
            span.weight += badness
            if badness > span.badness:
                span.worst, span.badness = now, badness
        for reason, span in list(track.open.items()):
            if now.seconds - span.last.seconds > _JOIN:
                self._keep(number, reason, track.open.pop(reason))

    def _take_lost(self, here: Collection[int], now: _Moment) -> _Moment | None:
        """Return when a face that is now in a new track was last chosen, and forget that."""
        for number, track in self._tracks.items():
            if number not in here and track.chosen is not None and _is_near(track.chosen, now):
                lost, track.chosen = track.chosen, None
                return lost
        return None

    def _note_missed(self, number: int, before: _Moment | None, now: _Moment) -> None:
        """Keep the span in which a face is not swapped between two moments in which it is."""
        missed = 0 if before is None else now.frame - before.frame - 1
        if before is None or not missed or now.seconds - before.seconds > _PATIENCE:
            return
        step = (now.seconds - before.seconds) / (missed + 1)
        first, middle, last = (
            _Moment(before.frame + at, round(before.seconds + at * step, 6), before.box)
            for at in (1, (missed + 1) // 2, missed)
        )
        self._keep(number, "missed between two sightings", _Open(first, last, middle, 1.0, missed))

    def _end_tracks(self, now: float) -> None:
        """End the tracks that cannot go on."""
        for number, track in list(self._tracks.items()):
            if now - track.last.seconds > _PATIENCE:
                del self._tracks[number]
                self._end_track(number, track, at_cut=False)

    def _end_shot(self) -> None:
        for number, track in self._tracks.items():
            self._end_track(number, track, at_cut=True)
        self._tracks.clear()

    def _end_track(self, number: int, track: _Track, *, at_cut: bool) -> None:
        for reason, span in track.open.items():
            self._keep(number, reason, span)
        whole = track.at_cut or at_cut
        if track.was_chosen and not whole and track.last.seconds - track.first.seconds < _SHORT:
            frames = track.last.frame - track.first.frame + 1
            short = _Open(track.first, track.last, track.first, 1.0, max(frames / 2, _LEAST))
            self._keep(number, "short track", short)

    def _keep(self, number: int, reason: SpanReason, span: _Open) -> None:
        """Keep a span if it is bad enough, and one of the worst."""
        if span.weight < _LEAST:
            return
        self._count += 1
        made = Span(
            reason=reason,
            track=number,
            first=span.first.frame,
            last=span.last.frame,
            start=span.first.seconds,
            end=span.last.seconds,
            frame=span.worst.frame,
            seconds=span.worst.seconds,
            box=span.worst.box,
            weight=round(span.weight, 2),
        )
        heapq.heappush(self._worst, (made.weight, -self._count, made))
        if len(self._worst) > MOST:
            heapq.heappop(self._worst)


def _judgements(face: FaceRecord, limit: float) -> Iterator[tuple[SpanReason, float]]:
    """Yield what is to be looked at on a face, and how bad it is, 0..1."""
    if face.distance is not None:
        unsure = 1 - abs(face.distance - limit) / _NEAR
        if unsure > 0:
            yield "near the threshold", unsure / 2
    if face.swap is not None:
        if face.score < _LOW_SCORE:
            yield "low score", 1 - face.score
        yield from _swap_judgements(face.swap)


def _swap_judgements(swap: SwapRecord) -> Iterator[tuple[SpanReason, float]]:
    if swap.faded is not None and swap.strength < _FAINT:
        yield swap.faded, 1 - swap.strength
    elif swap.turned > _TURNED:
        yield "turned away", 0.5
    if swap.covered.hand > _HAND:
        yield "hand", min(0.25 + 2 * swap.covered.hand, 1.0)
    covered = max(swap.covered.occluder, swap.covered.face)
    if covered > _COVERED:
        yield "covered", min(covered, 1.0)


def _is_near(one: _Moment, other: _Moment) -> bool:
    """Tell whether two moments may show one face that moved."""
    across, down = (
        abs(a + c - b - d) / 2
        for a, c, b, d in (
            (one.box[0], one.box[2], other.box[0], other.box[2]),
            (one.box[1], one.box[3], other.box[1], other.box[3]),
        )
    )
    small, large = sorted(moment.box[2] - moment.box[0] for moment in (one, other))
    return math.hypot(across, down) < _BESIDE * large and large < _GROWN * small
