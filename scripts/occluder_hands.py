#!/usr/bin/env python3
"""Cut hands out of the pictures of `openpeople`, for `occluder_scenes.py` to lay before faces.

    python scripts/occluder_hands.py --data FOLDER

Writes `FOLDER/hands.npz`: `hands` (n, 192, 192, 4) uint8, RGB and coverage, fingers up, of the
persons P001 to P007; the others are kept out of training. Needs the extra `cpu` and the
group `dev`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from build_expression import analyser, picture_frame
from occluder_canvas import SIDE
from people import people, read

from engine.compose.occlusion import hand_silhouette
from engine.faces.hands import HandFinder, MediaPipeHand, region_around_hand
from engine.faces.palms import BlazePalm
from engine.geometry import affine
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.weights.weight_store import WeightStore

PERSONS = 7
_SURE = 0.8  # score of a hand that is good enough to be cut out


def main() -> int:
    parser = argparse.ArgumentParser(description="Cut out hands to train the occluder with.")
    parser.add_argument("--data", type=Path, required=True, help="folder to write into")
    options = parser.parse_args()
    store, faces = WeightStore(), analyser()
    finder = HandFinder(
        BlazePalm(Session(store.path("palm_detection"))),
        MediaPipeHand(Session(store.path("hand_landmark"))),
    )
    hands = []
    for person in people()[:PERSONS]:
        for picture in (*person.expressions().values(), read(person.selfie)):
            frame = picture_frame(picture)
            for hand in finder.find(frame, faces.analyse_picture(frame)):
                if hand.score < _SURE:
                    continue
                to_crop = region_around_hand(hand).to_crop(SIDE)
                points = affine.apply(to_crop, hand.points)
                # The silhouette's edge is soft and lies outside; the inner half of it is the hand.
                cover = np.clip(2 * hand_silhouette(points, SIDE) - 1, 0, 1)
                alpha = np.round(cover * 255).astype(np.uint8)
                hands.append(np.dstack((byte_crop(frame, to_crop, SIDE), alpha)))
    options.data.mkdir(parents=True, exist_ok=True)
    target = options.data / "hands.npz"
    np.savez_compressed(target, hands=np.stack(hands))
    print(f"{len(hands)} hands in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
