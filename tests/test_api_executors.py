"""Segments that are swapped in other processes are joined to the output of one run."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Engine, SegmentTask
from engine.errors import ContentBlocked, NoFaceFound, ParameterError, RuntimeUnavailable
from engine.executors.named import executor_named
from engine.executors.processes import Processes
from engine.executors.ray_cluster import RayCluster
from engine.pipeline.video import Progress
from engine.work.work_store import WorkStore
from tests.footage import STRANGER, asset, write_clip, write_png
from tests.test_api_resume import CUT, FRAMES, LENGTH, QUICK, packets, paint

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("engine.pipeline.swap", "engine.media.encode", "engine.api"):
        monkeypatch.setattr(f"{module}.segment_length", lambda _: LENGTH)


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    times = [40 * n + 7 * (n % 3) for n in range(FRAMES)]
    return write_clip(tmp_path_factory.mktemp("film") / "film.mkv", times, paint=paint)


@pytest.mark.slow
def test_processes_make_the_output_of_one_run(warm: Engine, film: Path, tmp_path: Path) -> None:
    faces, work = tmp_path / "faces", tmp_path / "work"
    warm.analyse(film, faces)
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    one = warm.swap(asset(STRANGER), film, whole, analysis=faces, work_limit=0, **QUICK)
    told: list[Progress] = []
    many = warm.swap(
        asset(STRANGER),
        film,
        output,
        work_dir=work,
        executor=Processes(2),
        observe=told.append,
        **QUICK,
    )
    assert packets(output) == packets(whole)
    assert (many.frames, many.faces_swapped, many.spans) == (
        one.frames,
        one.faces_swapped,
        one.spans,
    )
    assert {LENGTH, FRAMES} <= {p.done for p in told if p.stage == "swapping"}
    (entry,) = WorkStore(work).entries()  # the analysis serves the next swap of the film
    assert entry.key.startswith("analysis-")


def double(task: int) -> int:
    return 2 * task


def die_once(path: Path) -> int:
    """Die as by a crash when it is run first."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(_: object) -> None:
    raise ContentBlocked("explicit")


def test_tasks_give_their_results(tmp_path: Path) -> None:
    assert dict(Processes(2).map(double, [1, 2, 3])) == {1: 2, 2: 4, 3: 6}
    assert list(Processes(1).map(die_once, [tmp_path / "died"])) == [(tmp_path / "died", 1)]


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ContentBlocked, match="explicit"):
        list(Processes(1).map(refuse, [1, 2]))
    with pytest.raises(RuntimeUnavailable, match=r"died 3 times.*fewer processes"):
        list(Processes(1).map(die, [1]))


class Here:
    """Runs tasks in this process, the last first."""

    threads = 1

    def __init__(self) -> None:
        self.tasks: list[SegmentTask] = []

    def check(self, files: Sequence[Path]) -> None:
        assert all(path.is_absolute() and path.exists() for path in files)

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
        self.tasks += tasks
        for task in reversed(tasks):
            yield task, function(task)


def test_a_missed_face_is_followed_across_segments(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shot is read from the beginning, and paths may be relative to this folder."""
    shutil.copy(asset(STRANGER), tmp_path / "stranger.jpg")
    monkeypatch.chdir(tmp_path)
    cast: Any = {
        "role": [{"name": "anna", "source": "stranger.jpg", "person": 0}],
        "correction": [{"role": "anna", "from": 3, "to": 8, "box": [300, 10, 390, 100]}],
    }
    here = Here()
    given: dict[str, Any] = {"cast": cast, "swapper": "mesh", "preset": "ultrafast"}
    one = warm.swap(None, film, "one.mp4", work_limit=0, **given)
    many = warm.swap(None, film, "many.mp4", work_dir="work", executor=here, **given)
    assert [task.part.restart.index for task in here.tasks] == [0, 0, CUT, CUT]
    assert packets(Path("many.mp4")) == packets(Path("one.mp4"))
    assert many.faces_swapped == one.faces_swapped
    assert set(many.warnings) == set(one.warnings)
    assert any("no face was found in the box" in warning for warning in many.warnings)
    assert not any("earlier run" in note for note in many.notes)
    assert many.seconds > many.stage_seconds.encode


def test_a_short_film_is_swapped_in_one_go(warm: Engine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 40 * LENGTH, 40))
    here = Here()
    warm.swap(
        asset(STRANGER),
        clip,
        tmp_path / "out.mp4",
        work_dir=tmp_path / "work",
        executor=here,
        **QUICK,
    )
    assert here.tasks == []


def test_a_source_that_cannot_serve_is_told_before_the_film_is_analysed(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "_analyse_for", lambda *_, **__: pytest.fail("it was analysed"))
    blank = write_png(tmp_path / "blank.png", np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(NoFaceFound):
        warm.swap(blank, film, tmp_path / "out.mp4", work_dir=tmp_path, executor=Here(), **QUICK)


def test_an_executor_has_a_name() -> None:
    assert executor_named("processes:3") == Processes(3)
    assert executor_named("ray", "10.0.0.1:6379", gpus=1) == RayCluster("10.0.0.1:6379", gpus=1)
    for name in ("processes", "processes:0", "processes:x", "ray:1", "threads"):
        with pytest.raises(ParameterError, match=r"allowed: processes:N, with N from 1, or ray"):
            executor_named(name)
    with pytest.raises(ParameterError, match="only the executor ray"):
        executor_named("processes:2", "10.0.0.1")
    with pytest.raises(ParameterError, match="number of processes is 0"):
        Processes(0)


def test_what_other_processes_cannot_have_is_refused(
    warm: Engine, film: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"executor": Processes(1), **QUICK}
    with pytest.raises(ParameterError, match="work_limit is 0"):
        warm.swap(asset(STRANGER), film, tmp_path / "out.mp4", work_limit=0, **given)
    prepared = warm.prepare(asset(STRANGER), swapper="mesh")
    with pytest.raises(ParameterError, match="name its file"):
        warm.swap(prepared, film, tmp_path / "out.mp4", **given)
