from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from engine.faces.identity import IdentityReader, identify
from engine.faces.landmarks import alignment_points
from engine.faces.tracker import Sighting
from engine.geometry.templates import ARCFACE_112_V2
from engine.values import Attributes, Bytes, Embedding, Face, Frame, Mesh
from tests.faces.pictures import frame_of
from tests.people import embedding

GREY: Bytes = np.full((18, 32, 3), 90, np.uint8)


@dataclass
class ListedEmbedder:
    """Answers reading after reading from a list, the last one for ever."""

    answers: Sequence[Embedding]
    name: str = "script"
    size: int = 112
    template = ARCFACE_112_V2
    read: int = 0

    def embed(self, crops: Sequence[Bytes]) -> list[Embedding]:
        self.read += len(crops)
        return [self.answers[min(self.read, len(self.answers)) - 1] for _ in crops]


@dataclass
class ListedAges:
    ages: Sequence[int]
    provides: frozenset[str] = frozenset({"age", "gender"})
    frames: list[int] = field(default_factory=list)

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        self.frames.append(frame.index)
        age = self.ages[(len(self.frames) - 1) % len(self.ages)]
        return [Attributes(age, "female" if age > 30 else "male") for _ in faces]


@pytest.fixture
def face(portrait_face: Face) -> Face:
    return replace(portrait_face, embedding=None, attributes=None, track=0)


def clip(face: Face, count: int, every: int = 5) -> list[Sighting]:
    image = np.full((1024, 1024, 3), 90, np.uint8)
    return [Sighting(frame_of(image, n), (face,), detected=n % every == 0) for n in range(count)]


def test_a_track_is_read_ever_more_rarely(face: Face) -> None:
    ages = ListedAges([40])
    out = list(identify(clip(face, 100), IdentityReader(None, ages), every=5, ahead=10))
    assert ages.frames == [0, 5, 15, 30, 50, 70, 90]
    assert len(out) == 100
    assert all(s.faces[0].embedding is None for s in out)


def test_every_sighting_knows_what_the_next_ones_say(face: Face) -> None:
    first, second = embedding(1), embedding(0.8, 0.6)
    out = list(
        identify(clip(face, 30), IdentityReader(ListedEmbedder([first, second]), None), 5, ahead=10)
    )
    got = out[0].faces[0].embedding
    assert got is not None
    # Frames 0 and 5 were read before frame 0 was told.
    np.testing.assert_allclose(got, (first + second) / np.linalg.norm(first + second), atol=1e-5)
    assert np.linalg.norm(got) == pytest.approx(1, abs=1e-5)


def test_a_poor_sighting_counts_little(face: Face) -> None:
    poor = replace(face, mesh=Mesh(face.mesh.points, 0.0))
    sightings = clip(face, 30)
    sightings[0] = replace(sightings[0], faces=(poor,))
    reader = IdentityReader(ListedEmbedder([embedding(0, 1), embedding(1)]), None)
    got = next(identify(sightings, reader, 5, ahead=10)).faces[0].embedding
    assert got is not None
    assert got[0] > 0.99


def test_a_track_that_shows_somebody_else_gets_a_new_number(face: Face) -> None:
    reader = IdentityReader(ListedEmbedder([embedding(1), embedding(1), embedding(0, 1)]), None)
    out = list(identify(clip(face, 40), reader, every=5, ahead=4))
    assert [s.faces[0].track for s in out] == [0] * 15 + [1] * 25
    before, after = out[14].faces[0].embedding, out[15].faces[0].embedding
    assert before is not None
    assert after is not None
    assert before[0] == pytest.approx(1)
    assert after[1] == pytest.approx(1)


def test_attributes_are_the_median_age_and_the_commonest_gender(face: Face) -> None:
    out = list(
        identify(clip(face, 100), IdentityReader(None, ListedAges([20, 50, 40])), 5, ahead=10)
    )
    told = out[-1].faces[0].attributes
    assert told is not None
    assert told.age == 40
    assert told.gender == "female"


def test_a_new_track_is_read_at_once_wherever_it_appears(face: Face) -> None:
    sightings = clip(face, 20)
    other = replace(face, track=1)
    sightings[7:] = [replace(s, faces=(face, other)) for s in sightings[7:]]
    ages = ListedAges([40])
    out = list(identify(sightings, IdentityReader(None, ages), every=5, ahead=10))
    assert 7 in ages.frames
    assert [f.track for f in out[7].faces] == [0, 1]
    assert all(f.attributes is not None for s in out for f in s.faces)


def test_a_mesh_that_cannot_be_trusted_does_not_align(face: Face) -> None:
    doubtful = replace(face, mesh=Mesh(face.mesh.points, 0.1))
    assert alignment_points(doubtful) is face.detection.points
    assert alignment_points(face) is not face.detection.points


def test_a_face_that_nobody_followed_is_refused(face: Face) -> None:
    sighting = replace(clip(face, 1)[0], faces=(replace(face, track=None),))
    with pytest.raises(ValueError, match="follow the faces first"):
        list(identify([sighting], IdentityReader(None, ListedAges([1])), 5, 10))


def test_a_poor_sighting_of_somebody_else_splits_no_track(face: Face) -> None:
    """As of a face in profile or blurred, whose embedding says little."""
    poor = replace(face, mesh=Mesh(face.mesh.points, 0.1))
    sightings = clip(face, 40)
    sightings[15] = replace(sightings[15], faces=(poor,))
    reader = IdentityReader(
        ListedEmbedder([embedding(1), embedding(1), embedding(0, 1), embedding(1)]), None
    )
    out = list(identify(sightings, reader, every=5, ahead=4))
    assert {sighting.faces[0].track for sighting in out} == {0}
