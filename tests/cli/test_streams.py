"""Streams that are closed, full, gone or cannot show every character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.footage import STRANGER, TWO, asset, picture, write_png

ROOT = Path(__file__).parents[2]
SOURCE = str(asset(STRANGER))

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device so full")


def run(line: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Return the command with its streams as a shell's `line` sets them."""
    command = [sys.executable, "-m", "engine", *arguments]
    return subprocess.run(
        ["sh", "-c", f'"$@" {line}', "sh", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO)))


@pytest.mark.parametrize("line", [">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_stream_is_needed_for_a_swap(line: str, still: str, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    done = run(line, "swap", SOURCE, still, "-o", str(output))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert output.is_file()
    assert list(tmp_path.iterdir()) == [output]


def test_a_report_that_was_asked_for_is_missed_and_the_swap_kept(
    still: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    done = run(">/dev/full", "swap", SOURCE, still, "-o", str(output), "--json", "--quiet")
    assert done.returncode == 3
    assert done.stderr == "error: stdout cannot be written: No space left on device.\n"
    assert output.is_file()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (">/dev/full", "error: stdout cannot be written: No space left on device.\n"),
        (">&-", "error: stdout cannot be written: it is closed.\n"),
        (">/dev/full 2>/dev/full", ""),
        # The reader has gone before the first line is written.
        ("| true", ""),
    ],
)
@pytest.mark.parametrize("arguments", [["weights", "list"], ["weights", "list", "--json"], ["-h"]])
def test_what_was_to_be_printed_and_is_not_is_code_3(
    line: str, words: str, arguments: list[str]
) -> None:
    if line.startswith("|"):
        # Its own code, not that of the last in the pipe.
        command = [sys.executable, "-m", "engine", *arguments]
        done = subprocess.run(
            ["sh", "-c", '{ sleep 0.3; "$@"; echo $? >&2; } | true', "sh", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "3\n"
        return
    done = run(line, *arguments)
    assert (done.returncode, done.stderr, done.stdout) == (3, words, "")


def test_files_do_not_get_the_numbers_of_closed_streams(tmp_path: Path) -> None:
    script = (
        "import sys; from engine.cli import streams; streams.guard()\n"
        "file = open(sys.argv[1], 'w'); file.write(str(file.fileno())); file.close()"
    )
    result = tmp_path / "number"
    subprocess.run(
        ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", script, str(result)],
        cwd=ROOT,
        check=True,
    )
    assert int(result.read_text()) > 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8:strict"])
def test_any_name_can_be_printed(encoding: str) -> None:
    script = (
        "import sys; from engine.cli import streams, tables; streams.guard()\n"
        "if len(sys.argv) > 1: tables.as_json({'file': 'a\\udcff \\u4e00.png'})\n"
        "else: tables.table(('file',), [('a\\udcff \\u4e00.png',)])\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script, *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        ).stdout.decode()
        for more in ([], ["json"])
    ]
    assert said[0].startswith("file\na")
    assert json.loads(said[1]) == {"file": "a\udcff 一.png"}
