"""Types of the public functions, as a type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from engine.parameters import SwapKeywords, SwapParameters

ROOT = Path(__file__).parents[1]

RIGHT = """
import engine

report = engine.swap("a.png", "b.mp4", "c.mp4", pixel_boost="512x512", crf=20, start="1:30")
frames: int = report.frames
with engine.Engine() as one:
    found: engine.FoundFaces = one.faces("a.png", face_selector_gender="none")
    first: engine.Face = found.faces[0]
"""

WRONG = """
import engine

engine.swap("a.png", "b.mp4", "c.mp4", pixel_bost="512x512")
engine.Engine().swap("a.png", "b.mp4", "c.mp4", crf="20")
engine.Engine().faces("a.png", face_selector_mode="all")
"""


@pytest.mark.slow
def test_a_type_checker_finds_what_is_misspelt_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    files = [str(tmp_path / "right.py"), str(tmp_path / "wrong.py")]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(": ")[0].rpartition("/")[2] for line in errors] == [
        "wrong.py:4",
        "wrong.py:5",
        "wrong.py:6",
    ], done.stdout + done.stderr
    assert 'Unexpected keyword argument "pixel_bost"' in errors[0]


def schema_parts(schema: Any) -> set[str]:
    """Return the types and the choices of a JSON schema, wherever they stand in it."""
    if isinstance(schema, list):
        return {part for each in schema for part in schema_parts(each)}
    if not isinstance(schema, dict):
        return set()
    own = {f"type {schema['type']}"} if isinstance(schema.get("type"), str) else set()
    own |= {f"choice {choice}" for choice in schema.get("enum", ())}
    own |= {f"choice {schema['const']}"} if "const" in schema else set()
    nested = (value for key, value in schema.items() if key not in ("default", "examples"))
    return own.union(*map(schema_parts, nested))


def test_the_keywords_are_the_fields_of_the_model() -> None:
    assert get_type_hints(SwapKeywords).keys() == SwapParameters.model_fields.keys()


@pytest.mark.parametrize("name", SwapParameters.model_fields)
def test_a_keyword_takes_what_the_model_takes(name: str) -> None:
    schema = SwapParameters.model_json_schema()["properties"][name]
    keyword = schema_parts(TypeAdapter(get_type_hints(SwapKeywords)[name]).json_schema())
    if name == "pixel_boost":
        keyword.remove("type integer")  # one side is short for the square
    assert keyword == schema_parts(schema)
