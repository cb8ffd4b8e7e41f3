"""Track faces through a shot: number the tracks, fill gaps, and remove jitter.

Each function is a generator over `Sighting`s in time order that reads a small fixed number of
frames ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.faces.association import pair_boxes
from engine.faces.motion import corners_of, interpolate_face
from engine.values import Box, Detection, Face, Frame, Landmarks, Mesh, Points

_SMOOTHING_REACH = 2  # frames to either side
_MAX_JITTER = 0.012  # of a face's size: smaller deviations from straight motion are jitter


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """Faces of a frame.

    `detected` tells whether the detector ran on it; if not, the faces were followed by the landmark
    network.
    """

    frame: Frame
    faces: tuple[Face, ...]
    detected: bool


@dataclass(slots=True)
class _Track:
    number: int
    face: Face
    when: int


def track_faces(stream: Iterable[Sighting], hold: int) -> Iterator[Sighting]:
    """Yield a shot's sightings with a `track` number on each face, in the order of appearance.

    A face that is missing for up to `hold` frames within a track is interpolated. A track ends when
    its face is missing for longer.
    """
    pending: deque[Sighting] = deque()
    tracks: list[_Track] = []
    count = 0
    for now, sighting in enumerate(stream):
        tracks = [track for track in tracks if now - track.when <= hold + 1]
        faces = list(sighting.faces)
        known = {
            new: tracks[old]
            for old, new in pair_boxes([t.face.box for t in tracks], [f.box for f in faces])
        }
        for index, face in enumerate(faces):
            if index in known:
                track = known[index]
                faces[index] = replace(face, track=track.number)
                _fill_gap(pending, track.face, faces[index], now - track.when)
                track.face, track.when = faces[index], now
            else:
                faces[index] = replace(face, track=count)
                tracks.append(_Track(count, faces[index], now))
                count += 1
        pending.append(replace(sighting, faces=tuple(faces)))
        while len(pending) > hold + 1:
            yield pending.popleft()
    yield from pending


def _fill_gap(pending: deque[Sighting], first: Face, last: Face, distance: int) -> None:
    """Interpolate a face between two sightings `distance` frames apart, in the pending frames."""
    for step in range(1, distance):
        at = len(pending) - distance + step
        face = interpolate_face(first, last, step / distance)
        pending[at] = replace(pending[at], faces=(*pending[at].faces, face))


def smooth_landmarks(
    stream: Iterable[Sighting], reach: int = _SMOOTHING_REACH
) -> Iterator[Sighting]:
    """Yield the sightings with jitter removed from the landmarks, without lag.

    Each landmark is averaged with its positions in the frames at equal distance before and after,
    which leaves even motion unchanged. A pair's weight falls with the distance of its mean from the
    landmark, so that a blink or a sudden stop is kept.
    """
    window: deque[Sighting] = deque()
    behind = 0
    for sighting in stream:
        window.append(sighting)
        if len(window) - behind > reach:
            yield _smooth_sighting(window, behind)
            if behind == reach:
                window.popleft()
            else:
                behind += 1
    while behind < len(window):
        yield _smooth_sighting(window, behind)
        behind += 1


def _smooth_sighting(window: deque[Sighting], at: int) -> Sighting:
    sighting = window[at]
    faces = tuple(_smooth_face(face, window, at) for face in sighting.faces)
    return replace(sighting, faces=faces)


def _smooth_face(face: Face, window: deque[Sighting], at: int) -> Face:
    tolerance = _MAX_JITTER * float(np.sqrt(face.box.area))
    packed = _pack(face)
    scores = [face.mesh.score]
    total, weight = packed.copy(), np.ones((len(packed), 1), np.float32)
    for distance in range(1, min(at, len(window) - 1 - at) + 1):
        before = _face_of_track(window[at - distance], face.track)
        after = _face_of_track(window[at + distance], face.track)
        if before is None or after is None:
            break
        middle = (_pack(before) + _pack(after)) / 2
        deviation = np.linalg.norm(middle - packed, axis=1, keepdims=True) / max(tolerance, 1e-6)
        share = 2 * np.exp(-(deviation**2)).astype(np.float32)
        total += share * middle
        weight += share
        scores += [before.mesh.score, after.mesh.score]
    return _unpack(face, total / weight, float(np.mean(scores)))


def _face_of_track(sighting: Sighting, track: int | None) -> Face | None:
    return next((face for face in sighting.faces if face.track == track), None)


def _pack(face: Face) -> Points:
    """Return five points, corners of the box, mesh and landmarks as rows of three."""
    extra = () if face.landmarks is None else (face.landmarks.points,)
    parts = (face.detection.points, corners_of(face.box), face.mesh.points, *extra)
    return np.concatenate([np.pad(part, ((0, 0), (0, 3 - part.shape[1]))) for part in parts])


def _unpack(face: Face, packed: Points, mesh_score: float) -> Face:
    five, corners, points, extra = np.split(packed, np.cumsum([5, 2, len(face.mesh.points)]))
    (left, top), (right, bottom) = corners[:, :2].tolist()
    landmarks = face.landmarks
    if landmarks is not None:
        columns = landmarks.points.shape[1]
        landmarks = Landmarks(landmarks.scheme, extra[:, :columns].copy())
    return replace(
        face,
        detection=Detection(Box(left, top, right, bottom), face.score, five[:, :2].copy()),
        mesh=Mesh(points.copy(), mesh_score),
        landmarks=landmarks,
    )
