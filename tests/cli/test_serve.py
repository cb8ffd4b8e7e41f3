"""`serve` reports wrong options before it listens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.cli.commands import main
from engine.server.serving import listen


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "no key is set; give one with FACESWAP_ENGINE_API_KEY"),
        (["--host", "0.0.0.0", "--api-key", ""], 2, "--api-key is empty"),
        (["--media-root", "nowhere"], 2, "--media-root is nowhere, which is no folder"),
        (["--max-queue", "0"], 2, "--max-queue is 0; allowed: a number above 0"),
        (["--max-body", "nan"], 2, "--max-body is nan; allowed: a number above 0"),
        (["--max-body", "1e-9"], 2, "--max-body is 1e-09; allowed"),
        (["--max-pixels", "inf"], 2, "--max-pixels is inf; allowed: a number above 0"),
        (["--max-output", "-1"], 2, "--max-output is -1.0; allowed: a number above 0"),
        (["--max-store", "nan"], 2, "--max-store is nan; allowed: a number above 0"),
        (["--max-duration", "inf"], 2, "--max-duration is inf; allowed: a number above 0"),
        (["--body-timeout", "nan"], 2, "--body-timeout is nan; allowed: a number above 0"),
        (["--wait-timeout", "inf"], 2, "--wait-timeout is inf; allowed: a number above 0"),
        (["--max-job-time", "inf"], 2, "--max-job-time is inf; allowed: a number above 0"),
        (["--min-crf", "nan"], 2, "--min-crf is nan; allowed: a number above 0"),
        (["--retention", "nan"], 2, "--retention is nan; allowed: seconds from 0"),
        (["--api-key", "schlüssel"], 2, "--api-key holds characters that are not printable ASCII"),
        (["--port", "70000"], 2, "65535"),
        (["--host", "192.0.2.1", "--api-key", "k"], 6, "Nothing can listen on 192.0.2.1"),
    ],
)
def test_a_refusal_to_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACESWAP_ENGINE_API_KEY", raising=False)
    assert main(["serve", "--home", str(tmp_path / "home"), *arguments]) == code
    assert words in capsys.readouterr().err


def test_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--home", str(tmp_path), "--port", port]) == 6
    assert "choose another with --port" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "engine.server.access", raising=False)
    monkeypatch.setitem(sys.modules, "starlette.datastructures", None)
    assert main(["serve"]) == 6
    said = capsys.readouterr().err
    assert "pip install 'starlette" in said
    assert "'uvicorn" in said
