"""Swap a face into a part of a film, with progress."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")


def observe(progress: engine.Progress) -> None:
    """Print the stage at its beginning, and every tenth frame."""
    if progress.done % 10 == 0:
        print(f"{progress.stage}: {progress.done} of {progress.total or 'unknown'}")


OUTPUT.mkdir(exist_ok=True)
report = engine.swap(
    PEOPLE / "source.jpg",
    PEOPLE / "target.mp4",
    OUTPUT / "film.mp4",
    start=0.5,
    end=1.5,
    overwrite=True,
    observe=observe,
)
print(f"{report.faces_swapped} faces in {report.frames} frames: {report.output}")
for warning in report.warnings:
    print(f"warning: {warning}")
