"""Age and gender by InsightFace's network, which users import."""

from __future__ import annotations

from collections.abc import Sequence

from engine.faces.imported import box_to_crop, run_batch
from engine.options import Gender
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Attributes, Bytes, Face, Frame
from engine.weights.manifest import InputSpec

_GENDERS: tuple[Gender, Gender] = ("female", "male")


class GenderAge:
    """InsightFace's genderage: two scores of gender, and the age in centuries."""

    provides = frozenset({"age", "gender"})

    def __init__(self, session: Session, input: InputSpec) -> None:  # noqa: A002
        self._session = session
        self._input = input

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Age in whole years, rounded, and the likelier gender of each face."""
        size = self._input.size
        return self.classify(
            [byte_crop(frame, box_to_crop(face.box, size), size) for face in faces]
        )

    def classify(self, crops: Sequence[Bytes]) -> list[Attributes]:
        """The same of upright crops, (size, size, 3) RGB."""
        if not crops:
            return []
        raw = run_batch(self._session, self._input.tensor(crops))
        return [
            Attributes(
                age=max(0, round(float(row[2]) * 100)), gender=_GENDERS[int(row[:2].argmax())]
            )
            for row in raw
        ]
