"""Swap a face into a picture and into a film, both of synthetic people, and show before and after.

Writes first.png within seconds, then swapped.mp4 and before_after.png. The source, the picture and
the film are those of examples/people.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from progress_line import show

import engine
from engine.cli import streams
from engine.media.decode import read_frames, read_image
from engine.media.still import write_image
from engine.pixels.draw import Ink, fill, text_width, write
from engine.pixels.planes import as_frame, region_bytes, thumbnail
from engine.values import Bytes, Frame, Rect

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = ROOT / "examples" / "people"
SHOWN = (0.09, 0.31, 0.86)  # instants of the film that are shown, as shares of its length
SIDE = 360  # pixels of a picture of the sheet
_GAP, _TEXT = 8, 20
_PAPER: Ink = (24, 24, 27)
_WORDS: Ink = (244, 244, 245)


def stills(path: Path, numbers: list[int]) -> list[Bytes]:
    """Return the middle squares of single frames of a film, (SIDE, SIDE, 3) uint8 RGB each."""
    return [square(frame) for frame in read_frames(path) if frame.index in numbers]


def square(frame: Frame) -> Bytes:
    """Return the middle square of a frame, (SIDE, SIDE, 3) uint8 RGB."""
    width, height = frame.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    cut = region_bytes(frame, Rect(left, top, left + side, top + side))
    return thumbnail(as_frame(cut), (SIDE, SIDE))


def labelled(picture: Bytes, words: str) -> Bytes:
    """Return a picture with words on a dark patch in its corner."""
    picture = picture.copy()
    fill(picture, Rect(0, 0, text_width(words, size=_TEXT, bold=True) + 20, _TEXT + 16), _PAPER)
    write(picture, words, 10, _TEXT + 6, _WORDS, size=_TEXT, bold=True)
    return picture


def before_after(source: Path, target: Path, swapped: Path, output: Path) -> None:
    """Write a sheet: the source at the left, frames of the target above those of the output."""
    count = sum(1 for _ in read_frames(target))
    numbers = [round(count * share) for share in SHOWN]
    sheet = np.full((2 * SIDE + _GAP, (len(SHOWN) + 1) * (SIDE + _GAP), 3), _PAPER, np.uint8)
    portrait = labelled(square(read_image(source)), "source")
    top = (sheet.shape[0] - SIDE) // 2
    sheet[top : top + SIDE, :SIDE] = portrait
    for row, (path, words) in enumerate(((target, "before"), (swapped, "after"))):
        for column, picture in enumerate(stills(path, numbers), start=1):
            left, upper = column * (SIDE + _GAP), row * (SIDE + _GAP)
            sheet[upper : upper + SIDE, left : left + SIDE] = labelled(picture, words)
    write_image(as_frame(sheet[:, :-_GAP]), output, overwrite=True)


def main() -> None:
    streams.guard()
    cv2.setNumThreads(0)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output", help="folder")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    source, picture, film = (PEOPLE / name for name in ("source.jpg", "target.jpg", "target.mp4"))
    first, swapped, sheet = (
        folder / name for name in ("first.png", "swapped.mp4", "before_after.png")
    )
    with engine.Engine() as face_swap:
        print("Swapping a face into a picture; both people are synthetic ...", flush=True)
        report = face_swap.swap(source, picture, first, overwrite=True)
        print(f"  {first} ({report.seconds:.1f} s)")
        print("Swapping it into a film of 8 seconds ...", flush=True)
        report = face_swap.swap(
            source,
            film,
            swapped,
            overwrite=True,
            observe=lambda at: show(at.stage, at.done, at.total),
        )
    print(
        f"  {report.faces_swapped} faces in {report.frames} frames by the swapper "
        f"{report.setup.swapper.name} on {report.setup.device}, "
        f"{report.frames / report.seconds:.1f} frames a second"
    )
    for warning in report.warnings:
        print(f"  {warning}")
    before_after(source, film, swapped, sheet)
    print("Open these:")
    for path in (sheet, swapped, first):
        print(f"  {path}")
    print("Now with your own files:")
    print("  .venv/bin/faceswap-engine swap face.jpg film.mp4 -o swapped.mp4")


if __name__ == "__main__":
    main()
