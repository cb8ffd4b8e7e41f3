"""Check the imports of `engine/` against the table of rooms in docs/rooms.toml.

A room imports only from lower rows. numpy and the standard library are open to all rooms, other
third-party packages only to those that the table names, and `sqlite3` only to `jobs`. Imports
inside functions and relative imports count, too.

This is not an import-linter configuration: its contracts need a list of forbidden packages, so a
package that nobody has listed would pass, while here every package is forbidden that the table does
not allow. One table for rows and packages also reads better than a dozen contracts.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import engine

PACKAGE = Path(engine.__file__).parent


class Room(NamedTuple):
    """A row of the table; its head explains the columns."""

    row: int
    purpose: str
    third_party: tuple[str, ...] = ()
    files: bool = True


TABLE = tomllib.loads((PACKAGE.parent / "docs" / "rooms.toml").read_text("utf-8"))
ROOMS = {name: Room(**columns) for name, columns in TABLE.items()}
# A frame converts itself for users of the public API; it imports the conversion when called.
UPWARD = {("values", "engine.pixels.planes")}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the room of a file of the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the absolute dotted names that a module of a package imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(parents if node.level else []), *([node.module] if node.module else [])]
            )
            # `from engine import media` imports a room.
            yield from (
                f"{base}.{alias.name}" if base == "engine" else base for alias in node.names
            )


def breaches(name: str, imported: Iterator[str]) -> Iterator[str]:
    """Yield a sentence for each import that the table does not allow to a room."""
    room = ROOMS[name]
    for module in imported:
        top, _, rest = module.partition(".")
        if top != "engine":
            allowed = {"numpy", "__future__", *room.third_party}
            if top not in allowed and top not in sys.stdlib_module_names:
                yield f"{name} may not import the third-party package {module}"
            if top == "sqlite3" and name != "jobs":
                yield f"{name} may not import {module}, only jobs may"
            continue
        other = rest.partition(".")[0] or "__init__"
        if other == name or (name, module) in UPWARD:
            continue
        if other not in ROOMS:
            yield f"{module} is not in the table"
        elif other == "media" and not room.files:
            yield f"{name} works on arrays and may not import {module}"
        elif ROOMS[other].row >= room.row and not ROOMS[other].row == room.row == 0:
            yield f"{name} (row {room.row}) imports {module} (row {ROOMS[other].row})"


def test_the_table_holds_every_room_and_no_other() -> None:
    assert {room_of(path) for path in MODULES} == ROOMS.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_what_the_table_allows(path: Path) -> None:
    package = ".".join(["engine", *path.relative_to(PACKAGE).parent.parts])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert room_of(path) in ROOMS, f"add {room_of(path)} to docs/rooms.toml"
    assert list(breaches(room_of(path), imported_names(tree, package))) == []


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
def test_a_forbidden_import_is_found(room: str, source: str) -> None:
    assert list(breaches(room, imported_names(ast.parse(source), f"engine.{room}")))
