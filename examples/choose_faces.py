"""List the faces of a frame, and swap one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")

OUTPUT.mkdir(exist_ok=True)
with engine.Engine() as swapper:
    found = swapper.faces(PEOPLE / "target.mp4", frame=10)
    for number, face in enumerate(found.faces):
        read = face.attributes
        print(f"face {number}: {face.box}, {read.gender if read else None}")
    report = swapper.swap(
        PEOPLE / "source.jpg",
        PEOPLE / "target.mp4",
        OUTPUT / "chosen.mp4",
        reference_frame_number=10,
        reference_face_position=0,
        reference_face_distance=0.6,
        end=0.4,
        overwrite=True,
    )
print(f"distances of the swapped faces: {report.selection.smallest_accepted:.2f} and more")
