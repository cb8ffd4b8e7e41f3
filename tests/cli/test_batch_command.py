"""`swap` for many targets, from the command line to files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.commands import main
from tests.footage import STRANGER, TWO, asset, picture, write_clip, write_png

SOURCE = str(asset(STRANGER))
ROOT = Path(__file__).parents[2]
QUICK = ("--swapper", "mesh", "--pixel-boost", "128", "--video-codec", "ffv1")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    write_png(folder / "a.png", picture(TWO))
    (folder / "b.jpg").write_text("no picture")
    write_clip(folder / "c.mkv", range(0, 160, 40))
    return folder


def test_a_batch_says_what_was_done_and_that_some_failed(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["swap", SOURCE, str(album), "-o", str(out), *QUICK]
    assert main(line) == 9
    said = capsys.readouterr()
    told = said.out.splitlines()
    assert told[0].startswith(f"{out}/a.png: 1 of 2 faces swapped in 1 frame")
    assert told[1].startswith(f"{out}/c.mkv: 4 of 8 faces swapped in 4 frames")
    assert told[-1].startswith("2 of 3 targets swapped, 1 failed, ")
    (error,) = (one for one in said.err.splitlines() if one.startswith("error: "))
    assert f"{album}/b.jpg" in error
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "c.mkv"]
    (album / "b.jpg").rename(album / "b.txt")
    try:
        assert main([*line, "--skip-existing", "--json"]) == 0
    finally:
        (album / "b.txt").rename(album / "b.jpg")
    results = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [one["state"] for one in results] == ["skipped", "skipped"]


def test_each_target_is_a_line_of_json(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(
        f"target,output,face_selector_mode\n{album}/a.png,one.png,one\n"
        f"{album}/a.png,sub/many.png,many\n{album}/none.png,none.png,\n"
    )
    line = ["swap", SOURCE, "--batch", str(listed), "--json", "--quiet", *QUICK[:4]]
    assert main(line) == 9
    said = capsys.readouterr()
    one, many, none = (json.loads(text) for text in said.out.splitlines())
    assert one["report"]["faces_swapped"] == 1
    assert many["report"]["faces_swapped"] == 2
    assert many["row"] == f"{listed}, line 3"
    assert none["state"] == "failed"
    assert none["error"]["kind"] == "MediaError"
    assert said.err.splitlines() == [
        f"error: {listed}, line 4: {album}/none.png does not exist; check the path."
    ]
    assert (tmp_path / "sub" / "many.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["SOURCE", "a.png", "b.png"], "Many targets need a source and a folder"),
        (["SOURCE", "a.png", "b.png", "-o", "out.mp4"], "--output is out.mp4, which is no folder"),
        (["SOURCE", "a.png", "--batch", "list.csv"], "target beside the list"),
        (["--batch", "none.csv"], "none.csv does not exist"),
        (["SOURCE", "a.png", "b.png", "-o", "x", "--trace", "t"], "are of one target; leave"),
        (
            ["SOURCE", "a.png", "b.png", "-o", "x", "--skip-existing", "--overwrite"],
            "exclude each other",
        ),
        (["SOURCE", "a.png", "x/a.png", "-o", "x"], "output is x/a.png, which is also the target"),
        ([], "Missing argument 'SOURCE'"),
        (["SOURCE"], "TARGET is missing; name SOURCE and TARGET"),
        (["SOURCE", "a.png"], "Missing option '--output' / '-o'"),
    ],
)
def test_a_batch_that_cannot_begin_is_refused(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text("source,target,output\na,b,c.png\n")
    assert main(["swap", *arguments]) in (2, 3)
    said = capsys.readouterr()
    assert words in said.err
    assert "targets swapped" not in said.err
    assert not Path("x").exists()


def test_a_single_target_may_be_skipped_too(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    output.write_text("mine")
    assert main(["swap", SOURCE, f"{album}/a.png", "-o", str(output), "--skip-existing"]) == 0
    assert "is skipped" in capsys.readouterr().err
    assert output.read_text() == "mine"


def test_a_signal_ends_a_batch_and_tells_what_is_done(album: Path, tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mkv", range(0, 8000, 40))
    output = tmp_path / "results"
    output.mkdir()
    # The process sends the signal to itself once the film's partial output is there.
    script = f"""
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)

def send():
    while len(os.listdir({str(output)!r})) < 2:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=send, daemon=True).start()
from engine.cli import main
sys.exit(main())
"""
    targets = (f"{album}/a.png", str(film))
    options = ("-o", str(output), *QUICK, "--face-selector-mode", "many")
    done = subprocess.run(
        [sys.executable, "-c", script, "swap", SOURCE, *targets, *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert "Traceback" not in done.stderr
    summary, last = done.stderr.splitlines()[-2:]
    assert summary.startswith("1 of 2 targets swapped, ")
    assert summary.endswith("1 left; the same command with --skip-existing goes on.")
    assert last.startswith("error: stopped")
    assert [path.name for path in output.iterdir()] == ["a.png"]
