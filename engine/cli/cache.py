"""The commands that list and remove work files."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from engine.cli.commands import AsJson, Debug, app, report_errors

if TYPE_CHECKING:
    from engine.work.work_store import WorkEntry

cache_app = typer.Typer(help="List and remove the work files of interrupted swaps.")
app.add_typer(cache_app, name="cache")

WorkDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the work files (default: FACESWAP_ENGINE_WORK, else in the user's cache).",
        metavar="FOLDER",
        show_default=False,
    ),
]


@cache_app.command("list")
def list_work(*, work_dir: WorkDir = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """List what interrupted swaps have finished."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.work.work_store import WorkStore

        store = WorkStore(work_dir)
        entries = store.entries()
        if as_json:
            tables.as_json([_facts(entry) for entry in entries])
        elif not entries:
            typer.echo(f"There are no work files in {store.folder}.")
        else:
            tables.table(
                ["swap of", "to", "size", "last changed", ""],
                [
                    [
                        str(entry.about.get("target", "?")),
                        str(entry.about.get("output", "?")),
                        _size(entry.size),
                        _time(entry),
                        "in use" if entry.in_use else "",
                    ]
                    for entry in entries
                ],
            )


@cache_app.command()
def clear(*, work_dir: WorkDir = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Remove all work files that no running swap uses."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.work.work_store import WorkStore

        removed = WorkStore(work_dir).clear()
        if as_json:
            tables.as_json([_facts(entry) for entry in removed])
        else:
            size = _size(sum(entry.size for entry in removed))
            swaps = "1 swap" if len(removed) == 1 else f"{len(removed)} swaps"
            typer.echo(f"Removed the work files of {swaps}, {size}.")


def _facts(entry: WorkEntry) -> dict[str, Any]:
    return {
        "key": entry.key,
        **entry.about,
        "bytes": entry.size,
        "changed": _time(entry),
        "in_use": entry.in_use,
    }


def _time(entry: WorkEntry) -> str:
    return datetime.fromtimestamp(entry.used).astimezone().isoformat(" ", "seconds")


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
