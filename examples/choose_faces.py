"""List the faces of a frame, and swap one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")

OUTPUT.mkdir(exist_ok=True)
with engine.Engine() as face_swap:
    found = face_swap.faces(PEOPLE / "target.mp4", frame=10)
    for number, face in enumerate(found.faces):
        read = face.attributes
        print(f"face {number}: {face.box}, {read.gender if read else None}")
    report = face_swap.swap(
        PEOPLE / "source.jpg",
        PEOPLE / "target.mp4",
        OUTPUT / "chosen.mp4",
        reference_frame_number=10,
        reference_face_position=0,
        reference_face_distance=0.6,
        end=0.4,
        overwrite=True,
    )
nearest = report.selection.smallest_accepted
print("no face was near enough" if nearest is None else f"nearest swapped face: {nearest:.2f}")
