"""The readers of InsightFace's networks answer as the package insightface does.

"recorded" is what the package answered once (scripts/record_insightface.py), "live" what it answers
now, where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import record_insightface as record
from numpy.typing import NDArray

from engine.faces.arcface import ArcFace
from engine.faces.dense_landmarks import DenseLandmarks
from engine.faces.genderage import GenderAge
from engine.faces.identity import IdentityReader
from engine.faces.scrfd import SCRFD
from engine.runtime.session import Session
from engine.values import Box, Detection, Face, LandmarkScheme, Mesh
from engine.weights.manifest import InputSpec
from engine.weights.weight_store import WeightStore
from tests import tiny_models_faces as tiny
from tests.faces.pictures import frame_of

Answers: TypeAlias = Mapping[str, NDArray[Any]]

FRAME = frame_of(tiny.scene(256, 320))
NO_MESH = Mesh(np.zeros((468, 3), np.float32), 0.0)


@pytest.fixture(scope="module", params=["recorded", "live"])
def theirs(request: pytest.FixtureRequest) -> Answers:
    if request.param == "recorded":
        with np.load(record.FILE) as file:
            return dict(file)
    pytest.importorskip("insightface", reason="insightface is not installed")
    with pytest.warns(FutureWarning):
        return record.reference()


def spec(name: str) -> InputSpec:
    """Return the input of a network as its row of packs.toml describes it."""
    (network,) = (one for one in WeightStore().installable() if one.name == name)
    return network.input


def a_face(box: tuple[float, ...], points: NDArray[Any] | None = None) -> Face:
    five = np.zeros((5, 2), np.float32) if points is None else points.astype(np.float32)
    return Face(Detection(Box(*box), 0.9, five), NO_MESH)


@pytest.mark.parametrize("kind", tiny.SCRFD_KINDS, ids=lambda kind: kind.name)
def test_scrfd_finds_the_same_boxes_and_points(
    theirs: Answers, tmp_path: Path, kind: tiny.ScrfdKind
) -> None:
    detector = SCRFD(Session(tiny.save_scrfd(tmp_path / "scrfd.onnx", kind)), spec("det_10g"))
    cases = [case for case in theirs if case.startswith(f"{kind.name}/") and "boxes" in case[-6:]]
    assert cases
    for case in cases:
        width, height = map(int, case.split("/")[1].split("x"))
        (found,) = detector.detect([tiny.scene(height, width)])
        boxes = [[*(d.box.left, d.box.top, d.box.right, d.box.bottom), d.score] for d in found]
        np.testing.assert_allclose(boxes, theirs[case], rtol=1e-4, atol=1e-3)
        points = theirs.get(case.replace("/boxes", "/points"))
        assert (points is not None) == kind.points
        if points is not None:
            np.testing.assert_allclose([d.points for d in found], points, rtol=1e-4, atol=1e-3)


def test_arcface_gives_the_same_embeddings_of_the_same_crops(
    theirs: Answers, tmp_path: Path
) -> None:
    embedder = ArcFace(
        Session(tiny.save_arcface(tmp_path / "arcface.onnx")), spec("w600k_r50"), "w600k_r50"
    )
    cases = ("arcface/whole", "arcface/turned")
    found = embedder.embed([theirs[f"{case}/crop"] for case in cases])
    for case, embedding in zip(cases, found, strict=True):
        np.testing.assert_allclose(embedding, theirs[case], atol=1e-5)


def test_faces_are_aligned_for_arcface_as_insightface_does(theirs: Answers, tmp_path: Path) -> None:
    embedder = ArcFace(
        Session(tiny.save_arcface(tmp_path / "arcface.onnx")), spec("w600k_r50"), "w600k_r50"
    )
    whole = a_face(record.BOX, record.POINTS + record.SHIFT)
    turned = a_face(record.BOX, record.POINTS @ record.TURN.T + record.SHIFT)
    first, second = IdentityReader(embedder, None).read(FRAME, [whole, turned])
    assert first.embedding is not None
    assert second.embedding is not None
    np.testing.assert_allclose(first.embedding, theirs["arcface/whole"], atol=1e-5)
    # A turned crop is sampled bicubically and averaged here, bilinearly there.
    assert float(second.embedding @ theirs["arcface/turned"]) > 0.999


@pytest.mark.parametrize(
    ("name", "scheme", "values"), [("2d106det", "2d106", 212), ("1k3d68", "3d68", 3309)]
)
def test_landmarks_lie_where_insightface_sees_them(
    theirs: Answers, tmp_path: Path, name: str, scheme: LandmarkScheme, values: int
) -> None:
    session = Session(tiny.save_landmarks(tmp_path / "landmarks.onnx", values))
    marker = DenseLandmarks(session, spec(name), scheme)
    whole, scaled = marker.add_landmarks(FRAME, [a_face(record.BOX), a_face(record.SCALED)])
    assert whole.landmarks is not None
    assert scaled.landmarks is not None
    assert whole.landmarks.scheme == scheme
    np.testing.assert_allclose(whole.landmarks.points, theirs[f"{scheme}/whole"], atol=1e-3)
    np.testing.assert_allclose(scaled.landmarks.points, theirs[f"{scheme}/scaled"], atol=0.5)


def test_age_and_gender_are_insightfaces(theirs: Answers, tmp_path: Path) -> None:
    reader = GenderAge(Session(tiny.save_genderage(tmp_path / "genderage.onnx")), spec("genderage"))
    read = reader.read(FRAME, [a_face(record.BOX), a_face(record.SCALED)])
    genders = ("female", "male")
    said = [theirs[f"genderage/{number}"] for number in range(2)]
    assert [one.gender for one in read] == [genders[int(gender)] for gender, _ in said]
    assert read[0].age == said[0][1]
    # An enlarged crop is sampled bicubically here, bilinearly there.
    assert read[1].age == pytest.approx(said[1][1], abs=1)
