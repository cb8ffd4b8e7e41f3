"""Find hands that may cover faces: detect their palms, and follow their landmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

import numpy as np

from engine.faces.protocols import HandDetector, HandLandmarker
from engine.faces.regions import Region, pointing_angle, region_around_mesh, up_vector
from engine.faces.shots import split_at
from engine.geometry import affine as maps
from engine.geometry.boxes import box_of
from engine.pixels.align import byte_crop
from engine.pixels.raster import convex_hull, fill_polygons
from engine.runtime.session import Session
from engine.values import Analysed, Bytes, Face, Frame, Hand

Choose: TypeAlias = Callable[[tuple[Face, ...]], tuple[Face, ...]]

_MIN_NEW_SCORE = 0.5  # from which a region contains a hand
_MIN_FOLLOWED_SCORE = 0.35  # from which a followed hand is kept: motion blurs hands
_SEARCH_SIZE = 2.2  # side of the square in which hands are detected, in sides of the face's box
_MAX_SAME_DISTANCE = 0.35  # of a region's side: hands with nearer centres are the same
# Share of a hand's landmarks that may lie on a face. The networks detect a hand in some profiles,
# with nearly all landmarks on the face; a real hand's wrist and palm are lower.
_MAX_SHARE_ON_FACE = 0.7
_GRID = 64  # side of the grid on which that share is measured
# As in MediaPipe's graphs: twice the box of the landmarks without the finger tips, shifted by a
# tenth of the box towards the fingers.
_ZOOM, _SHIFT = 2.0, 0.1
_STEM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
_WRIST, _INDEX, _MIDDLE, _RING = 0, 6, 10, 14


class MediaPipeHand:
    """MediaPipe's hand landmark network, which takes square crops with the fingers up."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.size = session.inputs[0].shape[-1] or 0

    def locate(self, crops: Sequence[Bytes]) -> list[Hand]:
        """Return a hand for each (size, size, 3) RGB crop, in its pixels; z in the same unit."""
        return [self._locate(crop) for crop in crops]

    def _locate(self, crop: Bytes) -> Hand:
        blob = crop.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        blob *= np.float32(1 / 255)
        landmarks, score = self._session.run(blob)
        return Hand(landmarks[0].copy(), float(score[0, 0]))


class HandFinder:
    """Finds the hands that touch faces, and follows them through videos.

    Args:
        detector: detects hands.
        landmarker: finds the landmarks of a hand.
        every: detect on every `every`-th frame of a video.
    """

    def __init__(self, detector: HandDetector, landmarker: HandLandmarker, every: int = 1) -> None:
        self._detector = detector
        self._landmarker = landmarker
        self._every = max(every, 1)

    def find(
        self, frame: Frame, faces: Sequence[Face], known: Sequence[Hand] = ()
    ) -> tuple[Hand, ...]:
        """Return the hands that touch faces of a frame: those in `known`, then new ones."""
        hands = list(known)
        for face in faces:
            for region in self._regions_near(frame, face):
                if _touches(region, face) and not _is_among(region, hands):
                    hands += self._locate_new(frame, region, faces, hands)
        return tuple(hands)

    def add_hands(self, stream: Iterable[Analysed], choose: Choose) -> Iterator[Analysed]:
        """Yield the frames with the hands that touch the faces chosen by `choose`.

        Hands are detected on every `every`-th frame, and followed forwards and backwards from
        there, so that no hand appears late. After frames without hands, the detector runs half as
        often. Reads at most twice `every` frames ahead. The hands of a shot depend on no other.
        """
        for shot in split_at(stream, lambda analysed: analysed.cut):
            yield from self._add_to_shot(shot, choose)

    def _add_to_shot(self, frames: Iterator[Analysed], choose: Choose) -> Iterator[Analysed]:
        known: tuple[Hand, ...] = ()
        step = self._every
        while chunk := list(islice(frames, step)):
            faces = [choose(shot.faces) for shot in chunk]
            hands: list[tuple[Hand, ...]] = []
            for shot, shown in zip(chunk, faces, strict=True):
                known = self._follow(shot.frame, shown, known)
                hands.append(known)
            known = self.find(chunk[-1].frame, faces[-1], known)
            back = known[len(hands[-1]) :]
            hands[-1] = known
            for at in range(len(chunk) - 2, -1, -1):
                seen = self._follow(chunk[at].frame, faces[at], back)
                back = tuple(
                    hand for hand in seen if not _is_among(region_around_hand(hand), hands[at])
                )
                hands[at] += back
            step = self._every if any(hands) else 2 * self._every
            for shot, shown_hands in zip(chunk, hands, strict=True):
                yield replace(shot, hands=shown_hands)

    def _regions_near(self, frame: Frame, face: Face) -> list[Region]:
        """Detect hands in a square around a face, and return their regions."""
        box = face.box
        side = _SEARCH_SIZE * max(box.width, box.height)
        square = Region((box.left + box.right) / 2, (box.top + box.bottom) / 2, side, 0.0)
        to_crop = square.to_crop(self._detector.size)
        (regions,) = self._detector.detect([byte_crop(frame, to_crop, self._detector.size)])
        return [region.transform(maps.invert(to_crop)) for region in regions]

    def _locate_new(
        self, frame: Frame, region: Region, faces: Sequence[Face], known: Sequence[Hand]
    ) -> list[Hand]:
        """Return the hand in a detected region, if there is one that is not in `known`.

        The landmark network runs twice: on the detected region, then on that of its own landmarks.
        """
        rough = self._locate(frame, region)
        if rough.score < _MIN_NEW_SCORE:
            return []
        hand = self._locate(frame, region_around_hand(rough))
        held = hand.score >= _MIN_NEW_SCORE and _may_cover(hand, faces)
        return [hand] if held and not _is_among(region_around_hand(hand), known) else []

    def _follow(
        self, frame: Frame, faces: Sequence[Face], hands: Sequence[Hand]
    ) -> tuple[Hand, ...]:
        """Return the hands of a neighbouring frame where they are in this one; drop lost ones."""
        kept: tuple[Hand, ...] = ()
        for region in [region_around_hand(hand) for hand in hands] if faces else ():
            hand = self._locate(frame, region)
            held = hand.score >= _MIN_FOLLOWED_SCORE and _may_cover(hand, faces)
            if held and not _is_among(region_around_hand(hand), kept):
                kept = (*kept, hand)
        return kept

    def _locate(self, frame: Frame, region: Region) -> Hand:
        to_crop = region.to_crop(self._landmarker.size)
        (hand,) = self._landmarker.locate([byte_crop(frame, to_crop, self._landmarker.size)])
        return Hand(maps.apply(maps.invert(to_crop), hand.points), hand.score)


