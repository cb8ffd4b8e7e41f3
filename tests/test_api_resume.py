"""An interrupted swap goes on after its finished parts, and the output is that of one run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from engine.api import Engine
from engine.errors import Cancelled, ContentBlocked, MediaError, ParameterError
from engine.media.packet_file import PacketWriter
from engine.pipeline.stages import FaceSwap, SwappedFrame
from engine.pipeline.video import Progress
from engine.trust.content import ContentCheck
from engine.values import Bytes, Frame, Planned
from engine.work.work_store import WorkFile, WorkStore
from tests.footage import MAN, STRANGER, WOMAN, Spot, asset, picture, write_clip

pytestmark = pytest.mark.slow

LENGTH = 5  # frames of a segment in these tests
FRAMES = 18
CUT = 8
KILLS = int(os.environ.get("FACESWAP_TEST_KILLS", "4"))
QUICK: dict[str, Any] = {
    "swapper": "mesh",
    "pixel_boost": "auto",
    "face_selector_mode": "many",
    "preset": "ultrafast",
}


def paint(index: int, _: object) -> Bytes:
    """Draw somebody at the left, and after a cut higher and in the middle."""
    if index < CUT:
        return picture((Spot(WOMAN, 15),), index // 2)
    return picture((Spot(WOMAN, 100, 30),), index // 2)


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    _shorten_segments(monkeypatch)


def _shorten_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("engine.pipeline.swap", "engine.media.encode"):
        monkeypatch.setattr(f"{module}.segment_length", lambda _: LENGTH)


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    times = [40 * n + 7 * (n % 3) for n in range(FRAMES)]
    return write_clip(tmp_path_factory.mktemp("film") / "film.mkv", times, paint=paint)


@pytest.fixture
def whole(warm: Engine, film: Path, tmp_path: Path) -> Path:
    output = tmp_path / "whole.mp4"
    warm.swap(asset(STRANGER), film, output, work_limit=0, trace=tmp_path / "whole.jsonl", **QUICK)
    return output


def packets(path: Path) -> list[tuple[object, ...]]:
    with av.open(str(path)) as container:
        return [
            (packet.stream_index, packet.pts, packet.dts, packet.duration, bytes(packet))
            for packet in container.demux()
            if packet.size
        ]


def interrupt(at: int) -> Any:
    def observe(progress: Progress) -> None:
        if progress.stage == "swapping" and progress.done == at:
            raise Cancelled("as by a signal")

    return observe


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the frames that were swapped."""
    swap, seen = FaceSwap.__call__, list[int]()

    def note(self: FaceSwap[Any], shots: list[Planned]) -> list[SwappedFrame]:
        seen.extend(shot.frame.index for shot in shots)
        return swap(self, shots)

    monkeypatch.setattr(FaceSwap, "__call__", note)
    return seen


@pytest.mark.parametrize("at", [3, 12])
def test_the_same_call_goes_on(
    warm: Engine, film: Path, whole: Path, tmp_path: Path, drawn: list[int], at: int
) -> None:
    output, trace = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    work = tmp_path / "work"
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(at), **QUICK)
    assert not output.exists()
    drawn.clear()
    report = warm.swap(asset(STRANGER), film, output, work_dir=work, trace=trace, **QUICK)
    finished = (at - 1) // LENGTH * LENGTH
    assert sorted(drawn) == list(range(finished, FRAMES))
    assert packets(output) == packets(whole)
    assert trace.read_text("utf-8") == whole.with_suffix(".jsonl").read_text("utf-8")
    assert report.frames == FRAMES
    assert any(f"{finished} frames were finished" in note for note in report.notes) == (
        finished > 0
    )
    assert WorkStore(work).entries() == ()


def test_several_interruptions_lose_nothing(
    warm: Engine, film: Path, whole: Path, tmp_path: Path, drawn: list[int]
) -> None:
    output, work = tmp_path / "out.mp4", tmp_path / "work"
    for at in (6, 12):
        with pytest.raises(Cancelled):
            warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(at), **QUICK)
    drawn.clear()
    warm.swap(asset(STRANGER), film, output, work_dir=work, **QUICK)
    assert sorted(drawn) == list(range(10, FRAMES))
    assert packets(output) == packets(whole)


