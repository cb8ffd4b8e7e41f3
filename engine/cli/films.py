"""The commands about whole films: find all faces once, and list the people."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs, so that help comes at once

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.commands import EPILOG, AsJson, Debug, app, check_sheet, report_errors
from engine.cli.parameter_options import keywords, with_parameters
from engine.cli.signals import raising_ended
from engine.parameters import ANALYSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.analysis.film_analysis import BestFace, FilmAnalysis
    from engine.analysis.people import Person
    from engine.values import Bytes, Frame

Film = Annotated[str, typer.Argument(help="Video to analyse.", metavar="FILM", show_default=False)]


@app.command(epilog=EPILOG)
@with_parameters((*ANALYSING, "overwrite"))
def analyse(
    context: typer.Context,
    film: Film,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default=False),
    ],
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Find all faces of a film once, and keep them in a file for any number of swaps.

    The file holds embeddings, which are biometric data; only its owner may read it.

    For example: [bold]faceswap-engine analyse film.mp4 -o film.faces[/bold], then
    [bold]faceswap-engine swap anna.jpg film.mp4 -o out.mp4 --analysis film.faces[/bold]
    """
    with report_errors(debug):
        import sys

        from engine.api import Engine
        from engine.cli import progress, tables

        parameters = keywords(context, options)
        with raising_ended(), progress.shown(sys.stderr) as observe, Engine() as engine:
            made = engine.analyse(film, output, observe=observe, **parameters)
            people = engine.people(made)
        facts: dict[str, Any] = {
            "file": str(made.path),
            "frames": made.frame_count,
            "faces": sum(track.frames for track in made.tracks),
            "tracks": len(made.tracks),
            "people": len(people),
            "bytes": made.path.stat().st_size,
        }
        if as_json:
            tables.as_json(facts)
        else:
            typer.echo(
                f"{made.path}: {_count(facts['people'], 'person', 'people')} in "
                f"{_count(facts['tracks'], 'track')}, {_count(facts['faces'], 'face')} in "
                f"{_count(facts['frames'], 'frame')}, {facts['bytes'] / 1e3:.0f} KB."
            )


@app.command(epilog=EPILOG)
@with_parameters((*ANALYSING, "overwrite"))
def people(
    context: typer.Context,
    film: Film,
    *,
    analysis: Annotated[
        Path | None,
        typer.Option(
            help="File that `analyse` made of the film; without it the film is analysed now.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Picture to write: a row for each person, with the best pictures of each.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """List the people of a film: when and how often each is seen.

    For example: [bold]faceswap-engine people film.mp4 --sheet people.png[/bold]
    """
    with report_errors(debug):
        import sys

        from engine.api import Engine
        from engine.cli import progress, tables

        parameters = keywords(context, options)
        overwrite = parameters.pop("overwrite", False)
        with raising_ended(), ExitStack() as stack:
            check_sheet(sheet, film, overwrite=overwrite)
            engine = stack.enter_context(Engine())
            if analysis is None:
                folder = stack.enter_context(TemporaryDirectory(prefix="faceswap-engine-"))
                observe = stack.enter_context(progress.shown(sys.stderr))
                made = engine.analyse(film, Path(folder) / "faces", observe=observe, **parameters)
            else:
                made = engine.open_analysis(film, analysis, **parameters)
            found = engine.people(made)
            if as_json:
                tables.as_json([_facts(made, person) for person in found])
            else:
                tables.table(
                    ("person", "frames", "share", "first", "last", "tracks", "age", "gender"),
                    [_row(made, person) for person in found],
                )
            if sheet is not None:
                _write_sheet(Path(film), made, found, sheet, overwrite=overwrite)


def _write_sheet(
    film: Path, analysis: FilmAnalysis, people: Sequence[Person], sheet: Path, *, overwrite: bool
) -> None:
    from engine.cli import tables
    from engine.cli.people_sheet import PEOPLE, SIDE, PersonRow, best_pictures, people_sheet
    from engine.media.still import write_image
    from engine.pipeline.analyse import frame_at
    from engine.pixels.align import face_picture
    from engine.pixels.planes import as_frame

    shown = people[:PEOPLE]
    best = [best_pictures(analysis, person) for person in shown]
    wanted = {face for faces in best for face in faces}
    pictures: dict[BestFace, Bytes] = {}
    frame: Frame | None = None
    for face in sorted(wanted, key=lambda face: face.pts):
        if frame is None or frame.pts != face.pts:
            frame = frame_at(film, analysis, face.pts)
        pictures[face] = face_picture(frame, face.box, SIDE)
    rows = [
        PersonRow(person, tuple(pictures[face] for face in faces))
        for person, faces in zip(shown, best, strict=True)
    ]
    drawn = people_sheet(analysis, rows, len(people) - len(shown))
    write_image(as_frame(drawn), sheet, overwrite=overwrite)
    tables.wrote(sheet)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _facts(analysis: FilmAnalysis, person: Person) -> dict[str, Any]:
    read = person.attributes
    return {
        "person": person.number,
        "frames": person.frames,
        "share": round(person.frames / analysis.frame_count, 4),
        "first": round(analysis.seconds(person.first), 3),
        "last": round(analysis.seconds(person.last), 3),
        "tracks": [track.number for track in person.tracks],
        "age": None if read is None else read.age,
        "gender": None if read is None else read.gender,
        "race": None if read is None else read.race,
    }


def _row(analysis: FilmAnalysis, person: Person) -> tuple[str, ...]:
    from engine.pipeline.records import clock

    facts = _facts(analysis, person)
    return (
        str(person.number),
        str(person.frames),
        f"{facts['share']:.0%}",
        clock(facts["first"]),
        clock(facts["last"]),
        str(len(person.tracks)),
        "" if facts["age"] is None else str(facts["age"]),
        facts["gender"] or "",
    )
