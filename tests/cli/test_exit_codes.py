"""Exit codes are the same in the code, the help and the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from engine.cli.commands import EPILOG
from engine.errors import EngineError

README = Path(__file__).parents[2] / "README.md"


def codes(kind: type[EngineError]) -> Iterator[int]:
    yield kind.exit_code
    for child in kind.__subclasses__():
        yield from codes(child)


def test_the_help_and_the_readme_tell_the_same_codes_and_all_of_the_errors() -> None:
    told = {int(code) for code in re.findall(r"^(\d+)\s", EPILOG, re.MULTILINE)}
    (listed,) = re.findall(r"Exit codes: (.*?)\. A run", README.read_text("utf-8"), re.DOTALL)
    assert {int(code) for code in re.findall(r"\d+", listed)} == told
    assert told >= set(codes(EngineError))