def test_a_part_of_a_film_goes_on_too(warm: Engine, film: Path, tmp_path: Path) -> None:
    part = {**QUICK, "start": 0.08, "end": 0.68}
    whole, output, work = tmp_path / "whole.mp4", tmp_path / "out.mp4", tmp_path / "work"
    warm.swap(asset(STRANGER), film, whole, work_limit=0, **part)
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(12), **part)
    warm.swap(asset(STRANGER), film, output, work_dir=work, **part)
    assert packets(output) == packets(whole)


def test_a_kept_analysis_goes_on_too(warm: Engine, film: Path, tmp_path: Path) -> None:
    analysis = tmp_path / "film.faces"
    warm.analyse(film, analysis)
    whole, output, work = tmp_path / "whole.mp4", tmp_path / "out.mp4", tmp_path / "work"
    warm.swap(asset(STRANGER), film, whole, work_limit=0, analysis=analysis, **QUICK)
    given: dict[str, Any] = {**QUICK, "analysis": analysis, "work_dir": work}
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, observe=interrupt(13), **given)
    warm.swap(asset(STRANGER), film, output, **given)
    assert packets(output) == packets(whole)


@pytest.mark.parametrize("change", [{"source": MAN, "crf": 30}, {"fresh": True}])
def test_what_was_finished_for_another_swap_is_not_taken(
    warm: Engine, film: Path, tmp_path: Path, drawn: list[int], change: dict[str, Any]
) -> None:
    output, work = tmp_path / "out.mp4", tmp_path / "work"
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(13), **QUICK)
    drawn.clear()
    given = {**QUICK, **change}
    source = given.pop("source", STRANGER)
    warm.swap(asset(source), film, output, work_dir=work, **given)
    assert sorted(drawn) == list(range(FRAMES))


def test_a_damaged_segment_is_made_again(
    warm: Engine, film: Path, whole: Path, tmp_path: Path, drawn: list[int]
) -> None:
    output, work = tmp_path / "out.mp4", tmp_path / "work"
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(13), **QUICK)
    (segment,) = work.glob("*/segment-000001")
    damaged = bytearray(segment.read_bytes())
    damaged[40] ^= 1
    segment.write_bytes(damaged)
    drawn.clear()
    warm.swap(asset(STRANGER), film, output, work_dir=work, **QUICK)
    assert sorted(drawn) == list(range(LENGTH, FRAMES))
    assert packets(output) == packets(whole)


