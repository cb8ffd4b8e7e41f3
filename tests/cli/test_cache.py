"""The commands `cache list` and `cache clear`."""

import json
from pathlib import Path

import pytest

from engine.cli.commands import main
from engine.work.work_store import WorkStore
from tests.work.test_work_store import leave


def test_work_files_are_listed_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["--work-dir", str(tmp_path)]
    assert main(["cache", "list", *there]) == 0
    assert "no work files" in capsys.readouterr().out
    leave(WorkStore(tmp_path), "a", size=3 * 2**20)
    assert main(["cache", "list", *there]) == 0
    assert "a.mp4" in capsys.readouterr().out
    assert main(["cache", "list", "--json", *there]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["target"] == "a.mp4"
    assert entry["bytes"] > 3 * 2**20
    assert main(["cache", "clear", *there]) == 0
    assert "Removed the work files of 1 swap, 3.0 MiB." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
