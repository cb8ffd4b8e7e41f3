"""The commands that list, verify, import, export and calibrate networks."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.commands import EPILOG, AsJson, Debug, app, print_traceback, report_errors
from engine.cli.signals import raising_ended
from engine.errors import WeightsError

weights_app = typer.Typer(help="List, verify, import, export and calibrate networks.")
app.add_typer(weights_app, name="weights")


@weights_app.callback(invoke_without_command=True)
def _weights(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@weights_app.command("list")
def list_weights(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the networks that are installed, and those that can be imported."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        store = WeightStore()
        if as_json:
            tables.as_json(tables.weight_list(store))
        else:
            tables.weights(store)
        _exit_on_errors(store.import_record_error())


@weights_app.command()
def verify(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """Compare every weight file with its recorded checksum; exit code 5 if one fails."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        store = WeightStore()
        statuses = store.verify()
        if as_json:
            tables.as_json([tables.status_dict(status) for status in statuses])
        else:
            tables.statuses(statuses)
        _exit_on_errors(store.import_record_error())
        if any(status.state != "ok" for status in statuses):
            raise typer.Exit(WeightsError.exit_code)


def _exit_on_errors(*sentences: str) -> None:
    """Print errors of weights on stderr, if there are any, and end the command with their code."""
    said = [sentence for sentence in sentences if sentence]
    for sentence in said:
        typer.echo(f"error: {sentence}", err=True)
    if said:
        raise typer.Exit(WeightsError.exit_code)


@weights_app.command("import", epilog=EPILOG)
def import_weights(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="Folders, zips, bundles and ONNX files.",
            show_default=False,
        ),
    ],
    *,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Import weights that you have: each file is recognised, checked and copied.

    The exit code is 5 if a file cannot be read; the others are imported all the same. Unknown
    networks in folders and zips are skipped with a note.
    """
    with report_errors(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        store, reports, broken = WeightStore(), [], []
        with raising_ended():
            for path in paths:
                try:
                    reports.append(store.import_path(path))
                except WeightsError as error:
                    print_traceback(debug)
                    broken.append(str(error))
        if as_json:
            tables.as_json([asdict(weight) for report in reports for weight in report.imported])
        for report in reports:
            if not as_json:
                tables.brought(report)
            tables.left(report)
            broken += report.broken
        _exit_on_errors(*broken)


@weights_app.command(epilog=EPILOG)
def calibrate(
    name: Annotated[
        str,
        typer.Argument(
            help="A swapper or restorer that was imported.", metavar="NAME", show_default=False
        ),
    ],
    pictures: Annotated[
        list[Path],
        typer.Argument(
            help="Pictures, videos and folders of faces like those that you swap.",
            metavar="PATH",
            show_default=False,
        ),
    ],
    *,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Calibrate a network for --precision int8, which is several times as fast on most CPUs.

    Faces in the pictures give the ranges of its values. The int8 graph is kept if its output on
    held-out faces is close enough to that at fp32. The last files are held out, unless they have
    over half of the faces: name several, and a long video first.
    """
    with report_errors(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        with (
            raising_ended(),
            Engine(device="cpu") as engine,
            progress.shown(sys.stderr, "faces") as observe,
        ):
            done = engine.calibrate(name, pictures, observe=observe)
        for sentence in done.skipped:
            typer.echo(f"note: {sentence}", err=True)
        if as_json:
            tables.as_json(done.to_dict())
        else:
            tables.calibrated(done)


@weights_app.command("export")
def export_weights(
    bundle: Annotated[
        Path, typer.Argument(help="The file to write.", metavar="FILE", show_default=False)
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Networks to take; all imported ones if none is named.", metavar="NAME"
        ),
    ] = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = (
        False
    ),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write imported networks to one file, to import them on an offline machine."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        with raising_ended():
            written = WeightStore().export(bundle, names or (), overwrite=overwrite)
        if as_json:
            tables.as_json([asdict(weight) for weight in written])
        else:
            for weight in written:
                typer.echo(f"exported {weight.name} ({weight.role}; {weight.licence})")
