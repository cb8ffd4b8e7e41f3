"""Records what the package insightface answers for the small networks of the tests.

Run it where `insightface` 2.1 and `onnx` are installed (a virtual environment of its own: the
package brings another build of OpenCV than the engine's):

    python scripts/record_insightface.py

It writes tests/faces/insightface.npz, to which the engine's own readers are held.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "tests" / "faces" / "insightface.npz"

sys.path.insert(0, str(ROOT))

from tests import tiny_models_faces as tiny  # noqa: E402 - the path comes first

SIZES = ((256, 320), (320, 256), (512, 640))  # (height, width) of the pictures for detectors
DIVISIBLE = {3: 32, 5: 128}  # what the sides are multiples of, by levels
BOX = (96.0, 64.0, 224.0, 192.0)  # such that the crop of 192 pixels is the picture's own pixels
SCALED = (90.5, 70.25, 190.5, 160.0)
POINTS = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
     (70.7299, 92.2041)], np.float32,
)  # fmt: skip
SHIFT = np.array([100, 60], np.float32)
TURN = np.array([[1.3, -0.4], [0.4, 1.3]], np.float32)


def reference() -> dict[str, np.ndarray[Any, Any]]:
    """Return the outputs of insightface by the names of the network and of the case."""
    from insightface.app.common import Face  # noqa: PLC0415 - only where it is installed
    from insightface.model_zoo import model_zoo  # noqa: PLC0415
    from insightface.utils.face_align import norm_crop  # noqa: PLC0415

    def model(path: Path) -> Any:
        return model_zoo.get_model(str(path), providers=["CPUExecutionProvider"])

    answers: dict[str, np.ndarray[Any, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for kind in tiny.SCRFD_KINDS:
            detector = model(tiny.save_scrfd(folder / f"{kind.name}.onnx", kind))
            for height, width in SIZES:
                if height % DIVISIBLE[kind.levels] or width % DIVISIBLE[kind.levels]:
                    continue
                picture = bgr(tiny.scene(height, width))
                detector.prepare(0, input_size=(width, height), det_thresh=0.5, nms_thresh=0.4)
                found, points = detector.detect(picture)
                case = f"{kind.name}/{width}x{height}"
                answers[f"{case}/boxes"] = found
                if points is not None:
                    answers[f"{case}/points"] = points
        picture = bgr(tiny.scene(256, 320))
        arcface = model(tiny.save_arcface(folder / "arcface.onnx"))
        for case, turn in (("whole", np.eye(2, dtype=np.float32)), ("turned", TURN)):
            face = Face(kps=POINTS @ turn.T + SHIFT)
            arcface.get(picture, face)
            answers[f"arcface/{case}"] = face.normed_embedding
            answers[f"arcface/{case}/crop"] = norm_crop(picture, face.kps)[..., ::-1]
        for name, values in (("2d106", 212), ("3d68", 3309)):
            landmarker = model(tiny.save_landmarks(folder / f"{name}.onnx", values))
            for case, box in (("whole", BOX), ("scaled", SCALED)):
                answers[f"{name}/{case}"] = landmarker.get(picture, Face(bbox=np.array(box)))
        genderage = model(tiny.save_genderage(folder / "genderage.onnx"))
        for number, box in enumerate((BOX, SCALED)):
            answers[f"genderage/{number}"] = np.array(
                genderage.get(picture, Face(bbox=np.array(box)))
            )
    return answers


def bgr(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the picture with its channels in the order that insightface takes."""
    return np.ascontiguousarray(picture[..., ::-1])


if __name__ == "__main__":
    recorded = reference()
    np.savez_compressed(FILE, allow_pickle=False, **recorded)
    for name, value in recorded.items():
        print(name, value.shape)
