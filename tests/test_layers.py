"""One direction of imports: a room imports from rows below its own; third parties are fenced."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine

PACKAGE = Path(engine.__file__).parent

ROWS = {
    "values": 0,
    "errors": 0,
    "bounds": 0,
    "options": 0,
    "version": 0,
    "suggestions": 0,
    "geometry": 1,
    "pixels": 2,
    "media": 2,
    "runtime": 2,
    "weights": 3,
    "optimise": 4,
    "faces": 5,
    "selection": 5,
    "swappers": 5,
    "compose": 5,
    "enhance": 5,
    "trust": 5,
    "parameters": 6,
    "networks": 6,
    "analysis": 6,
    "pipeline": 7,
    "api": 8,
    "jobs": 8,
    "hosted": 9,
    "doctor": 10,
    "server": 10,
    "cli": 11,
    "__main__": 12,
    "__init__": 12,
}
# The rooms of row 5 turn arrays into arrays: only the pipeline brings them together with files.
WITHOUT_MEDIA = {"faces", "selection", "swappers", "compose", "enhance"}
THIRD_PARTY = {
    "pixels": {"cv2"},
    "media": {"av"},
    "runtime": {"onnx", "onnxruntime", "platformdirs"},
    "weights": {"onnx", "platformdirs", "pydantic"},
    "optimise": {"onnx", "onnxruntime"},
    "parameters": {"pydantic"},
    "jobs": {"platformdirs"},
    "server": {"starlette", "uvicorn"},
    "cli": {"typer", "rich"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Absolute dotted names of all that a module imports, relative imports resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(parents if node.level else []), *([node.module] if node.module else [])]
            )
            # `from engine import media` names a room by what it imports.
            yield from (
                f"{base}.{alias.name}" if base == "engine" else base for alias in node.names
            )


def breaches(room: str, names: Iterator[str]) -> Iterator[str]:
    for name in names:
        top, _, rest = name.partition(".")
        if top != "engine":
            allowed = {"numpy", "__future__"} | THIRD_PARTY.get(room, set())
            if top not in allowed and top not in sys.stdlib_module_names:
                yield f"{name} is not a third party of {room}"
            if top == "sqlite3" and room != "jobs":
                yield f"{room} must leave {name} to jobs"
            continue
        other = rest.partition(".")[0] or "__init__"
        if other == room:
            continue
        if other not in ROWS:
            yield f"{name} is in no row"
        elif other == "media" and room in WITHOUT_MEDIA:
            yield f"{room} must not read or write files, and imports {name}"
        elif ROWS[other] >= ROWS[room] and ROWS[room] > 0:
            yield f"{room} (row {ROWS[room]}) imports {name} (row {ROWS[other]})"
        elif ROWS[other] > 0 and ROWS[room] == 0:
            yield f"{room} (row 0) imports {name} (row {ROWS[other]})"


def test_every_row_is_of_a_room() -> None:
    assert {room_of(path) for path in MODULES} == ROWS.keys()
    assert ROWS.keys() >= THIRD_PARTY.keys() | WITHOUT_MEDIA


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    package = ".".join(["engine", *path.relative_to(PACKAGE).parent.parts])
    names = imports(ast.parse(path.read_text(encoding="utf-8")), package)
    assert room_of(path) in ROWS, f"give {room_of(path)} a row"
    assert list(breaches(room_of(path), names)) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("faces", "from engine.pipeline import run"),
        ("faces", "from engine.swappers.swapper import Swapper"),
        ("faces", "from ..swappers import contract"),
        ("faces", "from engine import media"),
        ("faces", "def f():\n    import cv2"),
        ("geometry", "import scipy"),
        ("values", "from engine.geometry import boxes"),
        ("swappers", "import engine.media.decode"),
        ("api", "import engine.unheard_of"),
        ("hosted", "import sqlite3"),
        ("jobs", "from engine.api import Engine"),
    ],
)
def test_a_breach_is_seen(room: str, source: str) -> None:
    assert list(breaches(room, imports(ast.parse(source), f"engine.{room}")))
