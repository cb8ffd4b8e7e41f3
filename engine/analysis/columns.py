"""Pack the faces and hands of frames into columns of whole numbers, and unpack them.

Coordinates are rounded to 1/128 of a pixel. Those of a face are stored as differences from the same
track's face in the frame before, which are small, so that they compress well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from engine.options import Gender, Race
from engine.values import (
    Attributes,
    Box,
    Detection,
    Embedding,
    Face,
    Hand,
    Landmarks,
    LandmarkScheme,
    Mesh,
    Points,
)

STEPS: Final = 128  # to a pixel
_NONE: Final = -1
_GENDERS: Final[tuple[Gender, ...]] = get_args(Gender)
_RACES: Final[tuple[Race, ...]] = get_args(Race)
_SCHEMES: Final[tuple[LandmarkScheme, ...]] = get_args(LandmarkScheme)
_SHAPES: Final[dict[LandmarkScheme, tuple[int, int]]] = {"2d106": (106, 2), "3d68": (68, 3)}
# Ends of the box, the five points and the mesh in a face's row of coordinates; landmarks follow.
_BOX, _FIVE, _MESH = 4, 4 + 5 * 2, 4 + 5 * 2 + 468 * 3

_HAND = 21 * 3
_NEAR_UNIT = 0.01  # how far the length of an embedding may be from 1

# Type and number of dimensions of each column.
_FRAME_KINDS: Final = {
    "pts": ("int64", 1),
    "cut": ("bool", 1),
    "faces": ("int32", 1),
    "hands": ("int32", 1),
    "track": ("int32", 1),
    "identity": ("int32", 1),
    "score": ("float32", 1),
    "mesh_score": ("float32", 1),
    "scheme": ("int8", 1),
    "coordinates": ("int32", 2),
    "hand_score": ("float32", 1),
    "hand_points": ("int32", 2),
}
_FACE_COLUMNS: Final = ("track", "identity", "score", "mesh_score", "scheme", "coordinates")
_HAND_COLUMNS: Final = ("hand_score", "hand_points")
_IDENTITY_KINDS: Final = {
    "embeddings": ("float32", 2),
    "attributes": ("int16", 2),
    "read": ("bool", 2),
}

Columns: TypeAlias = dict[str, NDArray[Any]]
_Whole: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class FrameFaces:
    """The faces and hands of one frame, without its picture.

    `pts` is the frame's, in units of the film's time base. `cut` tells that a shot begins here.
    Coordinates are in display space, multiples of 1/128 pixel.
    """

    pts: int
    faces: tuple[Face, ...]
    hands: tuple[Hand, ...] = ()
    cut: bool = False


def round_face(face: Face) -> Face:
    """Return the face with its coordinates rounded as the columns store them."""
    box, marks = face.box, face.landmarks
    left, top, right, bottom = _rounded(np.array([box.left, box.top, box.right, box.bottom]))
    return replace(
        face,
        detection=replace(
            face.detection,
            box=Box(float(left), float(top), float(right), float(bottom)),
            score=float(np.float32(face.score)),
            points=_rounded(face.detection.points),
        ),
        mesh=Mesh(_rounded(face.mesh.points), float(np.float32(face.mesh.score))),
        landmarks=None if marks is None else replace(marks, points=_rounded(marks.points)),
    )


def round_hand(hand: Hand) -> Hand:
    """Return the hand with its coordinates rounded as the columns store them."""
    return Hand(_rounded(hand.points), float(np.float32(hand.score)))


def _rounded(points: NDArray[Any]) -> Points:
    return (np.rint(np.asarray(points, np.float64) * STEPS) / STEPS).astype(np.float32)


class Identities:
    """The embeddings and attributes of faces, each stored once; a face refers to its by number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bytes | None, Attributes | None], int] = {}
        self._known: list[tuple[Embedding | None, Attributes | None]] = []

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, number: int) -> tuple[Embedding | None, Attributes | None]:
        return self._known[number]

    def number(self, face: Face) -> int:
        """Return the number of a face's embedding and attributes, a new one where they are new."""
        return self.find(face.embedding, face.attributes)

    def find(self, embedding: Embedding | None, attributes: Attributes | None) -> int:
        """Return the number of an embedding with attributes, a new one where they are new."""
        key = None if embedding is None else embedding.tobytes(), attributes
        if key not in self._numbers:
            self._numbers[key] = len(self._known)
            self._known.append((embedding, attributes))
        return self._numbers[key]

    def pack(self) -> Columns:
        """Return the identities as columns: rows of zeros where there is no embedding."""
        length = max((e.size for e, _ in self._known if e is not None), default=0)
        embeddings = np.zeros((len(self), length), np.float32)
        read = np.full((len(self), 3), _NONE, np.int16)
        for row, (embedding, attributes) in enumerate(self._known):
            if embedding is not None:
                embeddings[row] = embedding
            if attributes is not None:
                read[row] = _attribute_codes(attributes)
        kinds = [(e is not None, a is not None) for e, a in self._known]
        return {
            "embeddings": embeddings,
            "attributes": read,
            "read": np.array(kinds, np.bool_).reshape(-1, 2),
        }

    @classmethod
    def unpack(cls, columns: Mapping[str, NDArray[Any]]) -> Identities:
        """Return the identities that `pack` packed.

        Raises:
            ValueError: The columns are not as `pack` makes them.
        """
        _check(columns, _IDENTITY_KINDS)
        known = columns["embeddings"][columns["read"][:, 0]]
        if not np.all(np.abs(np.linalg.norm(known, axis=1) - 1) < _NEAR_UNIT):
            raise ValueError("An embedding is no unit vector.")
        if np.any(columns["attributes"] < _NONE):
            raise ValueError("An attribute is below its least code.")
        made = cls()
        rows = zip(columns["embeddings"], columns["attributes"], columns["read"], strict=True)
        for embedding, codes, (has_embedding, has_attributes) in rows:
            attributes = _attributes(*map(int, codes)) if has_attributes else None
            made._known.append((embedding if has_embedding else None, attributes))
        return made


