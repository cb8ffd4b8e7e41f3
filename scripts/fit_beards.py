#!/usr/bin/env python3
"""Fit the weights by which `engine/swappers/mesh/beards.py` finds beards.

    python scripts/fit_beards.py PICTURES            # write engine/swappers/mesh/beards.npz
    python scripts/fit_beards.py PICTURES --check    # write nothing; tell persons left out

PICTURES is the folder of faces that `train_occluder.py` takes, too, of the dataset
SelfishGene/SFHQ-T2I-dataset (MIT). `scripts/beard_people.csv` says of 622 of them, as seen by eye,
what grows there: nothing, stubble, a moustache, a goatee (chin and lip), or a full beard. Stubble
counts a third and as no beard.

The decision is a logistic regression of the traits of the lower face for each of three questions:
is there hair on the lip, on the chin, on the jaw? The likeness of each part to hair is one more, in
which the parts of full beards count as hair, and cheeks and bare faces as skin. Takes some minutes.
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
from engine.geometry.mesh_topology import mesh_template
from engine.pipeline.stages import align
from engine.swappers.mesh.beards import (
    beard_rings,
    beard_traits,
    decision_traits,
    hair_traits,
)
from engine.swappers.mesh.layout import COARSE, layout, unwrap_crop

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "engine" / "swappers" / "mesh" / "beards.npz"
HAIRY = ({"moustache", "goatee", "full"}, {"goatee", "full"}, {"full"})  # lip, chin, jaw
STUBBLE, BEARDED = 0.35, 3.0  # how much a face counts
RIDGE, HAIR_RIDGE = 0.06, 2e-3
FOLDS = 8
SIDE = 384
BESIDE = slice(32, 50)  # rows of cheeks above a beard
LOWER = slice(44, 88)  # rows of the lower face
SAMPLES = 300  # cells of a bare face

Floats = NDArray[np.float64]


def traits_of(path: Path, faces: FaceAnalyser) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a picture's traits and where its face is shown.

    Raises:
        LookupError: it shows no face.
    """
    frame = picture_frame(read(path))
    found = faces.analyse_picture(frame)
    if not found:
        raise LookupError(f"{path} shows no face.")
    face = max(found, key=lambda one: one.box.area)
    crop = align(frame, face, mesh_template(), SIDE)
    own, shown = unwrap_crop(crop.pixels, crop.mesh)
    return beard_traits(own, shown), shown


def logistic(rows: Floats, truth: Floats, weights: Floats, ridge: float) -> Floats:
    """Return the weights of a logistic regression, the bias last."""
    spread = np.append(rows.std(axis=0) + 0.05, 1.0)
    terms = np.column_stack([rows, np.ones(len(rows))]) / spread
    penalty = np.diag(np.append(np.full(rows.shape[1], 2 * ridge), 1e-9))
    found = np.zeros(terms.shape[1])
    for _ in range(25):
        odds = np.clip(terms @ found, -30, 30)
        likely = 1 / (1 + np.exp(-odds))
        slope = terms.T @ (weights * (likely - truth)) / len(rows) + penalty @ found
        curve = (terms.T * (weights * likely * (1 - likely) + 1e-6)) @ terms / len(rows)
        step = np.linalg.solve(curve + penalty, slope)
        found -= step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-9))
        if np.abs(step).max() < 1e-4:
            break
    return np.asarray(found / spread)


def decision(rows: Floats, kinds: list[str]) -> Floats:
    """Return the weights of the three questions, (k + 1, 3)."""
    columns = []
    for hairy in HAIRY:
        truth = np.array([kind in hairy for kind in kinds], float)
        weights = np.where(truth > 0, BEARDED, [STUBBLE if k == "stubble" else 1.0 for k in kinds])
        columns.append(logistic(rows, truth, weights, RIDGE))
    return np.stack(columns, axis=1)


def hair(traits: list[NDArray[np.float32]], kinds: list[str]) -> Floats:
    """Return the weights of the likeness to hair, (k + 1,)."""
    skin = layout(COARSE).skin > 0.5
    beard = (beard_rings()[2] > 0.5) & skin
    cheeks, lower = np.zeros_like(skin), np.zeros_like(skin)
    cheeks[BESIDE], lower[LOWER] = skin[BESIDE], skin[LOWER]
    dice = np.random.default_rng(0)
    rows, truth = [], []
    for one, kind in zip(traits, kinds, strict=True):
        cells = hair_traits(one)
        if kind == "full":
            rows += [cells[beard], cells[cheeks]]
            truth += [np.ones(beard.sum()), np.zeros(cheeks.sum())]
        elif kind == "none":
            rows.append(dice.permutation(cells[lower])[:SAMPLES])
            truth.append(np.zeros(len(rows[-1])))
    flat = np.concatenate(truth)
    return logistic(np.concatenate(rows).astype(float), flat, np.ones(len(flat)), HAIR_RIDGE)


def report(rows: Floats, kinds: list[str]) -> None:
    """Print the results of the decision on held-out persons."""
    fold = np.random.default_rng(0).permutation(len(kinds)) % FOLDS
    odds = np.zeros((len(kinds), len(HAIRY)))
    for part in range(FOLDS):
        rest = fold != part
        weights = decision(rows[rest], [k for k, r in zip(kinds, rest, strict=True) if r])
        odds[~rest] = rows[~rest] @ weights[:-1] + weights[-1]
    for name, hairy, odd in zip(("lip", "chin", "jaw"), HAIRY, odds.T, strict=True):
        shares = {
            kind: float((odd[[k == kind for k in kinds]] > 0).mean()) for kind in sorted(set(kinds))
        }
        told = " ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
        print(f"hair on the {name} ({', '.join(sorted(hairy))}): found on {told}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit the weights that tell beards.")
    parser.add_argument("pictures", type=Path, help="folder of pictures, a face each")
    parser.add_argument("--check", action="store_true", help="write nothing; leave persons out")
    options = parser.parse_args()
    faces = analyser()
    traits, rows, kinds = [], [], []
    with (HERE / "beard_people.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                found, shown = traits_of(options.pictures / row["file"], faces)
            except LookupError as error:
                print(error)
                continue
            traits.append(found)
            rows.append(decision_traits(found, shown))
            kinds.append(row["beard"])
    table = np.array(rows, float)
    if options.check:
        report(table, kinds)
        return 0
    arrays = {"decision": decision(table, kinds), "hair": hair(traits, kinds)}
    OUTPUT.write_bytes(npz_bytes({k: v.astype(np.float32) for k, v in arrays.items()}))
    print(f"{len(kinds)} faces in {OUTPUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
