"""The networks that are chosen to analyse faces, and that they are run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import ParameterError, WeightsCorrupt, WeightsMissing
from engine.faces.landmarks import alignment_points, five_points_of_landmarks
from engine.networks.analysis import AnalysisNetworks
from engine.options import AnalysisOptions, SelectionRule
from engine.runtime.session import Session
from engine.selection import Need, choose_faces, distance
from engine.values import DistanceScale, Face
from engine.weights.manifest import MANIFEST, PACKS, read_packs
from engine.weights.weight_store import WeightStore, embedded_folder
from tests import people
from tests import tiny_models_faces as tiny
from tests.faces.pictures import FOLDER, moving, picture

PORTRAIT = FOLDER / "P004" / "assets" / "amateur_selfie.jpg"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stand-ins, named as InsightFace and FaceFusion name theirs."""
    folder = tmp_path_factory.mktemp("packs")
    tiny.save_scrfd(folder / "det_10g.onnx", tiny.ScrfdKind())
    tiny.save_arcface(folder / "w600k_r50.onnx")
    tiny.save_landmarks(folder / "2d106det.onnx", 212)
    tiny.save_landmarks(folder / "1k3d68.onnx", 3309)
    tiny.save_genderage(folder / "genderage.onnx")
    tiny.save_fairface(folder / "fairface.onnx", 5, 1, 8)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(user_folder=tmp_path / "user")


@pytest.fixture
def full(store: WeightStore, packs: Path) -> WeightStore:
    assert not store.import_path(packs).skipped
    return store


class Sessions:
    """Opens sessions, and records their networks."""

    def __init__(self, store: WeightStore) -> None:
        self._store = store
        self.names: list[str] = []

    def __call__(self, name: str) -> Session:
        self.names.append(name)
        return Session(self._store.path(name))


def opened_networks(store: WeightStore, wanted: Sequence[Need] = (), **chosen: str) -> set[str]:
    """Return the networks that an analyser of these options is made of."""
    sessions = Sessions(store)
    AnalysisNetworks(store, sessions).analyser(wanted, AnalysisOptions(**chosen))  # type: ignore[arg-type]
    return set(sessions.names)


MESHES = {"face_mesh_478", "face_mesh"}


def test_the_embedded_networks_are_taken_where_nothing_else_is_there(store: WeightStore) -> None:
    assert opened_networks(store) == {"yunet", *MESHES}
    assert opened_networks(store, ["embedding", "age"]) == {"yunet", *MESHES, "sface", "age"}
    assert AnalysisNetworks(store, Sessions(store)).readable == {"age", "gender"}


def test_imported_networks_are_taken_before_the_embedded_ones(full: WeightStore) -> None:
    assert opened_networks(full, ["embedding"]) == {"det_10g", *MESHES, "w600k_r50"}
    assert opened_networks(full, ["age"]) == {"det_10g", *MESHES, "genderage"}
    assert opened_networks(full, ["gender", "race"]) == {"det_10g", *MESHES, "fairface"}
    assert AnalysisNetworks(full, Sessions(full)).readable == {"age", "gender", "race"}


def test_each_can_be_chosen_by_name(full: WeightStore) -> None:
    chosen = opened_networks(
        full, ["embedding"], detector="yunet", embedder="sface", landmarker="face_mesh"
    )
    assert chosen == {"yunet", "sface", "face_mesh"}
    assert opened_networks(full, landmarker="2d106det") == {"det_10g", *MESHES, "2d106det"}


@pytest.mark.parametrize("field", ["detector", "embedder", "landmarker"])
def test_an_unknown_name_is_refused_with_those_there_are(store: WeightStore, field: str) -> None:
    with pytest.raises(ParameterError, match=rf"{field} is 'best'; allowed: auto, \w+"):
        opened_networks(store, ["embedding"], **{field: "best"})


@pytest.mark.parametrize(
    ("field", "name"),
    [("detector", "det_10g"), ("embedder", "w600k_r50"), ("landmarker", "1k3d68")],
)
def test_a_known_name_that_is_not_installed_says_how_to_get_it(
    store: WeightStore, field: str, name: str
) -> None:
    with pytest.raises(WeightsMissing, match=f"{name} .*weights import"):
        opened_networks(store, ["embedding"], **{field: name})


def test_race_without_its_network_says_how_to_get_it(store: WeightStore) -> None:
    with pytest.raises(WeightsMissing, match=r"fairface .*weights import"):
        opened_networks(store, ["race"])