def _attribute_codes(attributes: Attributes) -> tuple[int, int, int]:
    age, gender, race = attributes.age, attributes.gender, attributes.race
    return (
        _NONE if age is None else age,
        _NONE if gender is None else _GENDERS.index(gender),
        _NONE if race is None else _RACES.index(race),
    )


def _attributes(age: int, gender: int, race: int) -> Attributes:
    return Attributes(
        None if age == _NONE else age,
        None if gender == _NONE else _GENDERS[gender],
        None if race == _NONE else _RACES[race],
    )


def pack(frames: Sequence[FrameFaces], identities: Identities) -> Columns:
    """Return some successive frames as columns; new identities are added to `identities`.

    Coordinates must have been rounded by `round_face` and `round_hand`.
    """
    faces = [face for frame in frames for face in frame.faces]
    hands = [hand for frame in frames for hand in frame.hands]
    schemes = [_NONE if f.landmarks is None else _SCHEMES.index(f.landmarks.scheme) for f in faces]
    return {
        "pts": np.array([frame.pts for frame in frames], np.int64),
        "cut": np.array([frame.cut for frame in frames], np.bool_),
        "faces": np.array([len(frame.faces) for frame in frames], np.int32),
        "hands": np.array([len(frame.hands) for frame in frames], np.int32),
        "track": np.array([_track(face) for face in faces], np.int32),
        "identity": np.array([identities.number(face) for face in faces], np.int32),
        "score": np.array([face.score for face in faces], np.float32),
        "mesh_score": np.array([face.mesh.score for face in faces], np.float32),
        "scheme": np.array(schemes, np.int8),
        "coordinates": _differences(faces),
        "hand_score": np.array([hand.score for hand in hands], np.float32),
        "hand_points": _stacked([_whole(hand.points) for hand in hands]),
    }


def unpack(columns: Mapping[str, NDArray[Any]], identities: Identities) -> Iterator[FrameFaces]:
    """Yield the frames that `pack` packed.

    Raises:
        ValueError: The columns are not as `pack` makes them.
    """
    _check_frames(columns, len(identities))
    faces = _faces(columns, identities)
    hands = (
        Hand(_pixels(points).reshape(-1, 3), float(score))
        for points, score in zip(columns["hand_points"], columns["hand_score"], strict=True)
    )
    rows = zip(columns["pts"], columns["cut"], columns["faces"], columns["hands"], strict=True)
    for pts, cut, face_count, hand_count in rows:
        yield FrameFaces(
            int(pts),
            tuple(next(faces) for _ in range(face_count)),
            tuple(next(hands) for _ in range(hand_count)),
            cut=bool(cut),
        )


