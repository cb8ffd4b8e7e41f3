"""Swap a face into a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")

OUTPUT.mkdir(exist_ok=True)
report = engine.swap(
    PEOPLE / "source.jpg", PEOPLE / "target.jpg", OUTPUT / "picture.png", overwrite=True
)
print(f"{report.faces_swapped} face in {report.seconds:.1f} s: {report.output}")
