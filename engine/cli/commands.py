"""The command `faceswap-engine`: its application, shared options, errors and exit codes."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from engine.cli import streams
from engine.cli.signals import Ended, raising_ended
from engine.errors import EngineError, MediaError, ParameterError
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
8    a job cannot be submitted, found or run
9    some targets of many failed; the others are done
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


def check_sheet(sheet: Path | None, target: str, *, overwrite: bool) -> None:
    """Refuse, before any work is done, a sheet that cannot be written as a picture.

    Raises:
        ParameterError: Its suffix is not that of a picture.
        MediaError: It cannot be written, or is the target.
        OutputExists: It is there and `overwrite` is False.
    """
    from engine.media.output_file import IMAGE_SUFFIXES, check_output

    if sheet is None:
        return
    if sheet.suffix.lower() not in IMAGE_SUFFIXES:
        raise ParameterError(
            f"--sheet is {sheet}; allowed: a file that ends in {', '.join(IMAGE_SUFFIXES)}."
        )
    check_output(sheet, overwrite=overwrite, inputs=[Path(target)])


def application() -> typer.Typer:
    """Return the application with all of its commands."""
    for module in ("swap_commands", "plans", "films", "cache", "weights", "jobs", "serve"):
        import_module(f"engine.cli.{module}")  # adds its commands to `app`
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `arguments` default to the process's own."""
    try:
        with report_errors(debug=False):
            code = application()(arguments, prog_name=NAME, standalone_mode=False)
    except typer.Exit as done:
        code = done.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        line = sys.argv[1:] if arguments is None else arguments
        path = context.command_path if context else _command_path(line)
        typer.echo(f"error: {_usage_error(error, context)} See {path} --help.", err=True)
        return error.exit_code
    return (code if isinstance(code, int) else 0) or _stdout_exit_code()


def _usage_error(error: typer.TyperException, context: typer.Context | None) -> str:
    """Return the error of a command line, with the options that an unknown one may stand for."""
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


def _stdout_exit_code() -> int:
    """Report output that stdout did not take, and return the exit code; 0 if it took all."""
    error = streams.missed()
    if error is None:
        return 0
    # A reader such as `head` closes the pipe on purpose.
    if not isinstance(error, BrokenPipeError):
        typer.echo(f"error: stdout cannot be written: {error.strerror}.", err=True)
    return MediaError.exit_code


def _command_path(arguments: Sequence[str]) -> str:
    """Return the command that a line names, for errors that do not hold it."""
    command: object = typer.main.get_command(application())
    path = [NAME]
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path.append(word)
    return " ".join(path)


@contextmanager
def report_errors(debug: bool) -> Generator[None]:
    """Turn an error inside into one sentence on stderr and an exit code."""
    try:
        yield
    except Ended as ended:
        ended.with_traceback(None)  # drops the frames, whose context managers clean up now
        typer.echo(ended.words, err=True)
        raise typer.Exit(ended.code) from None
    except KeyboardInterrupt as interrupt:  # in a process that handles its own signals
        interrupt.with_traceback(None)
        stopped = Ended(signal.SIGINT)
        typer.echo(stopped.words, err=True)
        raise typer.Exit(stopped.code) from None
    except EngineError as error:
        from engine.cli.option_names import name_options

        print_traceback(debug)
        typer.echo(f"error: {name_options(str(error))}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except OSError as error:
        print_traceback(debug)
        what = error.filename or "A file"
        typer.echo(f"error: {what} cannot be read or written: {error.strerror or error}.", err=True)
        raise typer.Exit(MediaError.exit_code) from None
    except Exception as error:  # noqa: BLE001 - a sentence is what a user can act on
        print_traceback(debug)
        hint = "" if debug else " Run it again with --debug for the traceback."
        what = f"{type(error).__name__}: {error}".rstrip(".: ")
        typer.echo(f"error: unexpected {what}.{hint}", err=True)
        raise typer.Exit(UNEXPECTED) from None


def print_traceback(debug: bool) -> None:
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


@app.command(epilog=EPILOG)
def doctor(*, as_json: AsJson = False, debug: Debug = False) -> None:
    """Check what works on this machine, and how to repair what does not."""
    with report_errors(debug):
        from engine.cli import tables
        from engine.doctor.examine import Finding, examine, is_healthy

        findings: list[Finding] = []
        with raising_ended():
            for finding in examine():
                findings.append(finding)
                if not as_json:
                    tables.finding(finding)
        if as_json:
            tables.as_json([asdict(finding) for finding in findings])
        if not is_healthy(findings):
            raise typer.Exit(1)