def _check(columns: Mapping[str, NDArray[Any]], kinds: Mapping[str, tuple[str, int]]) -> None:
    """Raise a ValueError where a column is missing, of another type or not finite."""
    if columns.keys() != kinds.keys():
        raise ValueError(f"The columns are {', '.join(columns)}, not {', '.join(kinds)}.")
    for name, (dtype, dimensions) in kinds.items():
        column = columns[name]
        if column.dtype != dtype or column.ndim != dimensions or not np.all(np.isfinite(column)):
            raise ValueError(f"The column {name} is not of finite {dtype}.")


def _check_frames(columns: Mapping[str, NDArray[Any]], identities: int) -> None:
    """Raise a ValueError where the columns of some frames do not fit each other."""
    _check(columns, _FRAME_KINDS)
    for name, of_each in (("faces", _FACE_COLUMNS), ("hands", _HAND_COLUMNS)):
        counts = columns[name].astype(np.int64)
        if np.any(counts < 0) or any(len(columns[one]) != counts.sum() for one in of_each):
            raise ValueError(f"The number of {name} is not that of their rows.")
    identity, scheme, width = (
        columns["identity"],
        columns["scheme"],
        columns["coordinates"].shape[1],
    )
    if np.any((identity < 0) | (identity >= identities)):
        raise ValueError("A face has no identity.")
    if np.any((scheme < _NONE) | (scheme >= len(_SCHEMES))):
        raise ValueError("The scheme of landmarks is unknown.")
    shapes = [_SHAPES[_SCHEMES[code]] for code in set(scheme.tolist()) - {_NONE}]
    longest = max((points * dimensions for points, dimensions in shapes), default=0)
    if len(scheme) and width < _MESH + longest:
        raise ValueError("A face has too few coordinates.")
    if len(columns["hand_score"]) and columns["hand_points"].shape[1] != _HAND:
        raise ValueError("A hand has too few coordinates.")


def _faces(columns: Mapping[str, NDArray[Any]], identities: Identities) -> Iterator[Face]:
    before: dict[int, _Whole] = {}
    for row, track in enumerate(map(int, columns["track"])):
        before[track] = columns["coordinates"][row] + before.get(track, np.int32(0))
        values = _pixels(before[track])
        embedding, attributes = identities[int(columns["identity"][row])]
        left, top, right, bottom = map(float, values[:_BOX])
        box = Box(left, top, right, bottom)
        yield Face(
            Detection(box, float(columns["score"][row]), values[_BOX:_FIVE].reshape(5, 2)),
            Mesh(values[_FIVE:_MESH].reshape(-1, 3), float(columns["mesh_score"][row])),
            embedding,
            attributes,
            track,
            _landmarks(int(columns["scheme"][row]), values[_MESH:]),
        )


def _landmarks(code: int, values: Points) -> Landmarks | None:
    if code == _NONE:
        return None
    scheme = _SCHEMES[code]
    points, dimensions = _SHAPES[scheme]
    return Landmarks(scheme, values[: points * dimensions].reshape(points, dimensions))


def _differences(faces: Sequence[Face]) -> _Whole:
    """Return a row for each face: its coordinates less those of its track's face before, if any."""
    rows, before = [], dict[int, _Whole]()
    for face in faces:
        box, marks = face.box, face.landmarks
        whole = _whole(
            np.array([box.left, box.top, box.right, box.bottom]),
            face.detection.points,
            face.mesh.points,
            *(() if marks is None else (marks.points,)),
        )
        track = _track(face)
        earlier = before.get(track)
        if earlier is not None and len(earlier) != len(whole):
            raise ValueError("The faces of one track have landmarks of one kind.")
        rows.append(whole if earlier is None else whole - earlier)
        before[track] = whole
    return _stacked(rows)


def _stacked(rows: Sequence[_Whole]) -> _Whole:
    """Return rows as an array, shorter ones filled with zeros."""
    stacked = np.zeros((len(rows), max(map(len, rows), default=0)), np.int32)
    for row, values in enumerate(rows):
        stacked[row, : len(values)] = values
    return stacked


def _whole(*parts: NDArray[Any]) -> _Whole:
    flat = np.concatenate([np.ravel(part).astype(np.float64) for part in parts])
    whole: _Whole = np.rint(flat * STEPS).astype(np.int32)
    return whole


def _pixels(whole: _Whole) -> Points:
    return (whole / np.float64(STEPS)).astype(np.float32)


def _track(face: Face) -> int:
    if face.track is None:
        raise ValueError("A face without a track cannot be stored; follow the faces first.")
    return face.track
