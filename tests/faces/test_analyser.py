from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest

from engine.faces.analyser import FaceAnalyser
from engine.faces.mesh import FaceMeshNetwork
from engine.faces.sface import SFace
from engine.faces.yunet import YuNet
from engine.geometry.boxes import iou
from engine.options import AnalysisOptions
from engine.values import Bytes, Detection, Face, Frame, Mesh
from tests.faces.pictures import frame_of, moving, picture


class CountingDetector:
    def __init__(self, detector: YuNet) -> None:
        self._detector = detector
        self.pictures = 0

    def detect(self, images: Sequence[Bytes]) -> list[list[Detection]]:
        self.pictures += len(images)
        return self._detector.detect(images)


class CountingLandmarker:
    def __init__(self, landmarker: FaceMeshNetwork) -> None:
        self._landmarker = landmarker
        self.size = landmarker.size
        self.crops = 0

    def locate(self, crops: Sequence[Bytes]) -> list[Mesh]:
        self.crops += len(crops)
        return self._landmarker.locate(crops)


def plain(detector: YuNet, mesh: FaceMeshNetwork, **options: object) -> FaceAnalyser:
    return FaceAnalyser(detector, mesh, None, None, AnalysisOptions(**options))  # type: ignore[arg-type]


def blank(index: int) -> Frame:
    return frame_of(np.full((320, 320, 3), 60, np.uint8), index)


def test_a_portrait_shows_one_face_with_all_that_was_asked_for(portrait_face: Face) -> None:
    assert portrait_face.score > 0.9
    assert portrait_face.mesh.score > 0.9
    assert portrait_face.embedding is not None
    assert portrait_face.attributes is not None
    assert portrait_face.track is None


def test_what_nobody_asked_for_is_none(detector: YuNet, mesh: FaceMeshNetwork) -> None:
    (face,) = plain(detector, mesh).analyse_picture(frame_of(picture("P001", longest=320)))
    assert face.embedding is None
    assert face.attributes is None


def test_a_picture_without_a_face_gives_none(analyser: FaceAnalyser) -> None:
    assert analyser.analyse_picture(blank(0)) == ()


def test_a_back_of_a_head_is_no_face(analyser: FaceAnalyser) -> None:
    sheet = picture("P003", "character_sheet", 1600)
    # Front, left, back and right view of a head; the same of the whole body.
    assert len(analyser.analyse_picture(frame_of(sheet))) == 6


def test_all_frames_come_out_in_order_with_one_steady_track(
    detector: YuNet, mesh: FaceMeshNetwork
) -> None:
    clip = moving(picture("P004"), 23)
    out = list(plain(detector, mesh).analyse(iter(clip)))
    assert [shot.frame for shot in out] == clip
    assert [[face.track for face in shot.faces] for shot in out] == [[0]] * 23
    size = out[0].faces[0].box.width
    for one, next_one in pairwise(out):
        motion = np.abs(one.faces[0].mesh.points - next_one.faces[0].mesh.points)[:, :2]
        assert motion.max() < 0.12 * size


def test_following_sees_what_detecting_sees(detector: YuNet, mesh: FaceMeshNetwork) -> None:
    clip = moving(picture("P004"), 16)
    counting = CountingDetector(detector)
    follower = FaceAnalyser(counting, mesh, None, None, AnalysisOptions(detect_every=5))
    followed = list(follower.analyse(clip))
    detected = list(plain(detector, mesh, detect_every=1).analyse(clip))
    assert counting.pictures == 4
    for one, other in zip(followed, detected, strict=True):
        distance = np.linalg.norm(
            (one.faces[0].mesh.points - other.faces[0].mesh.points)[:, :2], axis=1
        )
        assert distance.mean() < 0.01 * one.faces[0].box.width
        assert iou(one.faces[0].box, other.faces[0].box) > 0.85


def test_a_followed_face_costs_one_look_a_frame(detector: YuNet, mesh: FaceMeshNetwork) -> None:
    counting = CountingLandmarker(mesh)
    list(
        FaceAnalyser(detector, counting, None, None, AnalysisOptions()).analyse(
            moving(picture("P004"), 21)
        )
    )
    assert counting.crops == 21 + 1


def test_a_face_that_appears_between_two_detections_is_found_at_once(
    detector: YuNet, mesh: FaceMeshNetwork
) -> None:
    clip = [blank(n) for n in range(7)] + moving(picture("P004"), 9)
    out = list(plain(detector, mesh).analyse(clip))
    assert [len(shot.faces) for shot in out] == [0] * 7 + [1] * 9


