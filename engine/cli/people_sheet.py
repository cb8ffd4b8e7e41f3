"""Draw the people of a film, a row for each: their best pictures, and when they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.film_analysis import BestFace, FilmAnalysis
from engine.analysis.people import Person
from engine.cli.tables import clock
from engine.pixels.draw import Ink, write
from engine.values import Attributes, Bytes

PICTURES = 5  # of a person, at most
PEOPLE = 60  # on a sheet, at most: encoders refuse pictures beyond some thousand pixels
SIDE = 160  # pixels of a picture
_APART = 2.0  # seconds between two pictures of a person, which look the same otherwise
_GAP = 10
_WORDS_WIDTH = 340
_LINE, _TEXT = 24, 16
_PAPER: Ink = (24, 24, 27)
_WORDS: Ink = (228, 228, 231)


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
    width = _GAP + PICTURES * (SIDE + _GAP) + _WORDS_WIDTH
    height = _GAP + max(len(rows), 1) * (SIDE + _GAP)
    sheet = np.full((height + (_LINE + _GAP if more else 0), width, 3), _PAPER, np.uint8)
    if more:
        write(sheet, f"and {more} more", _GAP, height + _TEXT, _WORDS, size=_TEXT)
    if not rows:
        write(sheet, "No face was found.", _GAP, _GAP + _LINE, _WORDS, size=_TEXT, bold=True)
    for number, row in enumerate(rows):
        top = _GAP + number * (SIDE + _GAP)
        for column, picture in enumerate(row.pictures[:PICTURES]):
            left = _GAP + column * (SIDE + _GAP)
            sheet[top : top + SIDE, left : left + SIDE] = picture
        left = _GAP + PICTURES * (SIDE + _GAP)
        for line, words in enumerate(_lines(analysis, row.person), start=1):
            write(sheet, words, left, top + line * _LINE, _WORDS, size=_TEXT, bold=line == 1)
    return sheet


def _lines(analysis: FilmAnalysis, person: Person) -> Iterator[str]:
    yield f"person {person.number}"
    share = person.frames / analysis.frame_count
    yield f"{person.frames} frames ({share:.0%})"
    first, last = analysis.seconds(person.first), analysis.seconds(person.last)
    yield f"{clock(first)} to {clock(last)}"
    yield "1 track" if len(person.tracks) == 1 else f"{len(person.tracks)} tracks"
    read = person.attributes or Attributes()
    known = (read.gender, None if read.age is None else f"age {read.age}", read.race)
    words = ", ".join(word for word in known if word is not None)
    if words:
        yield words
