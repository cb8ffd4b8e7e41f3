"""Spans that want a look, of made-up records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.pipeline.records import VERSION, FaceRecord, FrameRecord, SwapRecord
from engine.pipeline.spans import MOST, Span, SpanFinder, SpanReason
from engine.pipeline.stages import Coverage

GOOD = SwapRecord(
    side=256, turned=10.0, trust=1.0, strength=1.0, faded=None, covered=Coverage(), visible=True
)
BOX = (100.0, 100.0, 200.0, 200.0)
FACE = FaceRecord(
    track=0, box=BOX, score=0.9, distance=0.3, chosen=True, reason="chosen", swap=GOOD
)
STRANGER = replace(FACE, chosen=False, reason="too far", distance=0.9, swap=None)
FADED = replace(FACE, swap=replace(GOOD, strength=0.1, faded="turned away", turned=70.0))


def film(*shots: tuple[FaceRecord, ...], cuts: tuple[int, ...] = ()) -> list[FrameRecord]:
    """Return a record for each frame, 25 a second; `cuts` are numbers of frames."""
    return [
        FrameRecord(
            version=VERSION,
            frame=number,
            pts=number - 1,
            seconds=round((number - 1) / 25, 6),
            cut=number in (1, *cuts),
            hands=0,
            faces=faces,
        )
        for number, faces in enumerate(shots, start=1)
    ]


def find(records: list[FrameRecord]) -> tuple[tuple[Span, ...], int]:
    finder = SpanFinder(0.6)
    for record in records:
        finder.add(record)
    return finder.found()


def brief(records: list[FrameRecord]) -> list[tuple[SpanReason, int, int, int]]:
    return [(one.reason, one.track, one.first, one.last) for one in find(records)[0]]


def test_a_clean_film_has_no_span() -> None:
    assert find(film(*[(FACE, replace(STRANGER, track=1))] * 200)) == ((), 0)


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (FADED, "turned away"),
        (replace(FACE, swap=replace(GOOD, turned=75.0)), "turned away"),
        (replace(FACE, swap=replace(GOOD, strength=0.2, faded="poor mesh")), "poor mesh"),
        (replace(FACE, swap=replace(GOOD, covered=Coverage(hand=0.1))), "hand"),
        (replace(FACE, swap=replace(GOOD, covered=Coverage(occluder=0.5))), "covered"),
        (replace(FACE, swap=replace(GOOD, covered=Coverage(face=0.5))), "covered"),
        (replace(FACE, score=0.62), "low score"),
        (replace(FACE, distance=0.58), "near the threshold"),
        (replace(STRANGER, distance=0.62), "near the threshold"),
    ],
)
def test_a_span_is_as_long_as_its_reason(face: FaceRecord, reason: SpanReason) -> None:
    shots = [(FACE,)] * 50 + [(face,)] * 20 + [(FACE,)] * 50
    if not face.chosen:
        shots = [(STRANGER,) if shot[0] is FACE else shot for shot in shots]
    (span,), more = find(film(*shots))
    assert (span.reason, span.track, span.first, span.last, more) == (reason, 0, 51, 70, 0)
    assert (span.start, span.end) == (2.0, 2.76)
    assert 51 <= span.frame <= 70


def test_a_role_has_a_threshold_of_its_own() -> None:
    finder = SpanFinder(0.6, {"anna": 0.4})
    anna = replace(FACE, role="anna", distance=0.38)
    ben = replace(FACE, track=1, role="ben", distance=0.38)
    for record in film(*[(anna, ben)] * 30):
        finder.add(record)
    ((span,), _) = finder.found()
    assert (span.reason, span.track) == ("near the threshold", 0)


def test_the_worst_frame_of_a_span_is_named() -> None:
    worst = replace(
        FACE, box=(0.0, 0.0, 9.0, 9.0), swap=replace(GOOD, strength=0.0, faded="turned away")
    )
    (span,), _ = find(film(*[(FADED,)] * 9, (worst,), *[(FADED,)] * 9))
    assert (span.frame, span.seconds, span.box) == (10, 0.36, worst.box)
    assert span.weight == pytest.approx(0.9 * 18 + 1)


def test_a_moment_without_its_reason_does_not_break_a_span() -> None:
    blinking = [(FADED,), (FADED,), (FACE,), (FACE,)] * 10
    assert brief(film(*blinking)) == [("turned away", 0, 1, 38)]
    pause = [(FACE,)] * 20
    apart = film(*[(FADED,)] * 10, *pause, *[(FADED,)] * 10)
    assert brief(apart) == [("turned away", 0, 1, 10), ("turned away", 0, 31, 40)]


def test_what_nobody_would_see_is_not_listed() -> None:
    barely = replace(FACE, swap=replace(GOOD, strength=0.7, faded="turned away"))
    assert brief(film(*[(FACE,)] * 30, *[(barely,)] * 30)) == []
    once = replace(FACE, swap=replace(GOOD, strength=0.5, faded="turned away"))
    assert brief(film(*[(FACE,)] * 30, (once,), *[(FACE,)] * 30)) == []


def test_a_face_that_is_missed_between_two_tracks_is_listed() -> None:
    later = replace(FACE, track=1, box=(130.0, 100.0, 230.0, 200.0))
    missed = film(*[(FACE,)] * 20, *[()] * 5, *[(later,)] * 20)
    assert brief(missed) == [("missed between two sightings", 1, 21, 25)]
    (span,), _ = find(missed)
    assert (span.start, span.end, span.frame, span.box) == (0.8, 0.96, 23, BOX)


def test_a_face_that_is_not_chosen_for_a_moment_is_listed() -> None:
    flickering = film(*[(FACE,)] * 20, *[(STRANGER,)] * 3, *[(FACE,)] * 20)
    assert brief(flickering) == [("missed between two sightings", 0, 21, 23)]


def test_a_face_that_a_correction_keeps_is_not_missed() -> None:
    kept = replace(STRANGER, reason="correction", distance=0.3)
    assert brief(film(*[(FACE,)] * 20, *[(kept,)] * 3, *[(FACE,)] * 20)) == []


@pytest.mark.parametrize(
    "why", ["a cut", "too long", "elsewhere", "of another size", "seen all the time"]
)
def test_two_tracks_need_not_be_one_face(why: str) -> None:
    later = replace(FACE, track=1)
    gap: list[tuple[FaceRecord, ...]] = [()] * (40 if why == "too long" else 5)
    after: tuple[FaceRecord, ...] = (later,)
    if why == "elsewhere":
        after = (replace(later, box=(400.0, 100.0, 500.0, 200.0)),)
    if why == "of another size":
        after = (replace(later, box=(120.0, 120.0, 180.0, 180.0)),)
    if why == "seen all the time":
        gap, after = [(FACE,)] * 5, (FACE, later)
    records = film(*[(FACE,)] * 20, *gap, *[after] * 20, cuts=(26,) if why == "a cut" else ())
    assert brief(records) == []


def test_a_short_track_is_listed_unless_a_cut_ends_it() -> None:
    ghost = replace(FACE, track=1, box=(400.0, 0.0, 450.0, 50.0))
    shots = [(FACE,)] * 30 + [(FACE, ghost)] * 4 + [(FACE,)] * 40
    assert brief(film(*shots)) == [("short track", 1, 31, 34)]
    assert brief(film(*shots, cuts=(31,))) == []
    assert brief(film(*shots[:34])) == []
    unchosen = replace(ghost, chosen=False, reason="too far", distance=0.9, swap=None)
    assert brief(film(*[(FACE,)] * 30, *[(FACE, unchosen)] * 4, *[(FACE,)] * 40)) == []


def test_the_worst_come_first_and_the_rest_is_counted() -> None:
    shots: list[tuple[FaceRecord, ...]] = []
    for length in range(2, MOST + 7):
        shots += [(FADED,)] * length + [(FACE,)] * 20
    spans, more = find(film(*shots))
    lengths = [span.last - span.first + 1 for span in spans]
    assert lengths == list(range(MOST + 6, 6, -1))
    assert more == 5


def test_a_face_without_a_track_has_no_span() -> None:
    assert brief(film((replace(FADED, track=None),))) == []
