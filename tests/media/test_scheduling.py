"""No encoder keeps the machine to itself."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.encoder_trials import encoder_problem
from engine.media.scheduling import ordinary_scheduling
from engine.options import EncodeOptions
from tests.synth import make_clip

SVT = "libsvtav1"
THREADS = Path("/proc/self/task")


def may_be_real_time() -> bool:
    """Return True if this process may take real-time priority, as root may."""
    if sys.platform != "linux":
        return False
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    os.sched_setscheduler(0, *before)
    return True


pytestmark = pytest.mark.skipif(not may_be_real_time(), reason="needs the right to real time")


def policies() -> set[int]:
    """Return the scheduling policies of this process's threads."""
    return {os.sched_getscheduler(int(one.name)) for one in THREADS.iterdir()}


def test_a_real_time_thread_that_begins_inside_is_made_ordinary() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        begun.set()
        ended.wait(10)

    with ordinary_scheduling():
        thread = threading.Thread(target=work)
        thread.start()
        begun.wait(10)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        assert os.SCHED_FIFO in policies()
    assert policies() == {os.SCHED_OTHER}
    ended.set()
    thread.join()


def test_a_system_that_tells_no_scheduling_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "sched_getscheduler", refuse)
    with ordinary_scheduling():
        pass


def test_a_trial_leaves_this_thread_as_it_was() -> None:
    if encoder_problem(SVT, "yuv420p", (66, 64), {}):
        pytest.skip("SVT-AV1 is not built in")
    assert policies() == {os.SCHED_OTHER}


def test_a_video_is_encoded_beside_other_work(tmp_path: Path) -> None:
    if encoder_problem(SVT, "yuv420p", (66, 64), {}):
        pytest.skip("SVT-AV1 is not built in")
    target = make_clip(tmp_path / "target.mp4")
    seen: set[int] = set()
    write_video(
        read_frames(target),
        tmp_path / "output.mkv",
        like=target,
        options=EncodeOptions(codec=SVT, preset="12"),
        observe=lambda _: seen.update(policies()),
    )
    assert seen == {os.SCHED_OTHER}
