"""The store of work files: who may use, find and remove what."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from engine.errors import MediaError
from engine.work.work_store import DAY, WORK_VARIABLE, WorkStore, default_work_folder


def digest(key: str) -> str:
    return hashlib.md5(key.encode()).hexdigest()


def leave(store: WorkStore, key: str, size: int = 1000, days: float = 0.0) -> Path:
    """Leave a folder as an interrupted run does, last used `days` ago."""
    with store.open(digest(key), {"target": f"{key}.mp4"}) as folder:
        new = folder.create("segment-000000")
        new.file.write(bytes(size))
        new.commit()
    before = time.time() - days * DAY
    for file in folder.path.iterdir():
        os.utime(file, (before, before))
    return folder.path


def keys(store: WorkStore) -> list[str]:
    return [str(entry.about["target"]).removesuffix(".mp4") for entry in store.entries()]


def test_what_a_run_leaves_is_listed_and_found_again(tmp_path: Path) -> None:
    store = WorkStore(tmp_path / "work")
    path = leave(store, "a")
    (entry,) = store.entries()
    assert (entry.key, entry.about, entry.in_use) == (digest("a"), {"target": "a.mp4"}, False)
    assert entry.size >= 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "segment-000000").stat().st_mode) == 0o600
    with store.open(digest("a")) as folder:
        assert [file.name for file in folder.files("segment-")] == ["segment-000000"]
    with store.open(digest("a"), fresh=True) as folder:
        assert folder.files("segment-") == []


def test_a_finished_run_leaves_nothing(tmp_path: Path) -> None:
    store = WorkStore(tmp_path / "work")
    leave(store, "a")
    with store.open(digest("a")) as folder:
        folder.is_done = True
    assert keys(store) == []


def test_what_is_in_use_is_not_removed(tmp_path: Path) -> None:
    store, other = WorkStore(tmp_path / "work", limit=1), WorkStore(tmp_path / "work", retention=0)
    with store.open(digest("a")) as folder:
        new = folder.create("segment-000000")
        new.file.write(bytes(1000))
        new.commit()
        assert store.entries()[0].in_use
        assert other.clear() == ()
        assert other.prune() >= 1000
        assert not folder.has_room()
        with other.open(digest("a"), fresh=True) as same:
            assert same.files("segment-")
            same.is_done = True
        assert folder.files("segment-")
    assert [entry.key for entry in other.clear()] == [digest("a")]
    assert keys(store) == []


def test_the_oldest_go_first_and_all_go_after_the_retention_time(tmp_path: Path) -> None:
    store = WorkStore(tmp_path / "work")
    for key, days in (("old", 31), ("a", 3), ("c", 1), ("b", 2)):
        leave(store, key, days=days)
    assert keys(store) == ["c", "b", "a"]  # the last `open` has removed the old one
    total = sum(entry.size for entry in store.entries())
    WorkStore(store.folder, limit=total - 1).prune()
    assert keys(store) == ["c", "b"]
    WorkStore(store.folder, retention=1.5 * DAY).prune()
    assert keys(store) == ["c"]


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "lock").touch()
    (tmp_path / "file").write_text("mine")
    store = WorkStore(tmp_path, retention=0, limit=0)
    leave(store, "a")
    store.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "notes"]


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    with (
        pytest.raises(MediaError, match=r"folder of work files, .* cannot be written"),
        WorkStore(tmp_path / "work").open(digest("a")),
    ):
        pass


def test_the_folder_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORK_VARIABLE, str(tmp_path))
    assert default_work_folder() == tmp_path
    monkeypatch.delenv(WORK_VARIABLE)
    assert default_work_folder().name == "work"
