"""The report as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from engine.pipeline.report import Content, Selection, Setup, StageSeconds, SwapReport
from engine.values import Choice

REPORT = SwapReport(
    output=Path("out.png"),
    kind="image",
    frames=1,
    faces_seen=2,
    faces_swapped=1,
    faces_faded=0,
    frames_with_swap=1,
    seconds=0.5,
    stage_seconds=StageSeconds(),
    setup=Setup(Choice("mesh", "it was asked for"), {"occluder": "occluder"}, {}, {}, "cpu"),
    sources=(),
    selection=Selection("many"),
    content=Content(checked=False, limit=0.8, sample_seconds=1.0),
    notes=("a note",),
    warnings=(),
    spans=(),
    more_spans=0,
    parameters={"crf": 18},
)


def test_the_setup_s_fields_stand_beside_the_report_s_own() -> None:
    values = REPORT.to_dict()
    assert "setup" not in values
    assert values["swapper"] == {"name": "mesh", "reason": "it was asked for"}
    assert values["networks"] == {"occluder": "occluder"}
    assert values["device"] == "cpu"
    assert list(values)[8:15] == [
        "stage_seconds",
        "swapper",
        "networks",
        "readers",
        "weights",
        "device",
        "sources",
    ]


def test_a_report_is_json() -> None:
    values = REPORT.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert (values["output"], values["notes"]) == ("out.png", ["a note"])
