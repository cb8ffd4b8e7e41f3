"""What a call becomes: a job that any process of this machine can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import MediaError, ParameterError
from engine.jobs.store import JobStore
from engine.service import Intake
from tests.footage import write_png
from tests.synth import draw


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "home") as one:
        yield one


@pytest.fixture
def call(tmp_path: Path) -> dict[str, object]:
    still = str(write_png(tmp_path / "still.png", draw(0, (64, 48))))
    return {"source_image": still, "target": still}


def test_the_record_holds_paths_and_what_was_asked_and_no_more(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    job = Intake(store=store).submit({**call, "output": output, "crf": 18, "base64": True})
    assert job.request == {
        **call,
        "output": str(output),
        "base64": True,
        "parameters": {"crf": 18},
    }
    json.dumps(dict(job.request))
    assert list(job.folder.iterdir()) == []


def test_a_caller_elsewhere_may_neither_write_nor_turn_the_check_off(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    intake = Intake(store=store, may_write=False, may_uncheck=False)
    with pytest.raises(ParameterError, match=r"output names a file.*content_check is False"):
        intake.submit({**call, "output": tmp_path / "out.png", "content_check": False})
    assert intake.submit({**call, "output": None, "content_check": True}).state == "QUEUED"


def test_checks_look_at_every_file(
    store: JobStore, call: dict[str, object], tmp_path: Path
) -> None:
    seen: list[str] = []

    def refuse(field: str, _: Path) -> None:
        seen.append(field)
        raise ParameterError(f"{field} is too large.")

    with pytest.raises(ParameterError) as raised:
        Intake(store=store, checks=(refuse,)).submit({**call, "reference_image": call["target"]})
    assert seen == ["source_image", "target", "reference_image-0"]
    assert str(raised.value).count("too large") == 3
    assert list((store.folder / "jobs").iterdir()) == []


def test_an_output_over_an_input_is_refused(store: JobStore, call: dict[str, object]) -> None:
    with pytest.raises(MediaError, match="is also an input"):
        Intake(store=store).submit({**call, "output": call["target"], "overwrite": True})
    assert store.list() == ()
