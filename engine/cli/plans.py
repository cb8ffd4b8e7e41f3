"""The commands `plan` and `render`: what would be done with a film, and doing it."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import streams
from engine.cli.cache import WorkDir
from engine.cli.commands import EPILOG, AsJson, Debug, app, report_errors
from engine.cli.parameter_options import keywords, with_parameters
from engine.cli.signals import raising_ended
from engine.errors import ParameterError
from engine.parameters import ANALYSING

if TYPE_CHECKING:
    from engine.pipeline.report import SwapReport

WorkLimit = Annotated[
    float | None,
    typer.Option(
        help="GiB that all work files may take (default: 20); 0 keeps none.",
        metavar="GIB",
        show_default=False,
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ignore what an interrupted swap finished.")]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        help="File to write: a line of JSON for each frame, what was decided and why.",
        metavar="FILE",
        show_default=False,
    ),
]
ReviewFile = Annotated[
    Path | None,
    typer.Option(
        help="Picture to write: the frames that want a look most, before and after.",
        metavar="FILE",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print no progress, notes or closing line; warnings remain."
    ),
]
DRY_RUN = "Print what would be done with each track, and write nothing."
CAST = "TOML file with the roles of several people, each with its own source."


@app.command(epilog=EPILOG)
@with_parameters((*ANALYSING, "reference_face_distance", "overwrite"))
def plan(
    context: typer.Context,
    film: Annotated[str, typer.Argument(help="Video to plan for.", show_default=False)],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default=False),
    ],
    cast: Annotated[
        Path | None,
        typer.Option(
            help=f"{CAST} A plan serves, too. Without it, each person gets a role to fill in.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    analysis: Annotated[
        Path | None,
        typer.Option(
            help="File that `analyse` made of FILM; without it the film is analysed now.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Write who becomes whom in a film, as a text to read, edit and render.

    For example: [bold]faceswap-engine plan film.mp4 --cast cast.toml -o plan.toml[/bold], then
    [bold]faceswap-engine render plan.toml -o out.mp4[/bold]
    """
    with report_errors(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        parameters = keywords(context, options)
        with raising_ended(), Engine() as engine, progress.shown(sys.stderr) as observe:
            made = engine.plan(
                film, output, cast=cast, analysis=analysis, observe=observe, **parameters
            )
        if as_json:
            tables.as_json(made.model_dump(mode="json", by_alias=True))
        else:
            roles = [row.role for row in made.tracks.values()]
            rows = [(role, str(roles.count(role))) for role in dict.fromkeys(roles)]
            tables.table(("role", "tracks"), rows)


@app.command(epilog=EPILOG)
@with_parameters()
def render(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(help="File that `plan` wrote.", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default=False),
    ] = None,
    analysis: Annotated[
        Path | None,
        typer.Option(
            help="File that `analyse` made of the film; without it the film is analysed first.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    trace: TraceFile = None,
    review: ReviewFile = None,
    work_dir: WorkDir = None,
    work_limit: WorkLimit = None,
    fresh: Fresh = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=DRY_RUN)] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Swap a film as a plan says.

    For example: [bold]faceswap-engine render plan.toml -o out.mp4[/bold]
    """
    with report_errors(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        parameters = keywords(context, options)
        with raising_ended(), Engine() as engine, progress.shown(sys.stderr) as shown:
            observe = None if quiet else shown
            if dry_run:
                rows = engine.dry_run_plan(plan, analysis=analysis, observe=observe, **parameters)
                tables.track_decisions(rows, in_json=as_json)
                return
            if output is None:
                raise ParameterError(
                    "Missing option '--output' / '-o'. See faceswap-engine render --help."
                )
            report = engine.render(
                plan,
                output,
                analysis=analysis,
                trace=trace,
                review=review,
                work_dir=work_dir,
                work_limit=work_limit,
                fresh=fresh,
                observe=observe,
                **parameters,
            )
        show(report, trace, review, quiet=quiet, in_json=as_json)


def show(
    done: SwapReport, trace: Path | None, review: Path | None, *, quiet: bool, in_json: bool
) -> None:
    """Print the report of a swap, its notes and warnings, and the files beside the output."""
    from engine.cli import tables

    tables.remarks(done, notes=not quiet)
    if not quiet:
        tables.wrote(trace, review)
    if in_json:
        tables.as_json(done.to_dict())
    elif not quiet:
        with streams.dispensable():
            tables.report(done)
            tables.spans(done)
