"""Clients can name files below the media roots, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import ParameterError
from engine.hosted.service import JobGuard
from engine.jobs.job_store import Job, JobStore
from engine.jobs.process import ReportProgress
from engine.jobs.worker import JobResult, run_worker
from engine.server.build import limit_to_roots
from engine.server.media_roots import MediaRoots
from engine.server.responses import Refusal


@pytest.fixture
def roots(tmp_path: Path) -> MediaRoots:
    media, other = tmp_path / "media", tmp_path / "other"
    for folder in (media, other, tmp_path / "media-private"):
        folder.mkdir()
        (folder / "clip.mp4").write_bytes(b"clip")
    (media / "folder").mkdir()
    (media / "inside").symlink_to(media / "clip.mp4")
    (media / "outside").symlink_to(tmp_path / "media-private" / "clip.mp4")
    (media / "up").symlink_to(tmp_path)
    (media / "round").symlink_to(media / "round")
    os.mkfifo(media / "pipe")
    return MediaRoots.from_folders([media])


def test_a_file_inside_is_given(roots: MediaRoots, tmp_path: Path) -> None:
    clip = tmp_path / "media" / "clip.mp4"
    assert roots.resolve("target", clip) == clip
    assert roots.resolve("target", Path("clip.mp4")) == clip
    assert roots.resolve("target", Path("inside")) == clip
    assert roots.resolve("target", Path("folder/../clip.mp4")) == clip


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/not-there",
        "../media-private/clip.mp4",
        "{root}/../media-private/clip.mp4",
        "{root}-private/clip.mp4",
        "outside",
        "up/media-private/clip.mp4",
        "folder/../../other/clip.mp4",
        "~/.ssh/id_rsa/../../../../../../../../etc/passwd",
    ],
)
def test_a_path_that_leads_out_is_forbidden(roots: MediaRoots, path: str) -> None:
    with pytest.raises(Refusal, match="outside the folders") as refused:
        roots.resolve("target", Path(path.format(root=roots.folders[0])))
    assert refused.value.code == 403


@pytest.mark.parametrize("path", ["none.mp4", "folder", "pipe", ".", "round", "a" * 5000, "a\0b"])
def test_what_is_no_file_is_a_bad_parameter(roots: MediaRoots, path: str) -> None:
    with pytest.raises((Refusal, ParameterError), match="target") as refused:
        roots.resolve("target", Path(path))
    assert getattr(refused.value, "code", 400) == 400


def test_without_folders_there_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(Refusal, match="data: URI") as refused:
        MediaRoots().resolve("target", tmp_path / "clip.mp4")
    assert refused.value.code == 403


def test_a_folder_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no folder"):
        MediaRoots.from_folders([tmp_path / "nowhere"])


def test_a_linked_folder_is_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "clip.mp4").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    roots = MediaRoots.from_folders([tmp_path / "link"])
    assert roots.resolve("target", tmp_path / "link" / "clip.mp4").is_file()


def test_jobs_read_the_roots_that_the_server_has_now(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def perform(job: Job, _report: ReportProgress) -> JobResult:
        guard = JobGuard.from_job(job)
        assert guard is not None
        seen.append([*guard.bounds.folders])
        return JobResult(job.folder / "output", {})

    now = tmp_path / "now"
    now.mkdir()
    bounds = {"pixels": 1, "seconds": 1, "crf": 1, "output_bytes": 1, "store_bytes": 1}
    with JobStore(tmp_path / "home") as store:
        store.add({"bounds": {**bounds, "folders": ["/", str(tmp_path)]}})
        run_worker(store, limit_to_roots(MediaRoots.from_folders([now]), perform), until_idle=True)
    assert seen == [[str(now)]]
