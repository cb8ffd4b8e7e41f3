from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import typer

from engine.cli import commands
from engine.cli.commands import application, main
from engine.errors import ContentBlocked, EngineError, MediaError, NoFaceFound
from engine.parameters import SwapParameters, allowed, parse
from engine.version import VERSION

ROOT = Path(__file__).parents[2]


def test_every_parameter_is_an_option_with_the_same_default() -> None:
    found = typer.main.get_command(application()).commands["swap"].params  # type: ignore[attr-defined]
    options = {one.name: one.default for one in found}
    assert SwapParameters.model_fields.keys() <= options.keys()
    defaults = {name: options[name] for name in SwapParameters.model_fields}
    for name in ("reference_image", "extra_source_image", "face_region"):
        assert defaults.pop(name) is None
    assert parse(defaults, from_text=True) == parse({})


def test_help_lists_every_option_and_every_choice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["swap", "--help"]) == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    words = " ".join(plain.replace("│", " ").split())
    for name in SwapParameters.model_fields:
        assert f"--{name.replace('_', '-')}" in words
    for name in ("face_selector_mode", "face_selector_order", "pixel_boost", "device"):
        assert allowed(name) in words
    assert "Exit codes" in words


@pytest.mark.parametrize("command", ["swap", "faces", "people", "serve", "worker"])
def test_whole_defaults_are_printed_without_a_point(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([command, "--help"]) == 0
    assert not re.findall(r"\[default: \d+\.0\]", capsys.readouterr().out)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"faceswap-engine {VERSION}\n"


@pytest.mark.parametrize("arguments", [[], ["weights"]])
def test_a_bare_command_shows_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swop"], "No such command 'swop'. Did you mean 'swap'? See faceswap-engine --help."),
        (
            ["swap", "a", "b", "-o", "c", "--mode", "many"],
            "no option --mode. Did you mean --face-selector-mode? See faceswap-engine swap --help.",
        ),
        (["faces", "a", "--age", "3"], "--face-selector-age-start or --face-selector-age-end?"),
        (["swap", "a", "b", "--fps", "3"], "error: There is no option --fps. See faceswap-engine"),
        (["jobs", "list", "--hom", "x"], "There is no option --hom. Did you mean --home? See"),
        (
            ["swap", "a.png", "-o", "c"],
            "TARGET is missing; name SOURCE and TARGET, or give --cast.",
        ),
        (["faces"], "Missing argument 'TARGET'. See faceswap-engine faces --help."),
        (["swap", "a.png", "b.mp4"], "Missing option '--output'"),
        (["swap", "a", "b", "-o", "c", "--pixel-bost", "1"], "--pixel-boost"),
        (["swap", "a", "b", "--occluder"], "an argument. See faceswap-engine swap --help."),
        (["weights", "export", "--overwrite=1"], "See faceswap-engine weights export --help."),
        (["--version=1"], "See faceswap-engine --help."),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoFaceFound("No face."), 4),
        (MediaError("No file."), 3),
        (ContentBlocked("Refused."), 7),
        (EngineError("Something."), 1),
    ],
)
def test_an_error_of_the_engine_is_its_sentence_and_its_code(
    error: EngineError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as raised, commands.report_errors(debug=False):
        raise error
    assert raised.value.exit_code == code
    assert capsys.readouterr().err == f"error: {error}\n"


def test_an_unexpected_error_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised, commands.report_errors(debug=False):
        raise ZeroDivisionError("division by zero")
    assert raised.value.exit_code == 1
    said = capsys.readouterr().err
    assert said == (
        "error: unexpected ZeroDivisionError: division by zero. "
        "Run it again with --debug for the traceback.\n"
    )


def test_an_error_without_words_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), commands.report_errors(debug=False):
        raise MemoryError
    assert capsys.readouterr().err.startswith("error: unexpected MemoryError. Run it again")


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), NoFaceFound("x")])
def test_debug_shows_the_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), commands.report_errors(debug=True):
        raise error
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_control_c_is_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised, commands.report_errors(debug=False):
        raise KeyboardInterrupt
    assert raised.value.exit_code == 130
    assert "Traceback" not in capsys.readouterr().err


def test_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert {"Python", "ONNX Runtime", "OpenCV", "PyAV"} <= {one["subject"] for one in findings}
    assert code == int(any(one["state"] == "broken" for one in findings))


def test_doctor_speaks_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    assert f"Python: {sys.version_info[0]}.{sys.version_info[1]}" in capsys.readouterr().out