def test_a_face_that_vanishes_between_two_detections_is_gone_at_once(
    detector: YuNet, mesh: FaceMeshNetwork
) -> None:
    clip = moving(picture("P004"), 8) + [blank(n) for n in range(8)]
    out = list(plain(detector, mesh).analyse(clip))
    assert [len(shot.faces) for shot in out] == [1] * 8 + [0] * 8


def test_a_face_that_the_detector_misses_for_two_frames_is_held(
    detector: YuNet, mesh: FaceMeshNetwork
) -> None:
    clip = moving(picture("P004"), 12)
    hidden = [blank(n) if n in (5, 6) else frame for n, frame in enumerate(clip)]
    dark = [
        frame_of((np.stack(frame.planes, axis=2) // 12).astype(np.uint8), n)
        if n in (5, 6)
        else frame
        for n, frame in enumerate(clip)
    ]
    # Two blank frames are two cuts; two dark ones as well: the face is not invented in them.
    for case in (hidden, dark):
        out = list(plain(detector, mesh, detect_every=1).analyse(case))
        assert [len(shot.faces) for shot in out[:5]] == [1] * 5
        assert {face.track for face in out[-1].faces} != {face.track for face in out[0].faces}


def test_a_cut_to_another_person_in_the_same_place_starts_a_track(
    detector: YuNet, mesh: FaceMeshNetwork, embedder: SFace
) -> None:
    clip = moving(picture("P004"), 8) + moving(picture("P008"), 8)
    out = list(FaceAnalyser(detector, mesh, embedder, None, AnalysisOptions()).analyse(clip))
    assert [[face.track for face in shot.faces] for shot in out] == [[0]] * 8 + [[1]] * 8
    first, last = out[0].faces[0].embedding, out[-1].faces[0].embedding
    assert first is not None
    assert last is not None
    assert first @ last < 0.5


def test_the_faces_of_a_shot_do_not_depend_on_other_shots(
    detector: YuNet, mesh: FaceMeshNetwork, embedder: SFace
) -> None:
    analyser = FaceAnalyser(detector, mesh, embedder, None, AnalysisOptions())
    first, second = moving(picture("P004"), 7), moving(picture("P008"), 13)
    film = list(analyser.analyse(first + second))
    alone = [*analyser.analyse(first), *analyser.analyse(second)]
    assert [shot.cut for shot in film] == [shot.cut for shot in alone]
    assert [n for n, shot in enumerate(film) if shot.cut] == [0, 7]
    assert [[face.track for face in shot.faces] for shot in film] == [[0]] * 7 + [[1]] * 13
    for one, other in zip(film, alone, strict=True):
        for face, same in zip(one.faces, other.faces, strict=True):
            np.testing.assert_array_equal(face.mesh.points, same.mesh.points)
            np.testing.assert_array_equal(face.detection.points, same.detection.points)
            assert face.embedding is not None
            assert same.embedding is not None
            np.testing.assert_array_equal(face.embedding, same.embedding)


def test_an_empty_stream_gives_nothing(analyser: FaceAnalyser) -> None:
    assert list(analyser.analyse([])) == []


def test_one_frame_is_enough(analyser: FaceAnalyser) -> None:
    (shot,) = analyser.analyse([frame_of(picture("P001", longest=320))])
    assert len(shot.faces) == 1
    assert shot.faces[0].embedding is not None


def test_frames_are_taken_only_as_they_are_needed(analyser: FaceAnalyser) -> None:
    taken = 0

    def source() -> Iterator[Frame]:
        nonlocal taken
        for index in range(200):
            taken += 1
            yield blank(index)

    stream = analyser.analyse(source())
    for index in range(40):
        next(stream)
        assert taken <= index + 25


@pytest.mark.parametrize("person", ["P002", "P006", "P009"])
def test_every_expression_gets_a_mesh(
    detector: YuNet, landmarker: FaceMeshNetwork, person: str
) -> None:
    sheet = picture(person, "emotions_sheet", 1600)
    faces = plain(detector, landmarker).analyse_picture(frame_of(sheet))
    assert len(faces) == 16
    assert min(face.mesh.score for face in faces) > 0.8


def test_a_close_up_is_one_face(analyser: FaceAnalyser, portrait_face: Face) -> None:
    box = portrait_face.box
    part = picture("P001")[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    huge = cv2.resize(part, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    (face,) = analyser.analyse_picture(frame_of(huge))
    assert face.box.width > 0.75 * huge.shape[1]
