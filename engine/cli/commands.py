"""The commands, their options, and what becomes of their errors."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs, so that help comes at once

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli import streams
from engine.cli.options import keywords, with_parameters
from engine.cli.signals import Ended, unwound
from engine.errors import EngineError, MediaError, ParameterError, WeightsError
from engine.options import SelectionRule
from engine.suggestions import closest
from engine.version import VERSION

NAME = "faceswap-engine"
UNEXPECTED = 1

EPILOG = """Exit codes:
0    done
1    something unexpected, or doctor found something broken
2    a parameter is unknown, of the wrong type or out of range
3    a file or stdout cannot be read or written, or the output exists
4    no face was found, or none that the selection accepts
5    weights are missing or corrupt
6    ONNX Runtime or the wanted device cannot be used
7    the content check refused the material
8    a job cannot be submitted, found or worked at
129  ended by SIGHUP
130  stopped
143  ended by SIGTERM"""

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
app = typer.Typer(
    name=NAME,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    help="Swap a face in a video or picture, on your own machine.",
)
weights_app = typer.Typer(help="List, verify, import, export and calibrate networks.")
app.add_typer(weights_app, name="weights")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; `arguments` default to the process's own. Returns the exit code."""
    for others in ("films", "jobs", "serve"):
        import_module(f"engine.cli.{others}")  # they add their commands to this one
    try:
        with told(debug=False):
            code = app(arguments, prog_name=NAME, standalone_mode=False)
    except typer.Exit as done:
        code = done.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        line = sys.argv[1:] if arguments is None else arguments
        path = context.command_path if context else _command_path(line)
        typer.echo(f"error: {_said(error, context)} See {path} --help.", err=True)
        return error.exit_code
    return (code if isinstance(code, int) else 0) or _unprinted()


def _said(error: typer.TyperException, context: typer.Context | None) -> str:
    """What is wrong with a command line, and for an unknown option which may be meant."""
    option = getattr(error, "option_name", None) if hasattr(error, "possibilities") else None
    if option is None or context is None:
        message = error.format_message().rstrip(".")
        return message if message.endswith("?") else f"{message}."
    names = (
        name
        for parameter in context.command.params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    )
    close = closest(option, names)
    message = f"There is no option {option}."
    return f"{message} Did you mean {' or '.join(close)}?" if close else message


def _unprinted() -> int:
    """The exit code of what could not be printed on stdout, and a sentence; 0 where nothing is."""
    error = streams.missed()
    if error is None:
        return 0
    # Whoever reads but the first lines has gone on purpose.
    if not isinstance(error, BrokenPipeError):
        typer.echo(f"error: stdout cannot be written: {error.strerror}.", err=True)
    return MediaError.exit_code


def _command_path(arguments: Sequence[str]) -> str:
    """The command that a line calls, where the error does not know it."""
    command: object = typer.main.get_command(app)
    path = [NAME]
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path.append(word)
    return " ".join(path)


@contextmanager
def told(debug: bool) -> Generator[None]:
    """Turns what goes wrong inside into one sentence on stderr and an exit code."""
    try:
        yield
    except Ended as ended:
        ended.with_traceback(None)  # a block that was just being entered cleans up now
        typer.echo(ended.words, err=True)
        raise typer.Exit(ended.code) from None
    except KeyboardInterrupt as interrupt:  # of a process that keeps its signals
        interrupt.with_traceback(None)
        stopped = Ended(signal.SIGINT)
        typer.echo(stopped.words, err=True)
        raise typer.Exit(stopped.code) from None
    except EngineError as error:
        _trace(debug)
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except OSError as error:
        _trace(debug)
        what = error.filename or "A file"
        typer.echo(f"error: {what} cannot be read or written: {error.strerror or error}.", err=True)
        raise typer.Exit(MediaError.exit_code) from None
    except Exception as error:  # noqa: BLE001 - a sentence is what a user can act on
        _trace(debug)
        hint = "" if debug else " Run it again with --debug for the traceback."
        what = f"{type(error).__name__}: {error}".rstrip(".: ")
        typer.echo(f"error: unexpected {what}.{hint}", err=True)
        raise typer.Exit(UNEXPECTED) from None


def _trace(debug: bool) -> None:
    if debug:
        traceback.print_exc()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    if context.invoked_subcommand is None and not version:
        typer.echo(context.get_help())


