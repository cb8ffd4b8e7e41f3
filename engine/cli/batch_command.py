"""The command `swap` for many targets."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer

from engine.api import Engine
from engine.cli import progress, streams, tables
from engine.cli.option_names import name_options
from engine.cli.signals import Ended, raising_ended
from engine.errors import ParameterError
from engine.media.containers import VIDEO_CONTAINERS
from engine.media.output_file import IMAGE_SUFFIXES
from engine.parameters import SwapKeywords
from engine.pipeline.batch import BatchResult, BatchRow, read_rows, rows_of_targets

SOME_FAILED: Final = 9  # exit code


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCall:
    """Options of the command line about a batch.

    Attributes:
        source: source of the rows that name none.
        targets: files and folders; empty with a list.
        batch: a list in CSV or TOML; None without one.
        output: folder of the outputs.
        skip_existing: leave out rows whose output is there.
        work: keywords of `Engine.swap_batch` about work files.
        quiet: print warnings and errors only.
        as_json: print each result as a line of JSON.
        parameters: parameters of the rows that do not name them.
    """

    source: str | None
    targets: list[str]
    batch: Path | None
    output: Path | None
    skip_existing: bool
    work: Mapping[str, Any]
    quiet: bool
    as_json: bool
    parameters: SwapKeywords

    def rows(self) -> list[BatchRow]:
        """Return the rows.

        Raises:
            ParameterError: An argument is missing, or the list is not valid.
            MediaError: The list or a folder cannot be read.
        """
        if self.skip_existing and self.parameters.get("overwrite"):
            raise ParameterError("skip_existing and overwrite exclude each other; leave one out.")
        self._check_folder()
        source = None if self.source is None else Path(self.source)
        given: dict[str, Any] = dict(self.parameters)
        if self.batch is not None:
            if self.targets:
                raise ParameterError(
                    f"There is a target beside the list {self.batch}; name it in the list."
                )
            return read_rows(self.batch, source=source, folder=self.output, parameters=given)
        if source is None or self.output is None:
            raise ParameterError("Many targets need a source and a folder for the outputs.")
        return rows_of_targets(source, self.targets, self.output, given)

    def _check_folder(self) -> None:
        folder = self.output
        if folder is None or folder.is_dir():
            return
        if folder.exists() or folder.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_CONTAINERS):
            raise ParameterError(
                f"--output is {folder}, which is no folder; name one for the "
                "outputs of many targets."
            )


@dataclass(slots=True)
class _Tally:
    """Results so far, for the closing line."""

    total: int
    states: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.states.total()

    def words(self) -> str:
        targets = "1 target" if self.total == 1 else f"{self.total} targets"
        others = [
            f", {self.states[state]} {state}"
            for state in ("skipped", "failed")
            if self.states[state]
        ]
        seconds = time.monotonic() - self.began
        return f"{self.states['swapped']} of {targets} swapped{''.join(others)}, {seconds:.1f} s."


def run_batch(call: BatchCall) -> None:
    """Swap the rows of a batch and print their results as they come.

    Raises:
        EngineError: The batch cannot begin; nothing was written.
        typer.Exit: Some rows failed.
    """
    rows = call.rows()
    tally = _Tally(len(rows))
    told: set[str] = set()
    overall = progress.Overall(len(rows))
    try:
        with (
            raising_ended(),
            Engine() as engine,
            progress.shown(sys.stderr, overall=overall) as observe,
            closing(
                engine.swap_batch(
                    rows,
                    skip_existing=call.skip_existing,
                    **call.work,
                    observe=None if call.quiet else observe,
                )
            ) as results,
        ):
            for row in rows:
                overall.begin(str(row.target))
                result = next(results)
                tally.states[result.state] += 1
                overall.end(skipped=result.state == "skipped")
                _print(result, call, told)
    except (Ended, KeyboardInterrupt):
        left = tally.total - tally.done
        typer.echo(
            f"{tally.words()} {left} left; the same command with --skip-existing goes on.",
            err=True,
        )
        raise
    if not call.quiet and not call.as_json:
        with streams.dispensable():
            typer.echo(tally.words())
    if tally.states["failed"]:
        raise typer.Exit(SOME_FAILED)


def _print(result: BatchResult, call: BatchCall, told: set[str]) -> None:
    """Print a result; a note is printed once in a batch."""
    target = result.row.target
    if result.error is not None:
        what = name_options(str(result.error))
        if result.row.where or str(target) not in what:
            what = f"{result.row}: {what}"
        typer.echo(f"error: {what}", err=True)
    report = result.report
    if report is not None:
        for note in () if call.quiet else report.notes:
            if note not in told:
                told.add(note)
                typer.echo(f"note: {note}", err=True)
        for warning in report.warnings:
            what = warning if str(target) in warning else f"{target}: {warning}"
            typer.echo(f"warning: {what}", err=True)
    if call.as_json:
        tables.as_json_line(result.to_dict())
    elif report is not None and not call.quiet:
        with streams.dispensable():
            tables.report(report)
            tables.spans(report)
    elif result.state == "skipped" and not call.quiet:
        typer.echo(f"note: {result.row.output} exists; {target} is skipped.", err=True)
