"""Swap a face into all pictures of a folder; an error does not end the run."""

from __future__ import annotations

import sys
from pathlib import Path

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    with engine.Engine() as face_swap:
        for picture in sorted(PEOPLE.glob("*.jpg")):
            try:
                report = face_swap.swap(
                    PEOPLE / "source.jpg", picture, OUTPUT / f"{picture.stem}.png", overwrite=True
                )
            except engine.EngineError as error:
                print(f"{picture.name}: {error}")
            else:
                print(f"{picture.name}: {report.faces_swapped} swapped")


if __name__ == "__main__":
    main()