@weights_app.callback(invoke_without_command=True)
def _weights(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog=EPILOG)
@with_parameters()
def swap(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="Picture or clip of the person to put in.", show_default=False)
    ],
    target: Annotated[str, typer.Argument(help="Video or picture to change.", show_default=False)],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default=False),
    ],
    analysis: Annotated[
        Path | None,
        typer.Option(
            help="File that `analyse` made of TARGET: its faces are not found again.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print no progress, notes or closing line; warnings remain."
        ),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Put the face of SOURCE onto a person in TARGET.

    For example: [bold]faceswap-engine swap face.jpg film.mp4 -o swapped.mp4[/bold]
    """
    with told(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        parameters = keywords(context, options)
        with unwound(), Engine() as engine, progress.shown(sys.stderr) as observe:
            report = engine.swap(
                source,
                target,
                output,
                analysis=analysis,
                observe=None if quiet else observe,
                **parameters,
            )
        tables.remarks(report, notes=not quiet)
        if as_json:
            tables.as_json(report.to_dict())
        elif not quiet:
            with streams.dispensable():
                tables.report(report)


@app.command(epilog=EPILOG)
@with_parameters(
    (
        "face_selector_order",
        "face_selector_gender",
        "face_selector_race",
        "face_selector_age_start",
        "face_selector_age_end",
        "device",
        "vram",
        "detector",
        "embedder",
        "landmarker",
        "detect_rotated",
        "overwrite",
    )
)
def faces(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="Video or picture to analyse.", show_default=False)],
    *,
    frame: Annotated[
        int, typer.Option(help="Frame to analyse; 1 is the first.", metavar="NUMBER")
    ] = SelectionRule().reference_frame,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Picture to write: the frame and its faces, numbered.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="Picture of a person to measure distances to. May be repeated.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """List the faces in a frame, numbered as --reference-face-position counts them.

    For example: [bold]faceswap-engine faces film.mp4 --frame 120 --sheet faces.png[/bold]
    """
    with told(debug):
        from engine.api import Engine
        from engine.cli import tables
        from engine.cli.contact_sheet import contact_sheet
        from engine.media.output_file import IMAGE_SUFFIXES, check_output
        from engine.media.still import write_image
        from engine.pixels.planes import as_frame

        parameters = keywords(context, options)
        overwrite = parameters.get("overwrite", False)
        with unwound():
            if sheet is not None:
                if sheet.suffix.lower() not in IMAGE_SUFFIXES:
                    raise ParameterError(
                        f"--sheet is {sheet}; allowed: a file that ends in "
                        f"{', '.join(IMAGE_SUFFIXES)}."
                    )
                # Refuse an output before any work is done.
                check_output(sheet, overwrite=overwrite, inputs=[Path(target)])
            with Engine() as engine:
                found = engine.faces(target, frame, reference or (), **parameters)
            if sheet is not None:
                picture = contact_sheet(found.frame, found.faces, found.distances)
                write_image(as_frame(picture), sheet, overwrite=overwrite)
        if as_json:
            tables.as_json(tables.face_list(found.faces, found.distances))
        else:
            tables.faces(found.faces, found.distances)


@app.command(epilog=EPILOG)
def doctor(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """Look at what this machine offers, and say how to mend what is broken."""
    with told(debug):
        from engine.cli import tables
        from engine.doctor.examine import Finding, examine, is_healthy

        findings: list[Finding] = []
        with unwound():
            for finding in examine():
                findings.append(finding)
                if not as_json:
                    tables.finding(finding)
        if as_json:
            tables.as_json([asdict(finding) for finding in findings])
        if not is_healthy(findings):
            raise typer.Exit(1)


@weights_app.command("list")
def list_weights(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the networks that are here, and those that can be imported."""
    with told(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        store = WeightStore()
        if as_json:
            tables.as_json(tables.weight_list(store))
        else:
            tables.weights(store)
        _tell_trouble(store.trouble())


@weights_app.command()
def verify(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """Compare every weight file with its recorded checksum; exit code 5 if one fails."""
    with told(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        store = WeightStore()
        statuses = store.verify()
        if as_json:
            tables.as_json([tables.status_dict(status) for status in statuses])
        else:
            tables.statuses(statuses)
        _tell_trouble(store.trouble())
        if any(status.state != "ok" for status in statuses):
            raise typer.Exit(WeightsError.exit_code)


def _tell_trouble(*sentences: str) -> None:
    """Says what is wrong with weights, and ends the command with their code, if anything is."""
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
    """Bring in weights that you have: each file is recognised, checked and copied.

    The exit code is 5 where a file cannot be read; the others come in all the same. Networks that
    are not known here are left out of folders and zips with a note.
    """
    with told(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        store, reports, broken = WeightStore(), [], []
        with unwound():
            for path in paths:
                try:
                    reports.append(store.import_path(path))
                except WeightsError as error:
                    _trace(debug)
                    broken.append(str(error))
        if as_json:
            tables.as_json([asdict(weight) for report in reports for weight in report.imported])
        for report in reports:
            if not as_json:
                tables.brought(report)
            tables.left(report)
            broken += report.broken
        _tell_trouble(*broken)


@weights_app.command(epilog=EPILOG)
def calibrate(
    name: Annotated[
        str, typer.Argument(help="A swapper or restorer that was imported.", show_default=False)
    ],
    pictures: Annotated[
        list[Path],
        typer.Argument(
            help="Pictures, videos and folders of faces like those that you swap.",
            show_default=False,
        ),
    ],
    *,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a network fit for --precision int8: several times as fast on most CPUs.

    Faces in the pictures tell how large its numbers become; it is kept if, on those that are held
    out, its answers are near enough to those at fp32. Held out are the last files, unless these
    have over half of the faces: name several, and a long video first.
    """
    with told(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        with (
            unwound(),
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
    bundle: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Networks to take; all imported ones if none is named."),
    ] = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = (
        False
    ),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write imported networks to one file, to import on a machine without a network."""
    with told(debug):
        from engine.cli import tables
        from engine.weights.weight_store import WeightStore

        with unwound():
            written = WeightStore().export(bundle, names or (), overwrite=overwrite)
        if as_json:
            tables.as_json([asdict(weight) for weight in written])
        else:
            for weight in written:
                typer.echo(f"exported {weight.name} ({weight.role}; {weight.licence})")
