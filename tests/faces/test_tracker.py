from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.faces.tracker import Sighting, smooth_landmarks, track_faces
from engine.values import Box, Detection, Face, Frame, Mesh
from tests.faces.pictures import frame_of

FRAME: Frame = frame_of(np.full((18, 32, 3), 90, np.uint8))
SHAPE = np.random.default_rng(5).uniform(0, 100, (468, 3)).astype(np.float32)


def face(x: float, y: float = 0.0, shape: NDArray[np.float32] | None = None) -> Face:
    points = (SHAPE if shape is None else shape) + np.array([x, y, 0], np.float32)
    five = np.full((5, 2), x, np.float32)
    mesh = Mesh(points.astype(np.float32), 1.0)
    return Face(Detection(Box(x, y, x + 100, y + 100), 0.9, five), mesh)


def seen(*faces: Face) -> Sighting:
    return Sighting(FRAME, faces, detected=True)


def tracks(stream: Iterable[Sighting], hold: int = 2) -> list[list[int | None]]:
    return [[f.track for f in s.faces] for s in track_faces(stream, hold)]


def test_faces_keep_their_numbers_while_they_move() -> None:
    stream = [seen(face(10 * n), face(400 - 10 * n)) for n in range(8)]
    followed = list(track_faces(stream, 2))
    assert [[f.track for f in s.faces] for s in followed] == [[0, 1]] * 8


def test_the_order_of_the_faces_does_not_matter() -> None:
    stream = [seen(face(0), face(400)), seen(face(400), face(0))]
    assert [[f.track for f in s.faces] for s in track_faces(stream, 2)] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("missing", [1, 2])
def test_a_short_gap_is_filled_on_the_straight_line(missing: int) -> None:
    last = missing + 1
    stream = [seen(face(0)), *[seen() for _ in range(missing)], seen(face(10.0 * last))]
    followed = list(track_faces(stream, 2))
    assert [[f.track for f in s.faces] for s in followed] == [[0]] * (last + 1)
    assert [s.faces[0].box.left for s in followed] == pytest.approx(
        [10.0 * n for n in range(last + 1)], abs=1e-3
    )


def test_a_long_gap_ends_the_track() -> None:
    stream = [seen(face(0)), seen(), seen(), seen(), seen(face(0))]
    assert tracks(stream) == [[0], [], [], [], [1]]


def test_nothing_is_invented_after_the_last_sighting() -> None:
    assert tracks([seen(face(0)), seen(), seen()]) == [[0], [], []]


def test_following_looks_ahead_only_as_far_as_it_holds() -> None:
    taken = 0

    def source() -> Iterator[Sighting]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield seen(face(n))

    stream = smooth_landmarks(track_faces(source(), 2), 2)
    for n in range(20):
        next(stream)
        assert taken <= n + 6


def at(shape: NDArray[np.float32], x: float) -> NDArray[np.float32]:
    moved: NDArray[np.float32] = shape + np.array([x, 0, 0], np.float32)
    return moved


def positions(shapes: list[NDArray[np.float32]], xs: list[float]) -> NDArray[np.float32]:
    stream = [seen(face(x, shape=shape)) for x, shape in zip(xs, shapes, strict=True)]
    return np.stack([s.faces[0].mesh.points for s in smooth_landmarks(track_faces(stream, 2))])


def test_even_motion_is_left_alone() -> None:
    xs = [7.0 * n for n in range(12)]
    np.testing.assert_allclose(positions([SHAPE] * 12, xs), [at(SHAPE, x) for x in xs], atol=1e-3)


def test_jitter_is_reduced_without_lag() -> None:
    rng = np.random.default_rng(0)
    xs = [40 * float(np.sin(n / 15)) for n in range(60)]
    noisy = [(SHAPE + rng.normal(scale=0.3, size=SHAPE.shape)).astype(np.float32) for _ in xs]
    truth = np.array([at(SHAPE, x) for x in xs])
    rough = np.array([at(shape, x) for shape, x in zip(noisy, xs, strict=True)])
    smooth = positions(noisy, xs)
    assert np.std(smooth - truth) < 0.65 * np.std(rough - truth)
    # A lag of a tenth of a frame would leave this much of the speed behind.
    speed = np.diff(truth[:, :, 0].mean(axis=1))
    error = (smooth - truth)[:, :, 0].mean(axis=1)
    lag = float(error[3:-3] @ speed[2:-3] / (speed[2:-3] @ speed[2:-3]))
    assert abs(lag) < 0.1


def test_a_blink_is_kept() -> None:
    shut = SHAPE.copy()
    lid = slice(100, 110)
    shut[lid, 1] += 6  # of a face of 100
    shapes = [shut if n in (5, 6) else SHAPE for n in range(12)]
    smooth = positions(shapes, [0.0] * 12)
    assert np.abs(smooth[5:7, lid, 1] - shut[lid, 1]).max() < 0.6
    assert np.abs(smooth[:4, lid, 1] - SHAPE[lid, 1]).max() < 0.6


def test_tracks_are_not_mixed_and_all_frames_come_out() -> None:
    stream = [seen(face(0), face(300)) for _ in range(7)]
    out = list(smooth_landmarks(track_faces(stream, 2)))
    assert len(out) == 7
    assert all(len(s.faces) == 2 for s in out)
    assert list(smooth_landmarks(track_faces([], 2))) == []
