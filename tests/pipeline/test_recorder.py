"""Records of frames, their counts, and the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import MediaError, OutputExists
from engine.faces.mesh_fit import MeshFit
from engine.options import SelectionRule
from engine.pipeline.recorder import Recorder
from engine.pipeline.records import FrameRecord, trace_file
from engine.pipeline.stages import Coverage, SwappedFace, SwappedFrame
from engine.values import Attributes, Face, Frame, PixelFormat, Planned
from tests import people

FIT = MeshFit(turned=12.34, facing=1.0, shape=1.0, score=0.98765)
SHOWN = SwappedFace(FIT, 1.0, Coverage(), visible=True)
FADED = SwappedFace(replace(FIT, facing=0.1), 0.02, Coverage(hand=0.25), visible=False)
NEAR, FAR = people.face(10, 20, 40), people.face(70, 30, 40)
MANY = SelectionRule(mode="many")


def frame_of(index: int) -> Frame:
    planes = tuple(np.zeros(shape, np.uint8) for shape in [(96, 128), (48, 64), (48, 64)])
    return Frame(
        index, 500 + index * 40, Fraction(1, 1000), planes, PixelFormat("yuv420p", "yuv", 8, 1, 1)
    )


def play(
    rule: SelectionRule = MANY,
    distance: Callable[[Face], float] | None = None,
    *,
    chosen: tuple[Face, ...] = (NEAR,),
    swapped: tuple[SwappedFace, ...] = (SHOWN,),
    frames: int = 1,
    origin: int | None = None,
) -> tuple[Recorder, list[FrameRecord]]:
    records: list[FrameRecord] = []
    recorder = Recorder(rule, distance, origin=origin, write=records.append)
    for index in range(frames):
        frame = frame_of(index)
        shot = Planned(frame, (NEAR, FAR), chosen, sizes=(64,) * len(chosen), cut=not index)
        assert recorder.plan(shot) is shot
        assert recorder.finish(SwappedFrame(frame, swapped)) is frame
    return recorder, records


def test_distances_are_told_apart_by_what_was_chosen() -> None:
    distances = {id(NEAR): [0.2, 0.4], id(FAR): [0.9, 0.7]}
    recorder, _ = play(distance=lambda face: distances[id(face)].pop(0), frames=2)
    assert recorder.smallest_accepted == pytest.approx(0.2)
    assert recorder.mean_accepted == pytest.approx(0.3)
    assert recorder.nearest_rejected == pytest.approx(0.7)


def test_without_a_reference_no_distance_is_measured() -> None:
    recorder, (record,) = play(chosen=(NEAR, FAR), swapped=(SHOWN, FADED))
    assert recorder.smallest_accepted is recorder.mean_accepted is recorder.nearest_rejected is None
    assert [face.distance for face in record.faces] == [None, None]
    assert (recorder.faces_chosen, recorder.faces_swapped, recorder.faces_faded) == (2, 1, 1)
    assert recorder.frames_with_swap == 1


def test_a_record_tells_time_number_and_cut_of_its_frame() -> None:
    _, records = play(frames=3)
    told = [(one.frame, one.pts, one.seconds, one.cut) for one in records]
    assert told == [(1, 500, 0.0, True), (2, 540, 0.04, False), (3, 580, 0.08, False)]
    _, (record,) = play(origin=100)
    assert record.seconds == pytest.approx(0.4)


def test_a_swap_is_recorded_with_its_face() -> None:
    _, (record,) = play(chosen=(FAR, NEAR), swapped=(FADED, SHOWN))
    near, far = record.faces
    assert near.swap is not None
    assert (near.swap.faded, near.swap.turned, near.swap.trust) == (None, 12.3, 0.988)
    assert (near.swap.side, near.swap.visible) == (64, True)
    assert far.swap is not None
    assert (far.swap.faded, far.swap.strength, far.swap.visible) == ("turned away", 0.02, False)
    assert far.swap.covered == Coverage(hand=0.25)
    poor = replace(FADED, fit=replace(FIT, shape=0.1))
    _, (record,) = play(swapped=(poor,))
    assert record.faces[0].swap is not None
    assert record.faces[0].swap.faded == "poor mesh"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (SelectionRule(mode="reference"), "too far"),
        (SelectionRule(mode="one"), "not first"),
        (SelectionRule(mode="many", gender="female"), "filtered: gender"),
        (SelectionRule(mode="many", race="asian"), "filtered: race"),
        (SelectionRule(mode="one", age_start=50), "filtered: age"),
    ],
)
def test_a_face_that_is_not_chosen_has_a_reason(rule: SelectionRule, reason: str) -> None:
    other = replace(FAR, attributes=Attributes(30, "male", "white"))
    told: list[FrameRecord] = []
    recorder = Recorder(rule, write=told.append)
    frame = frame_of(0)
    recorder.plan(Planned(frame, (NEAR, other), (NEAR,), sizes=(64,)))
    recorder.finish(SwappedFrame(frame, (SHOWN,)))
    assert [face.reason for face in told[0].faces] == ["chosen", reason]
    assert [face.chosen for face in told[0].faces] == [True, False]


def test_a_trace_is_a_line_for_each_frame(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    _, records = play(frames=2)
    with trace_file(path, overwrite=False) as write:
        for record in records:
            write(record)
        assert not path.exists()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["frame"] for line in lines] == [1, 2]
    assert lines[0]["faces"][0]["box"] == list(records[0].faces[0].box)
    assert list(tmp_path.iterdir()) == [path]


def test_a_trace_is_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    _, (record,) = play()

    def fail() -> None:
        with trace_file(path, overwrite=False) as write:
            write(record)
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_trace_that_exists_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text("mine")
    with pytest.raises(OutputExists), trace_file(path, overwrite=False):
        pass
    assert path.read_text() == "mine"
    with trace_file(path, overwrite=True):
        pass
    assert path.read_text() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (record,) = play()
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *args, **named: opened(Path("/dev/full"), *args, **named)
    )

    def fill() -> None:
        with trace_file(tmp_path / "trace.jsonl", overwrite=False) as write:
            write(record)

    with pytest.raises(MediaError, match=r"trace\.jsonl"):
        fill()
    assert list(tmp_path.iterdir()) == []
