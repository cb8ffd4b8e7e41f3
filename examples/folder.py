"""Swap a face into all pictures of a folder; an error does not end the run."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")


def main() -> None:
    pictures = sorted(PEOPLE.glob("*.jpg"))
    with engine.Engine() as face_swap:
        source = PEOPLE / "source.jpg"
        for result in face_swap.swap_many(source, pictures, OUTPUT, overwrite=True):
            faces = result.report.faces_swapped if result.report else 0
            print(f"{result.row.target.name}: {faces} swapped {result.error or ''}".rstrip())


if __name__ == "__main__":
    main()