def test_each_attribute_is_told_by_the_network_that_knows_it_best(full: WeightStore) -> None:
    with Engine(weights=full, device="cpu") as engine:
        (face,) = engine.faces(PORTRAIT, detector="yunet").faces
    assert face.attributes is not None
    # The fairface stand-in says female, indian and 70 or more; of the age, genderage has its say.
    assert (face.attributes.gender, face.attributes.race) == ("female", "indian")
    assert face.attributes.age != 75


def test_embedders_are_never_mixed(full: WeightStore) -> None:
    with Engine(weights=full, device="cpu") as engine:
        for embedder, length in (("sface", 128), ("w600k_r50", 512)):
            found = engine.faces(
                PORTRAIT, references=[PORTRAIT], detector="yunet", embedder=embedder
            )
            assert found.faces[0].embedding is not None
            assert found.faces[0].embedding.shape == (length,)
            assert found.distances[0] == pytest.approx(0, abs=1e-6)


def test_arcface_is_the_reference_scale(full: WeightStore) -> None:
    for name in ("w600k_r50", "sface"):
        calibration = AnalysisNetworks(full, Sessions(full)).distance_scale(
            AnalysisOptions(embedder=name)
        )
        assert calibration == DistanceScale()


def test_distances_mean_the_same_whichever_embedder_measured(tmp_path: Path, packs: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in (MANIFEST, PACKS):
        text = (embedded_folder() / name).read_text("utf-8")
        row = '[[network]]\nname = "w600k_r50"'
        text = text.replace(row, f"{row}\ncalibration = [[0.363, 0.4]]")
        (folder / name).write_text(text, "utf-8")
    store = WeightStore(folder, tmp_path / "user")
    store.import_path(packs / "w600k_r50.onnx")
    options = AnalysisOptions(embedder="w600k_r50")
    shifted, arcface = (
        AnalysisNetworks(store, Sessions(store)).distance_scale(options),
        DistanceScale(),
    )
    one = people.embedding(1.0)
    assert distance(one, people.at_distance(0.6), arcface) == pytest.approx(0.6, abs=1e-6)
    assert distance(one, people.at_distance(1 - 0.363), shifted) == pytest.approx(0.6, abs=1e-6)
    rule = SelectionRule()
    same, other = (
        Face(people.face().detection, people.face().mesh, people.at_distance(d))
        for d in (0.63, 0.65)
    )
    assert choose_faces([same, other], rule, [one], shifted) == (same,)
    assert choose_faces([same, other], rule, [one], arcface) == ()


def test_a_calibration_rises_and_keeps_its_ends() -> None:
    calibration = DistanceScale(((0.2, 0.3), (0.5, 0.45)))
    cosines = np.linspace(-1, 1, 41)
    read = [calibration.reference(cosine) for cosine in cosines]
    assert (read[0], read[-1]) == (-1, 1)
    assert (np.diff(read) > 0).all()
    assert calibration.reference(0.2) == pytest.approx(0.3)
    assert [DistanceScale().reference(cosine) for cosine in cosines] == cosines.tolist()


@pytest.mark.parametrize(
    ("knots", "told"),
    [
        ("[[0.4, 0.4], [0.3, 0.5]]", "both rising, but is"),
        ("[[0.4, 1]]", "both rising, but is"),
        ("[[0.4]]", r"1 must have at least 2 numbers, but is \[0.4\]"),
        ("0.4", "must be a list, but is 0.4"),
    ],
)
def test_a_calibration_that_does_not_rise_is_refused(tmp_path: Path, knots: str, told: str) -> None:
    text = (embedded_folder() / PACKS).read_text("utf-8")
    row = '[[network]]\nname = "w600k_r50"'
    (tmp_path / PACKS).write_text(text.replace(row, f"{row}\ncalibration = {knots}"), "utf-8")
    with pytest.raises(WeightsCorrupt, match=f"calibration .*{told}"):
        read_packs(tmp_path / PACKS)


@pytest.mark.parametrize(("name", "shape"), [("2d106det", (106, 2)), ("1k3d68", (68, 3))])
def test_chosen_landmarks_are_on_every_face_of_a_video_and_align_it(
    full: WeightStore, name: str, shape: tuple[int, int]
) -> None:
    options = AnalysisOptions(detector="yunet", landmarker=name)
    clip = moving(picture("P004"), 9)
    shots = list(AnalysisNetworks(full, Sessions(full)).analyser((), options).analyse(clip))
    for shot in shots:
        (face,) = shot.faces
        assert face.landmarks is not None
        assert face.landmarks.points.shape == shape
        assert face.mesh.points.shape == (468, 3)
        np.testing.assert_array_equal(
            alignment_points(face), five_points_of_landmarks(face.landmarks)
        )
