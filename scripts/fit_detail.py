#!/usr/bin/env python3
"""Learn what each part of a face is like in soft light (`engine/swappers/mesh/typical.npz`).

    python scripts/fit_detail.py PICTURES            # write it
    python scripts/fit_detail.py PICTURES --check    # write nothing; compare with what is there

PICTURES is the folder of faces that `train_occluder.py` takes, too, of the dataset
SelfishGene/SFHQ-T2I-dataset (MIT). `scripts/soft_light_people.csv` names those in soft light:
turned less than 25 degrees, with 0.35 log units or less between their halves, and none of the
pictures that quality was measured on. Beards and hair are left out. Takes a minute or two.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from build_expression import analyser, picture_frame
from canonical_face import npz_bytes
from numpy.typing import NDArray
from people import read

from engine.faces.analyser import FaceAnalyser
from engine.pixels.tone import luma, shrink
from engine.swappers.mesh.beards import find_beard
from engine.swappers.mesh.layout import COARSE, unwrap
from engine.swappers.mesh.texture import SIDE, find_non_skin, split_light

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "engine" / "swappers" / "mesh" / "typical.npz"
LOW, HIGH = 0.1, 0.9  # quantiles
FEWEST = 20  # faces of which a part is known
LEAST = 0.08  # log units: smallest range of a part
TOLERANCE = 0.02  # log units between this machine's figures and another's

Floats = NDArray[np.float32]


def detail_of(path: Path, faces: FaceAnalyser) -> tuple[Floats, NDArray[np.bool_]]:
    """Return a picture's log detail (COARSE, COARSE, 3), and where it shows skin for sure.

    Raises:
        LookupError: it shows no face.
    """
    picture = read(path)
    found = faces.analyse_picture(picture_frame(picture))
    if not found:
        raise LookupError(f"{path} shows no face.")
    face = max(found, key=lambda one: one.box.area)
    pixels = (picture / np.float32(255)).astype(np.float32)
    own, seen = unwrap(pixels, face.mesh.points, SIDE)
    good = seen * (1 - find_non_skin(own))
    hair = find_beard(shrink(own, COARSE), shrink(good, COARSE))
    _, detail = split_light(own, good, hair)
    return detail, shrink(good, COARSE) * (1 - hair) > 0.5


def typical(details: Floats, sure: NDArray[np.bool_]) -> dict[str, Floats]:
    """Return the fields of `TypicalDetail` for faces (n, h, w, 3), each with its mirror image."""
    details = np.concatenate([details, details[:, :, ::-1]])
    sure = np.concatenate([sure, sure[:, :, ::-1]])
    known = sure.sum(axis=0) >= FEWEST
    tones = luma(details)
    hues = details - tones[..., None]
    low, middle, high = _quantiles(tones, sure, known, (LOW, 0.5, HIGH))
    colour = np.stack([_quantiles(hues[..., k], sure, known, (0.5,))[0] for k in range(3)], axis=-1)
    (spread,) = _quantiles(np.linalg.norm(hues - colour, axis=-1), sure, known, (HIGH,))
    fields = {
        "tone": middle,
        "darker": np.maximum(middle - low, LEAST),
        "brighter": np.maximum(high - middle, LEAST),
        "colour": colour,
        "spread": np.maximum(spread, LEAST),
    }
    return {name: field[:, : field.shape[1] // 2] for name, field in fields.items()}


def _quantiles(
    values: Floats, sure: NDArray[np.bool_], known: NDArray[np.bool_], shares: tuple[float, ...]
) -> Floats:
    """Return quantiles of the sure values (n, h, w) at each place, 0 where hardly any are known."""
    cells = np.where(sure, values, np.nan)[:, known]
    found = np.zeros((len(shares), *known.shape), np.float32)
    found[:, known] = np.nanquantile(cells, shares, axis=0)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Learn the typical detail of faces.")
    parser.add_argument("pictures", type=Path, help="folder of pictures, a face each")
    parser.add_argument("--check", action="store_true", help="write nothing; compare")
    options = parser.parse_args()
    faces = analyser()
    details, sure = [], []
    with (HERE / "soft_light_people.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            detail, shown = detail_of(options.pictures / row["file"], faces)
            details.append(detail)
            sure.append(shown)
    fields = typical(np.stack(details), np.stack(sure))
    if options.check:
        with np.load(OUTPUT) as data:
            off = {name: float(np.abs(data[name] - fields[name]).max()) for name in data.files}
        print(", ".join(f"{name} {most:.4f}" for name, most in off.items()))
        return int(max(off.values()) > TOLERANCE)
    OUTPUT.write_bytes(npz_bytes({name: f.astype(np.float16) for name, f in fields.items()}))
    print(f"{len(details)} faces in {OUTPUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
