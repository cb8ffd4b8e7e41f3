"""A parameter is declared in the model, and shown wherever parameters are."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner
from write_schema import page, schema

from engine.cli.parameter_options import keywords, with_parameters
from engine.errors import ParameterError
from engine.options import PIXEL_BOOSTS
from engine.parameters import Allowed, SwapCall, SwapParameters, allowed, help_text, parse


class Call(SwapCall):
    """The model with one more parameter."""

    grain: Annotated[float, Field(ge=0, le=2), Allowed("a number from 0 to 2")] = Field(
        0.5, description="Strength of the film grain.", json_schema_extra={"x-panel": "Grain"}
    )


def run(*arguments: str) -> tuple[int, Any]:
    """Run a command with the options of all parameters; return the result of `keywords`."""
    app = typer.Typer()
    seen: list[Any] = []

    @app.command()
    @with_parameters()
    def command(context: typer.Context, **options: Any) -> None:
        seen.append(keywords(context, options))

    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, ParameterError):
        raise result.exception
    return result.exit_code, seen[0] if seen else result.output


def test_a_field_of_the_model_is_an_option_a_property_and_a_row() -> None:
    app = typer.Typer()

    @app.command()
    @with_parameters(("grain",), Call)
    def command(**options: Any) -> None:
        typer.echo(options["grain"])

    helped = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for words in ("--grain", "Strength of the film grain", "a number from 0 to 2", "Grain", "0.5"):
        assert words in helped
    assert CliRunner().invoke(app, ["--grain", "1.5"]).output == "1.5\n"
    described = json.loads(schema(Call))["properties"]["grain"]
    assert described["maximum"] == 2
    assert described["description"] == "Strength of the film grain."
    row = "| `grain` | `0.5` | a number from 0 to 2 | Strength of the film grain. |"
    assert row in page(Call)


def test_only_what_the_command_line_names_is_set() -> None:
    assert run() == (0, {})
    arguments = [
        "--crf",
        "20",
        "--start",
        "1:30",
        "--no-content-check",
        "--face-selector-gender",
        "none",
    ]
    assert run(*arguments)[1] == {
        "crf": 20.0,
        "start": 90.0,
        "content_check": False,
        "face_selector_gender": None,
    }
    # What is named at its default is set, too: it refuses a swapper that cannot do it.
    assert run("--pixel-boost", "384")[1] == {"pixel_boost": "384x384"}
    several = ["--reference-image", "a.png", "--reference-image", "b.png", "--face-region", "nose"]
    assert run(*several)[1] == {"reference_image": ("a.png", "b.png"), "face_region": ("nose",)}


def test_all_problems_of_a_command_line_are_named_at_once() -> None:
    with pytest.raises(ParameterError) as raised:
        run("--crf", "x", "--detect-every", "31", "--start", "soon", "--face-region", "ear")
    for words in ("crf is 'x'; allowed: a number", "detect_every is '31'", "start is 'soon'"):
        assert words in str(raised.value)
    assert str(raised.value).count("allowed:") == 4


def test_text_is_no_number_where_it_is_not_asked_for() -> None:
    assert parse({"crf": "20"}, from_text=True).crf == 20
    with pytest.raises(ParameterError, match="crf is '20'"):
        parse({"crf": "20"})


@pytest.mark.parametrize("name", SwapParameters.model_fields)
def test_a_help_text_is_a_sentence_without_the_words_of_json(name: str) -> None:
    assert help_text(name).endswith(".")
    assert "null, " not in help_text(name)


def test_the_sizes_of_the_boost_are_those_that_are_allowed() -> None:
    assert allowed("pixel_boost") == ", ".join([*(f"{n}x{n}" for n in PIXEL_BOOSTS), "auto"])
