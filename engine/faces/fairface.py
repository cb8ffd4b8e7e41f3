"""Race by the FairFace network, which users import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from engine.faces.contracts import AttributeReader
from engine.faces.identity import alignment_points
from engine.geometry.affine import fit_similarity
from engine.geometry.templates import ARCFACE_112_V2, in_pixels
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Attributes, Bytes, Face, Frame, Race

_SIZE = 224
# ImageNet's mean and deviation, of RGB 0..255.
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
# The classes of Kärkkäinen and Joo: "FairFace", 2021, in the network's order; East and Southeast
# Asian are one here, as in the public parameter.
_RACES: tuple[Race, ...] = (
    "white",
    "black",
    "latino hispanic",
    "asian",
    "asian",
    "indian",
    "middle eastern",
)


class FairFace:
    """Kärkkäinen, Joo: "FairFace", 2021, as exported with class numbers for outputs."""

    provides = frozenset({"race"})

    def __init__(self, session: Session) -> None:
        self._session = session
        self._race = [spec.name for spec in session.outputs].index("race_id")

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """The likeliest race of each face."""
        return [Attributes(race=self._read(_crop(frame, face))) for face in faces]

    def _read(self, crop: Bytes) -> Race:
        blob = ((crop.astype(np.float32) - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
        answer = self._session.run(np.ascontiguousarray(blob))[self._race]
        return _RACES[int(answer.ravel()[0])]


class ReadTogether:
    """Several readers as one, each giving the fields that it provides."""

    def __init__(self, readers: Sequence[AttributeReader]) -> None:
        self._readers = tuple(readers)
        self.provides = frozenset().union(*(reader.provides for reader in readers))

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """What the readers say together; of a field that two provide, the first's word counts."""
        said = [reader.read(frame, faces) for reader in self._readers]
        return [_joined(of_face) for of_face in zip(*said, strict=True)]


def _joined(parts: Sequence[Attributes]) -> Attributes:
    known = {
        field.name: getattr(part, field.name)
        for part in reversed(parts)
        for field in fields(Attributes)
        if getattr(part, field.name) is not None
    }
    return Attributes(**known)


def _crop(frame: Frame, face: Face) -> Bytes:
    target = in_pixels(ARCFACE_112_V2, _SIZE)
    return byte_crop(frame, fit_similarity(alignment_points(face), target), _SIZE)
