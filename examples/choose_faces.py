"""Measure how far the faces of a frame are from known people, and swap one of these people."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")
FILM, KNOWN = PEOPLE / "target.mp4", (PEOPLE / "target.jpg", PEOPLE / "source.jpg")

OUTPUT.mkdir(exist_ok=True)
with engine.Engine() as face_swap:
    for picture in KNOWN:
        found = face_swap.faces(FILM, frame=10, references=[picture])
        for number, (face, distance) in enumerate(zip(found.faces, found.distances, strict=True)):
            gender = face.attributes.gender if face.attributes else None
            print(f"face {number} ({gender}) is {distance:.2f} from {picture.name}")
    report = face_swap.swap(
        PEOPLE / "source.jpg",
        FILM,
        OUTPUT / "chosen.mp4",
        reference_image=[PEOPLE / "target.jpg"],
        reference_face_distance=0.5,
        end=0.4,
        overwrite=True,
    )
print(f"{report.faces_swapped} faces swapped, on average {report.selection.mean_accepted:.2f} away")
