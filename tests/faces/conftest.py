from __future__ import annotations

import pytest

from engine.faces.analyser import FaceAnalyser
from engine.faces.attributes import AgeGender
from engine.faces.mesh import FaceMeshNetwork
from engine.faces.sface import SFace
from engine.faces.yunet import YuNet
from engine.options import AnalysisOptions
from engine.runtime.session import Session
from engine.values import Face
from engine.weights.weight_store import WeightStore
from tests.faces.pictures import frame_of, picture


@pytest.fixture(scope="session")
def store() -> WeightStore:
    return WeightStore()


@pytest.fixture(scope="session")
def detector(store: WeightStore) -> YuNet:
    return YuNet(Session(store.path("yunet")))


@pytest.fixture(scope="session", params=["face_mesh", "face_mesh_478"])
def landmarker(request: pytest.FixtureRequest, store: WeightStore) -> FaceMeshNetwork:
    return FaceMeshNetwork(Session(store.path(request.param)))


@pytest.fixture(scope="session")
def mesh(store: WeightStore) -> FaceMeshNetwork:
    return FaceMeshNetwork(Session(store.path("face_mesh")))


@pytest.fixture(scope="session")
def embedder(store: WeightStore) -> SFace:
    return SFace(Session(store.path("sface")))


@pytest.fixture(scope="session")
def attributes(store: WeightStore) -> AgeGender:
    return AgeGender(
        age=Session(store.path("age")),
        gender=Session(store.path("gender")),
    )


@pytest.fixture(scope="session")
def analyser(
    detector: YuNet, mesh: FaceMeshNetwork, embedder: SFace, attributes: AgeGender
) -> FaceAnalyser:
    return FaceAnalyser(detector, mesh, embedder, attributes, AnalysisOptions())


@pytest.fixture(scope="session")
def portrait_face(analyser: FaceAnalyser) -> Face:
    """The face of P001's portrait at 1024 pixels."""
    (face,) = analyser.analyse_picture(frame_of(picture("P001")))
    return face
