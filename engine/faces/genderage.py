"""InsightFace's network for age and gender."""

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
    """InsightFace's genderage, which returns two gender scores and the age in centuries."""

    provides = frozenset({"age", "gender"})

    def __init__(self, session: Session, input: InputSpec) -> None:  # noqa: A002
        self._session = session
        self._input = input

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Return the age in whole years and the more likely gender of each face."""
        size = self._input.size
        return self.classify(
            [byte_crop(frame, box_to_crop(face.box, size), size) for face in faces]
        )

    def classify(self, crops: Sequence[Bytes]) -> list[Attributes]:
        """Return the same for upright RGB crops (size, size, 3)."""
        if not crops:
            return []
        raw = run_batch(self._session, self._input.tensor(crops))
        return [
            Attributes(
                age=max(0, round(float(row[2]) * 100)), gender=_GENDERS[int(row[:2].argmax())]
            )
            for row in raw
        ]
