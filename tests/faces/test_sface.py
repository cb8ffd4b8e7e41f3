import numpy as np

from engine.faces.analyser import FaceAnalyser
from engine.faces.sface import SFace
from engine.values import Embedding
from tests.faces.pictures import frame_of, picture


def embedding(analyser: FaceAnalyser, person: str, kind: str) -> Embedding:
    faces = analyser.analyse_picture(frame_of(picture(person, kind)))
    found = max(faces, key=lambda face: face.box.area).embedding
    assert found is not None
    return found


def test_two_pictures_of_a_person_are_nearer_than_strangers(analyser: FaceAnalyser) -> None:
    people = ("P001", "P004", "P005", "P008")
    portraits = np.stack([embedding(analyser, p, "studio_portrait") for p in people])
    selfies = np.stack([embedding(analyser, p, "amateur_selfie") for p in people])
    cosines = portraits @ selfies.T
    same = np.diag(cosines)
    strangers = cosines[~np.eye(len(people), dtype=bool)]
    assert same.min() > 0.6
    assert strangers.max() < 0.45
    assert strangers.mean() < 0.25


def test_embeddings_have_unit_length(embedder: SFace) -> None:
    crops = [np.full((112, 112, 3), value, np.uint8) for value in (20, 200)]
    for one in embedder.embed(crops):
        assert one.shape == (128,)
        assert one.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(one), 1, rtol=1e-5)


def test_size_of_the_picture_hardly_matters(analyser: FaceAnalyser) -> None:
    large = analyser.analyse_picture(frame_of(picture("P008", longest=2048)))[0].embedding
    small = analyser.analyse_picture(frame_of(picture("P008", longest=512)))[0].embedding
    assert large is not None
    assert small is not None
    assert large @ small > 0.97