def test_a_full_disk_for_work_files_does_not_end_a_swap(
    warm: Engine, film: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, count = PacketWriter.add, 0

    def full(self: PacketWriter, packet: Any) -> None:
        nonlocal count
        count += 1
        if count > LENGTH + 2:
            raise OSError(28, "No space left on device")
        add(self, packet)

    monkeypatch.setattr(PacketWriter, "add", full)
    output, work = tmp_path / "out.mp4", tmp_path / "work"
    report = warm.swap(asset(STRANGER), film, output, work_dir=work, **QUICK)
    (warning,) = [one for one in report.warnings if "No space left" in one]
    assert "lose the frames from 6 on" in warning
    assert packets(output) == packets(whole)
    assert not list(work.glob("*/.segment*"))


def test_a_folder_that_cannot_be_written_is_told(warm: Engine, film: Path, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    report = warm.swap(
        asset(STRANGER), film, tmp_path / "out.mp4", work_dir=tmp_path / "work", **QUICK
    )
    assert any("An interruption would lose all" in one for one in report.warnings)


def test_nothing_that_was_refused_is_kept(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = ContentCheck.check_frame

    def refuse(self: ContentCheck, frame: Frame) -> float:
        if frame.index == 12:
            raise ContentBlocked("The content check refuses it.")
        return check(self, frame)

    monkeypatch.setattr(ContentCheck, "check_frame", refuse)
    monkeypatch.setattr("engine.trust.content.SAMPLE_SECONDS", 0.01)
    work = tmp_path / "work"
    with pytest.raises(ContentBlocked):
        warm.swap(asset(STRANGER), film, tmp_path / "out.mp4", work_dir=work, **QUICK)
    assert list(work.iterdir()) == []


def test_the_limit_is_kept(warm: Engine, film: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(Cancelled):
        warm.swap(
            asset(STRANGER),
            film,
            tmp_path / "out.mp4",
            work_dir=work,
            work_limit=1e-6,
            observe=interrupt(17),
            **QUICK,
        )
    assert len(list(work.glob("*/segment-*"))) <= 1


@pytest.mark.parametrize("limit", [-1, "much", float("nan"), True])
def test_a_false_limit_is_refused(warm: Engine, film: Path, tmp_path: Path, limit: Any) -> None:
    with pytest.raises(ParameterError, match="work_limit"):
        warm.swap(asset(STRANGER), film, tmp_path / "out.mp4", work_limit=limit)


def test_a_film_shorter_than_a_segment_keeps_nothing(
    warm: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkStore, "open", lambda *_, **__: pytest.fail("a store was opened"))
    clip = write_clip(tmp_path / "clip.mp4", range(0, 40 * LENGTH, 40), codec="libx264")
    warm.swap(asset(STRANGER), clip, tmp_path / "out.mp4", work_dir=tmp_path / "work", **QUICK)


def test_two_runs_of_one_swap_do_not_disturb_each_other(
    warm: Engine, film: Path, whole: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"

    def start_another(progress: Progress) -> None:
        if progress.stage == "swapping" and progress.done == 12:
            warm.swap(asset(STRANGER), film, tmp_path / "other.mp4", work_dir=work, **QUICK)

    warm.swap(
        asset(STRANGER), film, tmp_path / "out.mp4", work_dir=work, observe=start_another, **QUICK
    )
    assert packets(tmp_path / "out.mp4") == packets(tmp_path / "other.mp4") == packets(whole)
    assert WorkStore(work).entries() == ()


_RUN = """
import json, sys
from engine.media import segments
for module in ("engine.pipeline.swap", "engine.media.encode"):
    __import__(module)
    sys.modules[module].segment_length = lambda _: %d
from engine.api import swap
source, film, output, work, quick = sys.argv[1:]
report = swap(source, film, output, work_dir=work, device="cpu", **json.loads(quick))
print(json.dumps(report.notes))
"""


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_part(film: Path, whole: Path, tmp_path: Path) -> None:
    """Kill a swap at random moments, by SIGKILL, and run it to its end."""
    work, output = tmp_path / "work", tmp_path / "out.mp4"
    arguments = [str(asset(STRANGER)), str(film), str(output), str(work), json.dumps(QUICK)]
    command = [sys.executable, "-c", _RUN % LENGTH, *arguments]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    length = time.monotonic() - began
    assert packets(output) == packets(whole)
    output.unlink()
    chance = random.Random(5)
    kept: list[int] = []
    for _ in range(KILLS):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(chance.uniform(0.5, 1.0) * length)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
        finished = len(list(work.glob("*/segment-*")))
        if output.exists():
            assert packets(output) == packets(whole)
            output.unlink()
            kept.clear()
        else:
            assert finished >= (kept[-1] if kept else 0)
            kept.append(finished)
    subprocess.run(command, check=True, capture_output=True)
    assert packets(output) == packets(whole)
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_a_segment_is_on_the_disk_before_it_counts(tmp_path: Path) -> None:
    file = WorkFile(tmp_path / "segment")
    file.file.write(b"half")
    assert not (tmp_path / "segment").exists()
    file.discard()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        WorkFile(tmp_path / "missing" / "segment")


def test_a_film_that_is_read_otherwise_is_refused(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, work = tmp_path / "out.mp4", tmp_path / "work"
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(12), **QUICK)
    other = write_clip(tmp_path / "other.mkv", [50 * n for n in range(FRAMES)], paint=paint)
    monkeypatch.setattr("engine.pipeline.kept_segments.file_sha256", lambda path: path.suffix)
    with pytest.raises(Cancelled):
        warm.swap(asset(STRANGER), film, output, work_dir=work, observe=interrupt(12), **QUICK)
    with pytest.raises(MediaError, match="--fresh"):
        warm.swap(asset(STRANGER), other, output, work_dir=work, **QUICK)
