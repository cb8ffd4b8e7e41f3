"""Use a swapper of one's own: this one lays a flat colour over each face, to hide who it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import engine

PEOPLE = Path(__file__).parent / "people"
OUTPUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example-output")


class FlatColour:
    """Replace a face by the mean colour of the source's face; satisfies `engine.Swapper`."""

    name = "flat-colour"
    averages = False
    draws_source = False
    # Where the five points (eyes, nose, corners of the mouth) lie in a crop, as shares of its side.
    template = engine.Template(
        "wide", ((0.38, 0.42), (0.62, 0.42), (0.5, 0.55), (0.41, 0.67), (0.59, 0.67))
    )

    def prepare(self, portraits: Sequence[engine.Portrait]) -> np.ndarray:
        """Return the mean colour of the first portrait's face, (3,) RGB 0..1."""
        portrait = portraits[0]
        box = portrait.face.box
        face = portrait.pixels[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
        return face.mean(axis=(0, 1))

    def swap(
        self, targets: Sequence[engine.Aligned], sources: Sequence[np.ndarray]
    ) -> list[engine.Patch]:
        """Return a patch of the source's colour for each target, soft at its border."""
        patches = []
        for target, colour in zip(targets, sources, strict=True):
            size = target.pixels.shape[0]
            rows, columns = np.mgrid[:size, :size] / (size - 1) - 0.5
            distance = np.hypot(columns / 0.32, rows / 0.42)
            mask = np.clip((1.1 - distance) / 0.2, 0, 1).astype(np.float32)
            pixels = np.broadcast_to(colour, target.pixels.shape).astype(np.float32)
            patches.append(engine.Patch(pixels, mask, target.to_crop))
        return patches


OUTPUT.mkdir(exist_ok=True)
with engine.Engine(swapper=FlatColour()) as face_swap:
    report = face_swap.swap(
        PEOPLE / "source.jpg", PEOPLE / "target.jpg", OUTPUT / "hidden.png", overwrite=True
    )
print(f"{report.faces_swapped} face hidden: {report.output}")