def region_around_hand(hand: Hand) -> Region:
    """Return the region in which to look for a hand that had these landmarks before."""
    points = hand.points[:, :2]
    angle = pointing_angle(
        points[_WRIST], (points[_INDEX] + points[_RING]) / 4 + points[_MIDDLE] / 2
    )
    level = Region(0.0, 0.0, 1.0, angle).to_crop(1)
    box = box_of(maps.apply(level, points[list(_STEM)]))
    middle = np.array([[(box.left + box.right) / 2, (box.top + box.bottom) / 2]])
    x, y = maps.apply(maps.invert(level), middle)[0] + _SHIFT * box.height * up_vector(angle)
    return Region(float(x), float(y), _ZOOM * max(box.width, box.height), angle)


def _may_cover(hand: Hand, faces: Sequence[Face]) -> bool:
    """Tell whether a hand may lie over one of the faces, and is not a face itself."""
    region = region_around_hand(hand)
    touches = any(_touches(region, face) for face in faces)
    return touches and all(hand_share_on_face(face, hand) <= _MAX_SHARE_ON_FACE for face in faces)


def hand_share_on_face(face: Face, hand: Hand) -> float:
    """Return the share of a hand's landmarks that lie on a face, 0..1."""
    to_grid = region_around_mesh(face.mesh).to_crop(_GRID)
    hull = fill_polygons([convex_hull(maps.apply(to_grid, face.mesh.points))], _GRID)
    columns, rows = np.rint(maps.apply(to_grid, hand.points[:, :2])).astype(int).T
    inside = (columns >= 0) & (columns < _GRID) & (rows >= 0) & (rows < _GRID)
    return float(hull[rows[inside], columns[inside]].sum()) / len(hand.points)


def _touches(region: Region, face: Face) -> bool:
    """Tell whether a hand in this region may lie over the face."""
    box = face.box
    x = max(box.left - region.x, region.x - box.right, 0.0)
    y = max(box.top - region.y, region.y - box.bottom, 0.0)
    return float(np.hypot(x, y)) < region.side / 2


def _is_among(region: Region, hands: Sequence[Hand]) -> bool:
    """Tell whether the hand in a region is one of `hands`."""
    return any(_same(region, region_around_hand(hand)) for hand in hands)


def _same(one: Region, other: Region) -> bool:
    distance = float(np.hypot(one.x - other.x, one.y - other.y))
    return distance < _MAX_SAME_DISTANCE * min(one.side, other.side)
