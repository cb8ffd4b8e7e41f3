"""Shared parts of the benchmarks: faces, RGB pictures as frames, the machine, paths."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import measures
import numpy as np

from engine.faces.analyser import FaceAnalyser
from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork
from engine.faces.sface import SFace
from engine.faces.yunet import YuNet
from engine.options import AnalysisOptions
from engine.pixels.planes import region_bytes
from engine.runtime.session import Session
from engine.values import Bytes, Colour, Face, Frame, Mesh, PixelFormat, Pixels, Portrait, Rect
from engine.weights.weight_store import WeightStore

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
OUT = ROOT / "benchmarks" / "out"
MEDIA = ROOT.parent / "shared" / "media"
# The synthetic people and the demo's film are read by the modules that the demo uses, and the
# networks that stand in for imported ones are the tests'.
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]


def machine() -> dict[str, str]:
    """Machine and versions that the numbers were measured with."""
    names = (
        *("faceswap-engine", "av", "numpy", "onnxruntime", "onnxruntime-gpu"),
        *("opencv-python-headless", "openpeople", "dlib-bin"),
    )
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version for name in names if (version := installed(name))},
    }


def machine_line() -> str:
    return "; ".join(f"{name} {value}" for name, value in machine().items())


def record(name: str, document: Mapping[str, object], text: str) -> None:
    """Write results/NAME.json and results/NAME.md."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def frame_of(picture: Bytes) -> Frame:
    """Return an RGB picture as a frame of three planes."""
    planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3))
    form = PixelFormat("gbrp", "rgb", 8)
    return Frame(0, 0, Fraction(1, 25), planes, form, Colour(matrix="rgb", full_range=True))


def picture_of(frame: Frame) -> Bytes:
    """Return the whole frame as RGB."""
    return region_bytes(frame, Rect(0, 0, *frame.size))


class Kit:
    """The engine's analyser with the embedded networks, for single pictures and for clips."""

    def __init__(self, threads: int = 1) -> None:
        def session(name: str) -> Session:
            return Session(store.path(name), threads=threads)

        store = WeightStore()
        self.analyser = FaceAnalyser(
            YuNet(session("yunet")),
            FallbackMeshNetwork(
                FaceMeshNetwork(session("face_mesh_478")), FaceMeshNetwork(session("face_mesh"))
            ),
            SFace(session("sface")),
            None,
            AnalysisOptions(),
        )

    def faces(self, frame: Frame) -> list[Face]:
        """Return the faces of a frame by itself, largest first, each with an embedding."""
        return sorted(self.analyser.analyse_picture(frame), key=lambda face: -face.box.area)

    def face_near(self, frame: Frame, mesh: Mesh) -> Face | None:
        """Return the face of a frame that lies where `mesh` does; None if there is none."""
        reach = 0.5 * float(np.ptp(mesh.points[:, 0]))
        near = [
            (away, face)
            for face in self.faces(frame)
            if (away := measures.shift(face.mesh.points, mesh.points)) < reach
        ]
        return min(near, key=lambda pair: pair[0])[1] if near else None

    def portrait(self, name: str, picture: Bytes) -> Portrait:
        """Return the picture's largest face as a source.

        Raises:
            LookupError: there is none.
        """
        faces = self.faces(frame_of(picture))
        if not faces:
            raise LookupError(f"{name} shows no face.")
        return Portrait(name, as_pixels(picture), faces[0])


def as_pixels(picture: Bytes) -> Pixels:
    return (picture / np.float32(255)).astype(np.float32)
