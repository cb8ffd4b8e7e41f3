"""The commands `swap`, `preview` and `faces`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that help is quick

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import streams
from engine.cli.cache import WorkDir
from engine.cli.commands import (
    EPILOG,
    NAME,
    AsJson,
    Debug,
    app,
    check_sheet,
    report_errors,
)
from engine.cli.parameter_options import keywords, with_parameters
from engine.cli.plans import CAST, DRY_RUN, Fresh, Quiet, ReviewFile, TraceFile, WorkLimit, show
from engine.cli.signals import Ended, raising_ended
from engine.errors import ParameterError
from engine.options import SelectionRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.executors.executor import Executor

ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Swap parts of a video at the same time: processes:N on this machine, or ray.",
        metavar="NAME",
        show_default=False,
    ),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Address of the Ray cluster, as 10.0.0.1:6379; else one on this machine.",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
Source = Annotated[
    str,
    typer.Argument(
        help="Picture or clip of the person to put in; left out with --cast.",
        metavar="SOURCE",
        show_default=False,
    ),
]
PreviewSource = Annotated[
    str | None,
    typer.Argument(
        help="Picture or clip of the person to put in; left out with --cast or --plan.",
        metavar="[SOURCE]",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Argument(help="Video or picture to change.", metavar="TARGET", show_default=False),
]
CastFile = Annotated[
    Path | None,
    typer.Option(
        help=CAST,
        metavar="FILE",
        show_default=False,
    ),
]
AnalysisFile = Annotated[
    Path | None,
    typer.Option(
        help="File that `analyse` made of TARGET: its faces are not found again.",
        metavar="FILE",
        show_default=False,
    ),
]


@app.command(epilog=EPILOG)
@with_parameters()
def swap(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Picture or clip of the person to put in; left out with --cast.",
            metavar="SOURCE",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Argument(
            help="Video or picture to change; several, or a folder of them.",
            metavar="TARGET",
            show_default=False,
        ),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; with many targets the folder of their outputs.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    cast: CastFile = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="List in CSV or TOML: in each row source, target, output and any parameter.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Of many targets, skip those whose output is there."),
    ] = False,
    analysis: AnalysisFile = None,
    trace: TraceFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=DRY_RUN)] = False,
    review: ReviewFile = None,
    work_dir: WorkDir = None,
    work_limit: WorkLimit = None,
    fresh: Fresh = False,
    executor: ExecutorName = None,
    address: ClusterAddress = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Put the face of SOURCE onto a person in TARGET, or with --cast onto several people.

    Finished parts of a video are kept until the output is complete. After an interruption, the same
    command goes on after them.

    For example: [bold]faceswap-engine swap face.jpg film.mp4 -o swapped.mp4[/bold], or
    [bold]faceswap-engine swap --cast cast.toml film.mp4 -o swapped.mp4[/bold], or for many
    [bold]faceswap-engine swap face.jpg one.jpg film.mp4 -o folder[/bold]
    """
    with report_errors(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        targets = target or []
        if batch is not None or len(targets) > 1 or any(Path(one).is_dir() for one in targets):
            from engine.cli.batch_command import BatchCall, run_batch

            if dry_run or any(
                one is not None for one in (cast, analysis, trace, review, executor, address)
            ):
                raise ParameterError(
                    "cast, analysis, trace, review, executor, address and dry_run are of one "
                    "target; leave them out, or name one target."
                )
            run_batch(
                BatchCall(
                    source=source,
                    targets=targets,
                    batch=batch,
                    output=output,
                    skip_existing=skip_existing,
                    work={"work_dir": work_dir, "work_limit": work_limit, "fresh": fresh},
                    quiet=quiet,
                    as_json=as_json,
                    parameters=keywords(context, options),
                )
            )
            return
        if source is None:
            raise _missing("argument 'SOURCE'" if cast is None else "argument 'TARGET'")
        person, film = _source_and_target(source, targets[0] if targets else None, cast)
        parameters = keywords(context, options)
        if dry_run:
            with raising_ended(), Engine() as engine, progress.shown(sys.stderr) as observe:
                rows = engine.dry_run(
                    person,
                    film,
                    cast=cast,
                    analysis=analysis,
                    observe=None if quiet else observe,
                    **parameters,
                )
            tables.track_decisions(rows, in_json=as_json)
            return
        if output is None:
            raise _missing("option '--output' / '-o'")
        if skip_existing and os.path.lexists(output):
            typer.echo(f"note: {output} exists; {film} is skipped.", err=True)
            return
        with raising_ended(), Engine() as engine, progress.shown(sys.stderr) as observe:
            try:
                report = engine.swap(
                    person,
                    film,
                    output,
                    cast=cast,
                    analysis=analysis,
                    trace=trace,
                    review=review,
                    work_dir=work_dir,
                    work_limit=work_limit,
                    fresh=fresh,
                    executor=_executor(executor, address, parameters),
                    observe=None if quiet else observe,
                    **parameters,
                )
            except Ended:
                _tell_kept(film, work_dir)
                raise
        show(report, trace, review, quiet=quiet, in_json=as_json)


def _tell_kept(film: str, work_dir: Path | None) -> None:
    """Tell of the finished parts of a film whose swap was stopped."""
    from engine.work.work_store import WorkStore

    name = Path(film).name
    if any(entry.about.get("target") == name for entry in WorkStore(work_dir).entries()):
        typer.echo(
            "note: finished parts are kept, and the same command goes on after them; "
            f"`{NAME} cache list` shows them.",
            err=True,
        )


def _executor(
    name: str | None, address: str | None, parameters: Mapping[str, object]
) -> Executor | None:
    if name is None:
        if address is not None:
            raise ParameterError(f"address is {address}, and executor is not ray; name both.")
        return None
    from engine.executors.named import executor_named

    on_card = str(parameters.get("device", "")).startswith(("cuda", "tensorrt"))
    return executor_named(name, address, gpus=float(on_card))


def _missing(what: str) -> ParameterError:
    return ParameterError(f"Missing {what}. See {NAME} swap --help.")


@app.command(epilog=EPILOG)
@with_parameters()
def preview(
    context: typer.Context,
    source: PreviewSource = None,
    target: Target = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Picture to write.", metavar="FILE", show_default=False
        ),
    ],
    frame: Annotated[
        int | None,
        typer.Option(
            help="Number of the frame in the output of a swap; 1 is the first.",
            metavar="NUMBER",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time of the frame in TARGET: seconds or HH:MM:SS.mmm.",
            metavar="TIME",
            show_default=False,
        ),
    ] = None,
    cast: CastFile = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="File that `plan` wrote, in place of SOURCE, TARGET and --cast.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    analysis: AnalysisFile = None,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Swap one frame of TARGET, and write it before and after, side by side.

    For example: [bold]faceswap-engine preview face.jpg film.mp4 --frame 120 -o preview.png[/bold]
    """
    with report_errors(debug):
        from engine.api import Engine
        from engine.cli import progress, tables

        parameters = keywords(context, options)
        with raising_ended(), Engine() as engine, progress.shown(sys.stderr) as observe:
            if source is None and plan is None:
                raise ParameterError("SOURCE and TARGET are missing; name them, or give --plan.")
            if source is None or plan is not None:
                person, film = source, target
            else:
                person, film = _source_and_target(source, target, cast)
            made = engine.preview(
                person,
                film,
                output,
                frame=frame,
                time=time,
                cast=cast,
                plan=plan,
                analysis=analysis,
                observe=observe,
                **parameters,
            )
        for warning in made.warnings:
            typer.echo(f"warning: {warning}", err=True)
        if as_json:
            tables.as_json(tables.preview_dict(made))
        else:
            with streams.dispensable():
                tables.preview(made)


def _source_and_target(
    source: str, target: str | None, cast: Path | None
) -> tuple[str | None, str]:
    """Return source and target of a command line, on which a cast takes the source's place."""
    if target is not None:
        return source, target
    if cast is None:
        raise ParameterError("TARGET is missing; name SOURCE and TARGET, or give --cast.")
    return None, source


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
    target: Annotated[
        str,
        typer.Argument(help="Video or picture to analyse.", metavar="TARGET", show_default=False),
    ],
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
    with report_errors(debug):
        from engine.api import Engine
        from engine.cli import tables
        from engine.cli.contact_sheet import contact_sheet
        from engine.media.still import write_image
        from engine.pixels.planes import as_frame

        parameters = keywords(context, options)
        overwrite = parameters.get("overwrite", False)
        with raising_ended():
            check_sheet(sheet, target, overwrite=overwrite)
            with Engine() as engine:
                found = engine.faces(target, frame, reference or (), **parameters)
            if sheet is not None:
                picture = contact_sheet(found.frame, found.faces, found.distances)
                write_image(as_frame(picture), sheet, overwrite=overwrite)
                tables.wrote(sheet)
        if as_json:
            tables.as_json(tables.face_list(found.faces, found.distances))
        else:
            tables.faces(found.faces, found.distances)
