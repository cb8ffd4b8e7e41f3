"""Faces that the detector missed and a correction names: located, followed and added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.faces.analyser import FaceAnalyser
from engine.faces.association import pair_boxes
from engine.faces.hands import HandFinder
from engine.values import Analysed, Box, Face, Frame


@dataclass(frozen=True, slots=True)
class MissedFace:
    """A face that was missed.

    Attributes:
        track: number that its faces get, below 0.
        where: the correction, for warnings.
        box: the face in the first frame.
        first: pts of the first frame.
        last: greatest pts to which it is followed.
    """

    track: int
    where: str
    box: Box
    first: int
    last: int


class MissedFaces:
    """Adds missed faces to the frames of a film.

    A face is located in its box, and followed by its landmarks to its last frame, to the end of the
    shot, or until it is lost. Where the detector found it, it is not added. What is added to a shot
    depends on no other shot.

    Args:
        missed: the faces.
        analyser: locates them.
        hands: finds hands that may cover them.

    Attributes:
        warnings: a sentence for each face that was not found or was lost.
    """

    def __init__(
        self, missed: Sequence[MissedFace], analyser: FaceAnalyser, hands: HandFinder
    ) -> None:
        self._missed = tuple(missed)
        self._analyser = analyser
        self._hands = hands
        self.warnings: list[str] = []

    def add(self, stream: Iterable[Analysed]) -> Iterator[Analysed]:
        """Yield the frames with the missed faces of each."""
        known: dict[int, Face] = {}
        for shot in stream:
            if shot.cut:
                known = {}
            for one in self._missed:
                shot = self._add_one(shot, one, known)  # noqa: PLW2901 - faces are added to it
            yield shot

    def _add_one(self, shot: Analysed, one: MissedFace, known: dict[int, Face]) -> Analysed:
        pts = shot.frame.pts
        before = known.pop(one.track, None)
        if pts > one.last or (pts != one.first and before is None):
            return shot
        face = self._find(shot.frame, one, before)
        if face is None:
            return shot
        known[one.track] = face
        pairs = pair_boxes([face.box], [each.box for each in shot.faces])
        if pairs:
            if pts == one.first:
                track = shot.faces[pairs[0][1]].track
                self.warnings.append(
                    f"{one.where}: the box lies on a face that was found, which keeps its own "
                    f"decision; give track = {track} in place of the box."
                )
            return shot
        faces = (*shot.faces, replace(face, track=one.track))
        hands = self._hands.find(shot.frame, [face], shot.hands)
        return replace(shot, faces=faces, hands=hands)

    def _find(self, frame: Frame, one: MissedFace, before: Face | None) -> Face | None:
        if before is None:
            face = self._analyser.locate(frame, one.box)
            if face is None:
                self.warnings.append(
                    f"{one.where}: no face was found in the box; draw it closer around the face, "
                    "or take a frame that shows the face more clearly."
                )
            return face
        face = self._analyser.follow(frame, before)
        if face is None:
            self.warnings.append(
                f"{one.where}: the face was lost before the last frame; add a correction with a "
                "box from there on."
            )
        return face
