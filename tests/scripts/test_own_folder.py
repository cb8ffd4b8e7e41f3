"""Scripts remove only their own files before they write into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import fuzz
import gpu_check
import pytest
from own_folder import claim

from engine.cli import streams


def remaining_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_of_an_earlier_run_only_what_it_made_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    claim(folder, "script", "results.txt", "part-*")
    (folder / "part-1").mkdir()
    for name in ("results.txt", "part-1/a", "notes.txt"):
        (folder / name).touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "b").touch()
    (folder / "part-2").symlink_to(tmp_path / "mine")
    claim(folder, "script", "results.txt", "part-*")
    assert remaining_files(folder) == [".made-by-script", "notes.txt"]
    assert remaining_files(tmp_path / "mine") == ["b"]


@pytest.mark.parametrize(
    ("script", "arguments", "name"),
    [(fuzz, ["--count", "1"], "failures"), (gpu_check, [".", "--device", "cpu"], "site")],
)
def test_a_folder_of_somebody_else_is_left_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: object,
    arguments: list[str],
    name: str,
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").touch()
    monkeypatch.setattr(streams, "guard", lambda: None)
    monkeypatch.setattr(sys, "argv", ["script", *arguments, "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        script.main()  # type: ignore[attr-defined]
    assert f"{tmp_path} is not empty" in capsys.readouterr().err
    assert remaining_files(tmp_path) == [name, f"{name}/mine.txt"]
