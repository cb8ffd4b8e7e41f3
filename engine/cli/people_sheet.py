"""Draw the people of a film, a row for each: their best pictures, and when they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.analysis.film_analysis import BestFace, FilmAnalysis
from engine.analysis.people import Person
from engine.pipeline.records import clock
from engine.pixels.sheet import GAP, LINE, blank, place, write_line
from engine.values import Attributes, Bytes

PICTURES = 5  # of a person, at most
PEOPLE = 60  # on a sheet, at most: encoders refuse pictures beyond some thousand pixels
SIDE = 160  # pixels of a picture
_APART = 2.0  # seconds between two pictures of a person, which look the same otherwise
_WORDS_WIDTH = 340
_LEAST_SHARE = 0.005  # that rounds to 1 %


@dataclass(frozen=True, slots=True, eq=False)
class PersonRow:
    """A person, and pictures of `SIDE` pixels, the best first."""

    person: Person
    pictures: tuple[Bytes, ...]


def best_pictures(analysis: FilmAnalysis, person: Person) -> tuple[BestFace, ...]:
    """Return the faces by which a person is shown, the best first: some seconds apart."""
    chosen: list[BestFace] = []
    for face in person.best:
        seconds = analysis.seconds(face.pts)
        if all(abs(seconds - analysis.seconds(one.pts)) >= _APART for one in chosen):
            chosen.append(face)
    return tuple(chosen[:PICTURES])


def people_sheet(analysis: FilmAnalysis, rows: Sequence[PersonRow], more: int = 0) -> Bytes:
    """Return the sheet of a film's people, (h, w, 3) uint8 RGB.

    `more` counts people without a row; a line at the end tells it.
    """
    width = GAP + PICTURES * (SIDE + GAP) + _WORDS_WIDTH
    height = GAP + max(len(rows), 1) * (SIDE + GAP)
    sheet = blank(width, height + (LINE + GAP if more else 0))
    if more:
        write_line(sheet, f"and {more} more", GAP, height + GAP)
    if not rows:
        write_line(sheet, "No face was found.", GAP, GAP + LINE, bold=True)
    for number, row in enumerate(rows):
        top = GAP + number * (SIDE + GAP)
        for column, picture in enumerate(row.pictures[:PICTURES]):
            left = GAP + column * (SIDE + GAP)
            place(sheet, picture, left, top)
        left = GAP + PICTURES * (SIDE + GAP)
        for line, words in enumerate(_lines(analysis, row.person), start=1):
            write_line(sheet, words, left, top + line * LINE, bold=line == 1)
    return sheet


def _lines(analysis: FilmAnalysis, person: Person) -> Iterator[str]:
    yield f"person {person.number}"
    share = person.frames / analysis.frame_count
    frames = "1 frame" if person.frames == 1 else f"{person.frames} frames"
    yield f"{frames} ({share:.0%})" if share >= _LEAST_SHARE else f"{frames} (<1%)"
    first, last = analysis.seconds(person.first), analysis.seconds(person.last)
    yield f"{clock(first)} to {clock(last)}"
    yield "1 track" if len(person.tracks) == 1 else f"{len(person.tracks)} tracks"
    read = person.attributes or Attributes()
    known = (read.gender, None if read.age is None else f"age {read.age}", read.race)
    words = ", ".join(word for word in known if word is not None)
    if words:
        yield words
