#!/usr/bin/env python3
"""Find the faces of a folder of pictures and keep their meshes, for `train_occluder.py`.

    python scripts/occluder_faces.py PICTURES --data FOLDER

Writes `FOLDER/meshes.npz`: the pictures' names and, of the largest face in each, the 468 points of
the mesh in pixels. A picture without a face is left out. Needs the engine with the extra `cpu`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from build_expression import analyser, largest_mesh
from people import read


def main() -> int:
    parser = argparse.ArgumentParser(description="Find the faces to train the occluder on.")
    parser.add_argument("pictures", type=Path, help="folder of pictures, a face each")
    parser.add_argument("--data", type=Path, required=True, help="folder to write into")
    options = parser.parse_args()
    faces = analyser()
    meshes = {}
    for path in sorted(options.pictures.glob("*.jpg")):
        try:
            meshes[path.name] = largest_mesh(read(path), faces, path.name).astype(np.float32)
        except LookupError as error:
            print(error)
    options.data.mkdir(parents=True, exist_ok=True)
    target = options.data / "meshes.npz"
    np.savez_compressed(target, names=np.array([*meshes]), meshes=np.stack([*meshes.values()]))
    print(f"{len(meshes)} faces in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
