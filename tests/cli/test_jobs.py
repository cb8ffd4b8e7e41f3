"""The commands about jobs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.commands import main
from engine.hosted.service import JobSubmitter
from engine.jobs.job_store import JobStore
from tests.footage import STRANGER, TWO, asset, picture, write_png

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def request_id(home: Path, tmp_path: Path) -> str:
    """A job that waits."""
    still = write_png(tmp_path / "two.png", picture(TWO))
    with JobStore(home) as store:
        call = {"source_image": asset(STRANGER), "target": still, "pixel_boost": "128x128"}
        return JobSubmitter(store=store).submit(call).id


def test_a_worker_does_what_waits(
    home: Path, request_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worker", "--until-idle", "--home", str(home)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == "1 done"
    assert main(["jobs", "show", request_id, "--home", str(home), "--json"]) == 0
    job = json.loads(capsys.readouterr().out)
    assert (job["state"], job["id"], job["error"]) == ("COMPLETED", request_id, None)
    assert Path(job["output"]).is_file()


def test_a_lasting_worker_stops_when_it_is_told(home: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "engine", "worker", "--home", home],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr
    assert worker.stderr.readline().startswith("running the jobs in ")
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=20)
    assert (worker.returncode, said) == (0, "0 done\n")


def test_jobs_are_listed_shown_and_cancelled(
    home: Path,
    request_id: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACESWAP_ENGINE_HOME", str(home))
    assert main(["jobs", "list"]) == 0
    heads, row = capsys.readouterr().out.splitlines()
    assert heads.split() == ["id", "state", "frames", "age", "target"]
    assert row.split()[:2] == [request_id, "QUEUED"]
    assert row.endswith("two.png")

    assert main(["jobs", "show", request_id]) == 0
    shown = capsys.readouterr().out
    assert "two.png" in shown
    assert "error" not in shown

    assert main(["jobs", "cancel", request_id]) == 0
    assert capsys.readouterr().out == f"{request_id} is FAILED\n"
    assert main(["jobs", "list", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)
    assert (job["state"], job["error"]) == ("FAILED", "The job was cancelled.")
    assert main(["jobs", "show", request_id]) == 0
    assert "The job was cancelled." in capsys.readouterr().out


def test_a_job_in_work_ends_at_its_next_frame(
    home: Path, request_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with JobStore(home) as store:
        assert store.claim("one", 30)
        assert main(["jobs", "cancel", request_id, "--home", str(home)]) == 0
    assert capsys.readouterr().out == f"{request_id} ends at its next frame\n"


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_an_unknown_job_is_an_error(
    home: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", command, "nope", "--home", str(home)]) == 8
    assert capsys.readouterr().err.startswith("error: There is no job 'nope'")


def test_the_group_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs"]) == 0
    assert "cancel" in capsys.readouterr().out
