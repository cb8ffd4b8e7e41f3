"""Faces and hands come back from columns exactly as they were rounded."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.columns import (
    STEPS,
    FrameFaces,
    Identities,
    pack,
    round_face,
    round_hand,
    unpack,
)
from engine.values import Attributes, Box, Detection, Embedding, Face, Hand, Landmarks, Mesh

RNG = np.random.default_rng(3)


def points(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return RNG.uniform(-50, 4000, shape).astype(np.float32)


def face(
    track: int,
    embedding: Embedding | None = None,
    attributes: Attributes | None = None,
    landmarks: Landmarks | None = None,
) -> Face:
    left, top = map(float, points(2))
    return Face(
        Detection(Box(left, top, left + 210.37, top + 305.2), 0.87, points(5, 2)),
        Mesh(points(468, 3), 0.93),
        embedding,
        attributes,
        track,
        landmarks,
    )


def same_face(one: Face, other: Face) -> bool:
    assert (one.box, one.score, one.track) == (other.box, other.score, other.track)
    assert (one.mesh.score, one.attributes) == (other.mesh.score, other.attributes)
    pairs = [
        (one.detection.points, other.detection.points),
        (one.mesh.points, other.mesh.points),
        (one.embedding, other.embedding),
    ]
    if one.landmarks is not None and other.landmarks is not None:
        assert one.landmarks.scheme == other.landmarks.scheme
        pairs.append((one.landmarks.points, other.landmarks.points))
    assert (one.landmarks is None) == (other.landmarks is None)
    return all((a is None and b is None) or np.array_equal(a, b) for a, b in pairs)  # type: ignore[arg-type]


def unit(length: int = 128) -> Embedding:
    vector = RNG.normal(size=length).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def test_what_is_packed_comes_back() -> None:
    first, second = unit(), unit()
    read = Attributes(31, "female", "latino hispanic")
    frames = [
        FrameFaces(0, (face(0, first, read), face(1, second)), cut=True),
        FrameFaces(40, ()),
        FrameFaces(80, (face(1, second, Attributes(gender="male")), face(0, first, read))),
        FrameFaces(130, (face(7),), (Hand(points(21, 3), 0.8), Hand(points(21, 3), 0.6))),
    ]
    frames = [
        FrameFaces(
            frame.pts,
            tuple(map(round_face, frame.faces)),
            tuple(map(round_hand, frame.hands)),
            cut=frame.cut,
        )
        for frame in frames
    ]
    identities = Identities()
    columns = pack(frames, identities)
    assert len(identities) == 4
    found = list(unpack(columns, Identities.unpack(identities.pack())))
    assert [(f.pts, f.cut, len(f.faces)) for f in found] == [
        (f.pts, f.cut, len(f.faces)) for f in frames
    ]
    for one, other in zip(frames, found, strict=True):
        assert all(map(same_face, one.faces, other.faces))
        for hand, again in zip(one.hands, other.hands, strict=True):
            assert np.array_equal(hand.points, again.points)
            assert hand.score == again.score


@pytest.mark.parametrize(("scheme", "shape"), [("2d106", (106, 2)), ("3d68", (68, 3))])
def test_landmarks_come_back(scheme: str, shape: tuple[int, int]) -> None:
    marked = [
        round_face(face(0, landmarks=Landmarks(scheme, points(*shape))))  # type: ignore[arg-type]
        for _ in range(3)
    ]
    identities = Identities()
    frames = [FrameFaces(i, (one,)) for i, one in enumerate(marked)]
    found = unpack(pack(frames, identities), identities)
    assert all(map(same_face, marked, (frame.faces[0] for frame in found)))


def test_rounding_moves_nothing_by_more_than_half_a_step() -> None:
    one = face(0)
    moved = round_face(one).mesh.points - one.mesh.points
    assert np.abs(moved).max() <= 0.5 / STEPS + 1e-4
    again = round_face(round_face(one))
    assert same_face(again, round_face(one))


def test_a_face_without_a_track_is_refused() -> None:
    lost = Face(face(0).detection, face(0).mesh)
    with pytest.raises(ValueError, match="without a track"):
        pack([FrameFaces(0, (lost,))], Identities())
