from __future__ import annotations

import pytest

from engine.faces.analyser import FaceAnalyser
from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork
from engine.faces.sface import SFace
from engine.faces.yunet import YuNet
from engine.options import AnalysisOptions
from engine.runtime.session import Session
from engine.weights.weight_store import WeightStore
from tests.swappers import stand_ins
from tests.swappers.stage import Stage


@pytest.fixture(scope="session")
def stage() -> Stage:
    store = WeightStore()
    names = ("yunet", "face_mesh_478", "face_mesh", "sface")
    detector, attentive, plain, recogniser = (Session(store.path(name)) for name in names)
    meshes = FallbackMeshNetwork(FaceMeshNetwork(attentive), FaceMeshNetwork(plain))
    return Stage(FaceAnalyser(YuNet(detector), meshes, SFace(recogniser), None, AnalysisOptions()))


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """Swappers that give their targets back, under the names of the packs'."""
    return stand_ins.identities(tmp_path_factory.mktemp("packs"))
