"""Find the faces of a film once, list its people, and swap from the analysis."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")

OUTPUT.mkdir(exist_ok=True)
film, kept = PEOPLE / "target.mp4", OUTPUT / "target.faces"
with engine.Engine() as face_swap:
    analysis = face_swap.analyse(film, kept, overwrite=True)
    for person in face_swap.people(analysis):
        seen = f"{analysis.seconds(person.first):.1f} to {analysis.seconds(person.last):.1f} s"
        print(f"person {person.number}: {person.frames} frames, {seen}")
    report = face_swap.swap(
        PEOPLE / "source.jpg",
        film,
        OUTPUT / "from-analysis.mp4",
        analysis=kept,
        end=0.4,
        overwrite=True,
    )
print(f"{report.faces_swapped} faces in {report.frames} frames: {report.output}")
