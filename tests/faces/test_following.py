"""Follow faces with a landmark network whose outputs the test writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.faces.analyser import FaceAnalyser
from engine.geometry.boxes import box_of
from engine.options import AnalysisOptions
from engine.values import Box, Bytes, Detection, Face, Frame, Mesh, Points
from tests.faces.pictures import frame_of

SIDE = 320
BOX = Box(110, 100, 210, 200)


@dataclass(frozen=True)
class Look:
    """Face that a landmark network finds in its crop, shifted by shares of the crop's side.

    A face of the scale 1 is as large as the crop is made for.
    """

    score: float
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


SEEN = Look(0.9)


@dataclass
class Written:
    """Returns the listed outputs, then `SEEN`."""

    looks: list[Look] = field(default_factory=list)
    size: int = 96
    crops: int = 0

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        self.crops += len(crops)
        return [self._mesh(self.looks.pop(0) if self.looks else SEEN) for _ in crops]

    def _mesh(self, look: Look) -> Mesh:
        side = self.size / 1.5 * look.scale
        middle = (self.size - 1) / 2 + self.size * np.array((look.x, look.y))
        shares = np.random.default_rng(0).uniform(-0.4, 0.4, (468, 2))
        # Corners of the eyes, forehead and chin, and the ends of the face.
        shares[[33, 263, 10, 152, 0, 1]] = (
            *((-0.3, -0.1), (0.3, -0.1), (0.0, -0.5), (0.0, 0.5)),
            *((-0.5, 0.0), (0.5, 0.0)),
        )
        points = np.column_stack([middle + side * shares, np.zeros(468)])
        return Mesh(points.astype(np.float32), look.score)


@dataclass
class AtOnePlace:
    """Sees one face, always in the same place."""

    score: float = 0.9
    pictures: int = 0

    def detect(self, images: Sequence[Bytes]) -> list[list[Detection]]:
        self.pictures += len(images)
        return [[self._detection(image.shape[1] / SIDE)] for image in images]

    def _detection(self, scale: float) -> Detection:
        shares = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
        points = (np.array((BOX.left, BOX.top)) + BOX.width * shares) * scale
        box = Box(*(scale * edge for edge in (BOX.left, BOX.top, BOX.right, BOX.bottom)))
        return Detection(box, self.score, points.astype(np.float32))


def clip(count: int) -> list[Frame]:
    return [frame_of(np.full((SIDE, SIDE, 3), 90, np.uint8), index) for index in range(count)]


def middle(points: Points) -> tuple[float, float]:
    box = box_of(points[:, :2])
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def analysed(
    looks: Iterable[Look], count: int, every: int = 1, score: float = 0.9
) -> tuple[list[tuple[Face, ...]], Written, AtOnePlace]:
    landmarker, detector = Written([*looks]), AtOnePlace(score)
    options = AnalysisOptions(detect_every=every)
    shots = FaceAnalyser(detector, landmarker, None, None, options).analyse(clip(count))
    return [shot.faces for shot in shots], landmarker, detector


def test_a_new_face_is_looked_at_twice_where_the_first_look_saw_it() -> None:
    """The second crop lies around the first mesh, so what is in its middle is there."""
    faces, landmarker, _ = analysed([Look(0.6, x=0.2), Look(0.9)], 1)
    assert landmarker.crops == 2
    ((face,),) = faces
    assert face.mesh.score == pytest.approx(0.9)
    assert middle(face.mesh.points) == pytest.approx((160 + 0.2 * 150, 150), abs=2)


@pytest.mark.parametrize(("second", "taken"), [(0.59, 0.6), (0.61, 0.61)])
def test_the_surer_of_two_looks_is_taken(second: float, taken: float) -> None:
    (((face,)), *_), _, _ = analysed([Look(0.6), Look(second, x=0.1)], 1)
    assert face.mesh.score == pytest.approx(taken)
    assert middle(face.mesh.points)[0] == pytest.approx(160 + (15 if second > 0.6 else 0), abs=2)


@pytest.mark.parametrize(
    ("mesh", "score", "count"), [(0.5, 0.1, 1), (0.49, 0.84, 1), (0.49, 0.83, 0)]
)
def test_a_face_needs_a_mesh_or_a_detector_that_is_sure(
    mesh: float, score: float, count: int
) -> None:
    faces, _, _ = analysed([Look(mesh)] * 2, 1, score=score)
    assert len(faces[0]) == count


STRAYS = [Look(0.9, x=0.3), Look(0.9, y=-0.3), Look(0.9, scale=1.4), Look(0.9, scale=0.7)]
STAYS = [Look(0.9, x=0.2), Look(0.9, y=-0.2), Look(0.9, scale=1.2), Look(0.9, scale=0.8)]


@pytest.mark.parametrize("look", [*STRAYS, Look(0.49)])
def test_a_known_face_that_strays_is_looked_for_anew(look: Look) -> None:
    """From where the detector saw it, with two looks."""
    faces, landmarker, _ = analysed([SEEN, SEEN, look], 2)
    assert landmarker.crops == 2 + 1 + 2
    assert middle(faces[1][0].mesh.points) == pytest.approx((160, 150), abs=2)


@pytest.mark.parametrize("look", [*STAYS, Look(0.5)])
def test_a_known_face_is_looked_at_once(look: Look) -> None:
    _, landmarker, _ = analysed([SEEN, SEEN, look], 2)
    assert landmarker.crops == 2 + 1


@pytest.mark.parametrize("look", [*STRAYS, Look(0.49)])
def test_a_followed_face_that_strays_is_detected_anew(look: Look) -> None:
    faces, _, detector = analysed([SEEN, SEEN, SEEN, look], 4, every=3)
    assert detector.pictures == 3
    assert middle(faces[1][0].mesh.points) == pytest.approx((160, 150), abs=2)


@pytest.mark.parametrize("look", [*STAYS, Look(0.5)])
def test_a_followed_face_that_stays_is_not_detected(look: Look) -> None:
    _, _, detector = analysed([SEEN, SEEN, SEEN, look], 4, every=3)
    assert detector.pictures == 2


def test_a_face_whose_mesh_is_never_good_is_followed_by_its_detections() -> None:
    """As of profiles: nothing was lost that was never there."""
    faces, _, detector = analysed([Look(0.2)] * 99, 4, every=3)
    assert detector.pictures == 2
    assert [len(found) for found in faces] == [1] * 4
